"""Finds the API key in a request, wherever the client's dialect puts it."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote_to_bytes

_KEY_HEADERS: Final = (b"x-api-key", b"x-goog-api-key", b"api-key")


def request_key(headers: Mapping[bytes, bytes], query: bytes = b"") -> bytes | None:
    """Return the key: `Authorization: Bearer`, `x-api-key`, `x-goog-api-key`, `api-key`, or `?key=` (Gemini)."""
    value = headers.get(b"authorization")
    if value is not None:
        scheme, _, key = value.partition(b" ")
        if scheme.lower() == b"bearer":
            return key.strip()
    for name in _KEY_HEADERS:
        if name in headers:
            return headers[name].strip()
    if b"key=" in query:
        for part in query.split(b"&"):
            if part.startswith(b"key="):
                return unquote_to_bytes(part[4:])
    return None
