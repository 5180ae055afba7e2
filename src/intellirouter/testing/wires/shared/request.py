"""A request as every API receives it."""

from urllib.parse import parse_qsl

from msgspec import Struct, field


class WireRequest(Struct, kw_only=True):
    """One HTTP request."""

    method: str
    path: str
    """Without the query, percent-encoded as received."""
    query_string: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    """Names in lower case; the last value of repeated headers."""
    body: bytes = b""
    created_s: int = 0
    """The time of arrival, in seconds since 1970."""
    deployment: str = ""
    """The model if the path names it; then the model in the body is ignored."""
    model: str | None = None
    """Set as soon as it is known while the request is answered."""

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(self.query_string, keep_blank_values=True))

    @property
    def key(self) -> str:
        """The bearer token, or an empty string."""
        kind, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() if kind.lower() == "bearer" else ""
