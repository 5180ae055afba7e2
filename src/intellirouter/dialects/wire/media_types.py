"""The media type of base64 data: as the client declared it, in its canonical form, or by the first bytes of the data.

Clients write `image/jpg` and `IMAGE/PNG`, add parameters, leave the type out, or name another type than the bytes have.
Most vendors reject all of these.
"""

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
    (b"<svg", "image/svg+xml"),
)
_CERTAIN: Final = frozenset(
    {
        "image/png",
        "image/jpeg",
        "image/gif",
        "image/webp",
        "image/heic",
        "image/avif",
        "image/svg+xml",
        "audio/wav",
        "application/pdf",
    }
)
"""The types whose first bytes are unmistakable, so that they count more than what the client declared."""
_SYNONYMS: Final = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/jfif": "image/jpeg",
    "image/x-png": "image/png",
    "image/x-ms-bmp": "image/bmp",
    "image/svg": "image/svg+xml",
    "audio/mp3": "audio/mpeg",
    "audio/x-mp3": "audio/mpeg",
    "audio/mpeg3": "audio/mpeg",
    "audio/x-wav": "audio/wav",
    "audio/wave": "audio/wav",
    "audio/vnd.wave": "audio/wav",
    "audio/x-flac": "audio/flac",
    "application/x-pdf": "application/pdf",
    "text/x-markdown": "text/markdown",
}
_BY_EXTENSION: Final = {
    "pdf": "application/pdf",
    "txt": "text/plain",
    "md": "text/markdown",
    "csv": "text/csv",
    "htm": "text/html",
    "html": "text/html",
    "json": "application/json",
    "xml": "application/xml",
    "doc": "application/msword",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xls": "application/vnd.ms-excel",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
}
_TEXTUAL: Final = frozenset(
    {
        "application/json",
        "application/ld+json",
        "application/x-ndjson",
        "application/xml",
        "application/yaml",
        "application/x-yaml",
        "application/toml",
        "application/javascript",
        "application/x-javascript",
        "application/typescript",
        "application/x-sh",
        "application/x-python-code",
        "application/sql",
    }
)
_UNSPECIFIC: Final = frozenset({"application/octet-stream", "binary/octet-stream"})
_BRANDS: Final = {b"heic": "image/heic", b"heix": "image/heic", b"mif1": "image/heic", b"avif": "image/avif"}
"""The type of an ISO media file by its brand."""
_HEAD_CHARS: Final = 24
_XML: Final = b"<?xml"
_BASE64: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_URL_SAFE_AND_SPACE: Final = {0x2D: "+", 0x5F: "/", 0x20: None, 0x09: None, 0x0A: None, 0x0D: None}


def normalized(media_type: str) -> str:
    """Return the canonical form of a media type, without parameters; empty for types such as `image/*`."""
    bare = media_type.partition(";")[0].strip().lower()
    if bare in _UNSPECIFIC or "*" in bare:
        return ""
    return _SYNONYMS.get(bare, bare)


def resolved_type(declared: str, data: str, kind: str) -> str:
    """Return the media type of base64 data that the client declared as `declared`; empty if it is unknown.

    `kind` is the kind of the part (`image`, `audio`, `video`, `document`).
    """
    media_type, detected = normalized(declared), media_type_of(data)
    if detected in _CERTAIN and not (kind == "document" and media_type.endswith("xml")):
        return detected
    if not media_type and kind == "image" and _head(data).startswith(_XML):
        return "image/svg+xml"
    return media_type or detected


def media_type_of(data: str) -> str:
    """Return the media type of base64 data, guessed from its first bytes; empty if it is unknown."""
    head = _head(data)
    if head[:4] == b"RIFF":
        return {b"WEBP": "image/webp", b"WAVE": "audio/wav"}.get(head[8:12], "")
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "")
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        return "audio/mpeg"
    return next((kind for magic, kind in _MAGIC if head.startswith(magic)), "")


def type_of_name(name: str) -> str:
    """Return the media type of a file with this name; empty if it is unknown."""
    return _BY_EXTENSION.get(name.rpartition(".")[2].lower(), "")


def document_type(name: str, data: str) -> str:
    """Return the media type of a document for which none was declared: by its name, or as text; empty if unknown."""
    return type_of_name(name) or ("text/plain" if decoded_text(data) is not None else "")


def is_textual(media_type: str) -> bool:
    """Return whether documents of this type can be sent as text."""
    return media_type.startswith("text/") or media_type in _TEXTUAL


def decoded_text(data: str) -> str | None:
    """Return base64 data as text; None if it is not text in UTF-8."""
    try:
        text = base64.b64decode(data, validate=True).decode("utf-8-sig")
    except (binascii.Error, ValueError):
        return None
    return None if "\0" in text else text


def _head(data: str) -> bytes:
    try:
        return base64.b64decode(data[: min(_HEAD_CHARS, len(data) // 4 * 4)])
    except (binascii.Error, ValueError):
        return b""


def clean_base64(data: str) -> str | None:
    """Return base64 in the standard alphabet, padded and without white space; None if the data is not base64.

    Clients break lines and use the URL-safe alphabet. Most vendors reject both.
    """
    core = data.rstrip("=")
    if _is_base64(core) and len(data) % 4 == 0 and len(data) - len(core) <= 2:
        return data
    core = data.translate(_URL_SAFE_AND_SPACE).rstrip("=")
    if len(core) % 4 == 1 or not _is_base64(core):
        return None
    return core + "=" * (-len(core) % 4)


def _is_base64(text: str) -> bool:
    return text.isascii() and not text.encode().translate(None, _BASE64)
