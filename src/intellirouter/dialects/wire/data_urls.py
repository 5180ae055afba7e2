"""Reads `data:` URLs in requests. Source: RFC 2397."""

import base64
from typing import Final
from urllib.parse import unquote_to_bytes

_SLICE_CHARS: Final = 64 * 1024


def read_data_url(url: str) -> tuple[str, str] | None:
    """Return the media type and the content as base64; None if the URL has no comma before its data."""
    head, comma, data = url.removeprefix("data:").partition(",")
    if not comma:
        return None
    media_type, _, parameters = head.partition(";")
    if ";base64;" not in f";{parameters};":
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
