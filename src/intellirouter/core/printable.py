"""Escapes characters that control a terminal or break a line. Pure."""

from typing import Final

_CONTROL: Final = (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
"""ASCII and ISO 6429 control characters, line separators, and the characters that change the direction of text."""
_SURROGATES: Final = range(0xD800, 0xE000)
"""Bytes of file names that are not UTF-8. No encoding can write them."""
_ESCAPES: Final = {code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" for code in (*_CONTROL, *_SURROGATES)}
_ESCAPES.update({0x09: "\\t", 0x0A: "\\n", 0x0D: "\\r"})
_ESCAPES_IN_JSON: Final = {code: f"\\u{code:04x}" for code in (*_CONTROL, *_SURROGATES) if code >= 0x20}
_ESCAPES_IN_LINES: Final = {code: text for code, text in _ESCAPES.items() if code not in {0x09, 0x0A}}


def escape_control_characters(text: str, *, keeps_lines: bool = False) -> str:
    """Return `text` with an escape sequence, such as backslash, x, 1, b, for each control character.

    With `keeps_lines`, line feeds and tabs are kept.
    """
    return text if text.isprintable() else text.translate(_ESCAPES_IN_LINES if keeps_lines else _ESCAPES)


def escape_control_characters_in_json(document: str) -> str:
    """Return an equal JSON document without the control characters that JSON allows in strings."""
    return document.translate(_ESCAPES_IN_JSON)
