"""Encodes requests for upstreams. In large ones, long strings are encoded in slices."""

from typing import Any, Final

import msgspec

from intellirouter.core import is_off_loop

_SLICE_CHARS: Final = 256 * 1024

_encode: Final = msgspec.json.Encoder().encode


def encode_document(document: Any) -> bytes:
    """Return the document as JSON.

    Encoding holds the interpreter lock, and a string of 32 MiB takes 90 ms. Off the event loop, where documents may be
    that large, long strings are therefore encoded first, slice by slice.
    """
    return _encode(_with_encoded_strings(document) if is_off_loop() else document)


def _with_encoded_strings(value: Any) -> Any:
    """Return a copy of the value in which long strings are JSON already; the value itself if it has none."""
    kind = value.__class__
    if kind is str:
        return value if len(value) <= _SLICE_CHARS else _encoded(value)
    if kind is dict:
        changed = {name: new for name, each in value.items() if (new := _with_encoded_strings(each)) is not each}
        return {**value, **changed} if changed else value
    if kind is list:
        items = [_with_encoded_strings(each) for each in value]
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    return value


def _encoded(text: str) -> msgspec.Raw:
    slices = [_encode(text[at : at + _SLICE_CHARS])[1:-1] for at in range(0, len(text), _SLICE_CHARS)]
    return msgspec.Raw(b'"' + b"".join(slices) + b'"')
