"""Health responses, which need no exchange."""

from collections.abc import Callable
from typing import Final

import msgspec

JSON: Final = b"application/json"

Page = tuple[int, bytes, bytes]
"""Status, content type, body."""


def live() -> Page:
    return 200, JSON, b'{"status":"alive"}'


def ready(check: Callable[[], tuple[bool, str]]) -> Page:
    is_ready, detail = check()
    body = msgspec.json.encode({"status": "ready" if is_ready else "not ready", "detail": detail})
    return (200 if is_ready else 503), JSON, body
