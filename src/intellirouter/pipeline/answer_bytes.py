"""What upstreams do to the bytes of an answer without being asked: a compression, a byte order mark. Pure."""

import zlib
from collections.abc import Iterable
from typing import Final

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_GZIP_BITS: Final = 31
_ZLIB_BITS: Final = 15
_RAW_BITS: Final = -15
_WINDOW_BITS: Final = {"gzip": (_GZIP_BITS,), "x-gzip": (_GZIP_BITS,), "deflate": (_ZLIB_BITS, _RAW_BITS)}
"""By content encoding. Some servers send `deflate` without zlib's header. Others need a library: `br`, `zstd`."""
_MAX_MEMBERS: Final = 16
"""A compressed body can be several that follow each other. What follows is copied for each of them."""
TEXT_STARTS: Final = (b"data:", b"event:", b"{", b":")
"""How most streams begin if they are not compressed."""


def content_encoding(headers: Iterable[tuple[str, str]]) -> str:
    """Return the content encoding; empty if the body is not encoded. Names are in lower case."""
    value = next((value for name, value in headers if name == "content-encoding"), "").strip().lower()
    return "" if value == "identity" else value


def decompress(body: bytes, encoding: str, limit_bytes: int) -> bytes | None:
    """Return the decompressed body; None if the encoding is not supported, or the body is invalid or too large."""
    for bits in _WINDOW_BITS.get(encoding, ()):
        try:
            return _inflate(body, bits, limit_bytes)
        except zlib.error:
            continue
    return None


def _inflate(body: bytes, bits: int, limit_bytes: int) -> bytes | None:
    """Return the decompressed body; None if it is incomplete, too large, or has too many members."""
    parts: list[bytes] = []
    left = limit_bytes
    for _ in range(_MAX_MEMBERS):
        decompressor = zlib.decompressobj(bits)
        parts.append(decompressor.decompress(body, left + 1))
        left -= len(parts[-1])
        if left < 0 or not decompressor.eof:
            return None
        if not (body := decompressor.unused_data):
            return b"".join(parts)
    return None


def compressed_error_note(encoding: str) -> str:
    return f"The upstream compressed the text of the error with `{encoding[:40]}`, so it cannot be read."


def without_byte_order_mark(body: bytes) -> bytes:
    return body[3:] if body.startswith(_BYTE_ORDER_MARK) else body


def is_cut_mark(body: bytes) -> bool:
    """Return whether these bytes are only the beginning of a byte order mark."""
    return len(body) < len(_BYTE_ORDER_MARK) and _BYTE_ORDER_MARK.startswith(body)
