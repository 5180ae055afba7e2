"""A request as every wire gets it, and reading its body."""

from typing import Any
from urllib.parse import parse_qsl

import msgspec
from msgspec import Struct, field


class WireRequest(Struct, kw_only=True):
    """One HTTP request."""

    method: str
    path: str
    """Without the query, as it came (percent-encoded)."""
    query_string: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    """Names in lower case; of repeated headers the last one."""
    body: bytes = b""
    created_s: int = 0
    """When it came, in seconds since 1970."""
    deployment: str = ""
    """Where the path names the model; then the body's name for it is not looked at."""
    model: str | None = None
    """Set while it is answered, as soon as it is known."""

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(self.query_string, keep_blank_values=True))

    @property
    def key(self) -> str:
        """The bearer token, or nothing."""
        kind, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() if kind.lower() == "bearer" else ""


def json_object(body: bytes) -> dict[str, Any] | None:
    """Return the body's JSON object, or None when it is none."""
    try:
        document = msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None
