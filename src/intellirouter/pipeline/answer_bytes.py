"""What upstreams do to the bytes of an answer without being asked: a compression, a byte order mark. Pure."""

import zlib
from collections.abc import Iterable
from typing import Final

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_WINDOW_BITS: Final = {"gzip": 31, "x-gzip": 31, "deflate": 47}
"""By content encoding. 47 accepts zlib's header, which `deflate` has."""


def content_encoding(headers: Iterable[tuple[str, str]]) -> str:
    """Return the content encoding; empty if the body is not encoded. Names are in lower case."""
    value = next((value for name, value in headers if name == "content-encoding"), "").strip().lower()
    return "" if value == "identity" else value


def decompress(body: bytes, encoding: str, limit_bytes: int) -> bytes | None:
    """Return the decompressed body; None if the encoding is not supported, or the body is invalid or too large."""
    bits = _WINDOW_BITS.get(encoding)
    if bits is None:
        return None
    decompressor = zlib.decompressobj(bits)
    try:
        out = decompressor.decompress(body, limit_bytes + 1)
    except zlib.error:
        return None
    return out if len(out) <= limit_bytes and decompressor.eof else None


def without_byte_order_mark(body: bytes) -> bytes:
    return body[3:] if body.startswith(_BYTE_ORDER_MARK) else body
