"""The media type of base64 data, by its first bytes. For dialects that send media without their type."""

import base64
import binascii
from typing import Final

_MAGIC: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
    (b"ID3", "audio/mpeg"),
    (b"%PDF", "application/pdf"),
)


def media_type_of(data: str) -> str:
    """Return the media type of base64 data, guessed from its first bytes; empty if it is unknown."""
    try:
        head = base64.b64decode(data[:24])
    except (binascii.Error, ValueError):
        return ""
    if head[:4] == b"RIFF":
        return {b"WEBP": "image/webp", b"WAVE": "audio/wav"}.get(head[8:12], "")
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        return "audio/mpeg"
    return next((kind for magic, kind in _MAGIC if head.startswith(magic)), "")
