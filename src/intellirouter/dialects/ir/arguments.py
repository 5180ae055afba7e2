"""Arguments of tool calls that mean none: clients and models write `null`, an empty text or `[]` instead of `{}`."""

from typing import Final

_WITHOUT_CONTENT: Final = frozenset({"", "null", "[]", '""', '"null"', '"{}"', '"[]"'})
_MAX_CHARS: Final = 64
"""Longer texts are not examined, apart from white space, which is removed first."""


def are_no_arguments(text: str) -> bool:
    """Return whether a text says that a call has no arguments. False for `{}`, which is written correctly."""
    if text[:1] == "{":
        return False
    if len(text) > _MAX_CHARS:
        return text.isspace()
    return text.strip() in _WITHOUT_CONTENT


def may_be_no_arguments(start: str) -> bool:
    """Return whether a text that begins like this can still turn out to be one without arguments."""
    stripped = start.strip()
    return any(text.startswith(stripped) for text in _WITHOUT_CONTENT)
