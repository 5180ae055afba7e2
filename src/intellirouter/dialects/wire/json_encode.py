"""Encodes requests for upstreams. In large ones, long strings are encoded in slices."""

from typing import Any, Final

import msgspec

from intellirouter.core import is_off_loop

_SLICE_CHARS: Final = 256 * 1024
_GAP: Final = b"\x00"
"""Stands for a long string. JSON cannot contain it."""

_encode: Final = msgspec.json.Encoder().encode


def encode_document(document: Any) -> bytes:
    """Return the document as JSON.

    Encoding holds the interpreter lock, and a string of 32 MiB takes 90 ms. Off the event loop, where documents may be
    that large, long strings are therefore encoded slice by slice.
    """
    if not is_off_loop():
        return _encode(document)
    strings: list[str] = []
    outer = _encode(_without_long_strings(document, strings))
    if not strings:
        return outer
    first, *others = outer.split(_GAP)
    if len(others) != len(strings):
        return _encode(document)
    pieces = [first]
    for text, after in zip(strings, others, strict=True):
        pieces.append(b'"')
        pieces += [_encode(text[at : at + _SLICE_CHARS])[1:-1] for at in range(0, len(text), _SLICE_CHARS)]
        pieces += (b'"', after)
    return b"".join(pieces)


def _without_long_strings(value: Any, strings: list[str]) -> Any:
    """Return a copy of the value with gaps in place of long strings, which are added to `strings` in order."""
    kind = value.__class__
    if kind is str and len(value) > _SLICE_CHARS:
        strings.append(value)
        return msgspec.Raw(_GAP)
    if kind is dict:
        return {name: _without_long_strings(each, strings) for name, each in value.items()}
    if kind is list:
        return [_without_long_strings(each, strings) for each in value]
    return value
