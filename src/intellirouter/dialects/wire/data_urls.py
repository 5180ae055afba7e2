"""Reads `data:` URLs in requests. Source: RFC 2397."""

import base64
from typing import Final
from urllib.parse import unquote_to_bytes

_SCHEME: Final = "data:"
_MAX_TYPE_CHARS: Final = 1000
_SLICE_CHARS: Final = 64 * 1024


def read_data_url(url: str) -> tuple[str, str] | None:
    """Return the media type and the content of a `data:` URL as base64; None if it has no comma before its data."""
    comma = url.find(",")
    if comma < 0:
        return None
    media_type, _, parameters = url[len(_SCHEME) : min(comma, len(_SCHEME) + _MAX_TYPE_CHARS)].partition(";")
    data = url[comma + 1 :]
    if comma > _MAX_TYPE_CHARS:
        parameters = url[comma - _MAX_TYPE_CHARS : comma]  # `base64` is the last one
    if "base64" not in map(str.strip, parameters.lower().split(";")):
        data = base64.b64encode(_percent_decoded(data)).decode()
    return media_type, data


def _percent_decoded(text: str) -> bytes:
    """Decode percent-encoded text in slices, because a URL of escapes would need a hundred times its size at once."""
    pieces: list[bytes] = []
    start = 0
    while start < len(text):
        end = start + _SLICE_CHARS
        cut = text.rfind("%", end - 2, end)  # keep an escape sequence together
        piece = text[start : cut if cut > start else end]
        pieces.append(unquote_to_bytes(piece))
        start += len(piece)
    return b"".join(pieces)
