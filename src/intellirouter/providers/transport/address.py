"""Where to connect, and the head of a request: everything before the length and the credential."""

import re
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from intellirouter.core import Deployment, UpstreamRequest, errors

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_PATH: Final = re.compile(r"/[!-~]*")
_UNSAFE_VALUE: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]|[^\x00-\xff]")
_JOINED: Final = frozenset({"anthropic-beta", "openai-beta"})
"""Lists: what the client and what the operator asked for holds both."""


class Address(Struct, frozen=True):
    """Connections to equal addresses are interchangeable."""

    host: str
    port: int
    is_tls: bool
    uds: str | None = None
    ca_file: str | None = None


def address_of(deployment: Deployment) -> Address:
    endpoint = deployment.address
    url = urlsplit(endpoint.base_url)
    host = url.hostname or "localhost"
    port = url.port or _DEFAULT_PORTS[url.scheme]
    return Address(host, port, url.scheme == "https", endpoint.uds, endpoint.ca_file)


class Head(Struct, frozen=True):
    """A request's head without credential and length."""

    method: str
    host: str
    """As the Host header says it, with a port that is not the usual one."""
    target: str
    """Path and query as they go on the wire."""
    headers: dict[str, str]
    """Names in lower case, each once; without host."""

    def to_bytes(self, credential: tuple[tuple[str, str], ...] = ()) -> bytes:
        """Return the head with these credential headers, up to the length: ends in `content-length: `."""
        lines = [f"{self.method} {self.target} HTTP/1.1", f"host: {self.host}"]
        lines += [f"{name}: {value}" for name, value in ({**self.headers, **dict(credential)}).items()]
        return ("\r\n".join(lines) + "\r\ncontent-length: ").encode("latin-1")


def head_of(deployment: Deployment, request: UpstreamRequest) -> Head:
    """Put together what the request, the operator and we say. The operator has the last word on a header.

    Raises `InvalidRequest` for a path or a header that cannot be put on the wire as one.
    """
    if not _PATH.fullmatch(request.path):
        raise errors.InvalidRequest(
            "The model or an id in this request holds characters that cannot stand in a URL.",
            hint="Use printable ASCII characters without spaces, or percent-encode them.",
        )
    endpoint = deployment.address
    url = urlsplit(endpoint.base_url)
    headers = {
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        "accept-encoding": "identity",
        "user-agent": "intellirouter",
    }
    if request.method == "GET":
        del headers["content-type"]
    for name, value in request.headers:
        if _UNSAFE_VALUE.search(value):
            raise errors.InvalidRequest(f"The header {name} holds control characters.", hint="Remove them.")
        headers[name.lower()] = value
    for name, value in endpoint.headers:
        lowered = name.lower()
        said = headers.get(lowered) if lowered in _JOINED else None
        headers[lowered] = value if said is None else f"{said},{value}"
    return Head(request.method, url.netloc.rpartition("@")[2], f"{url.path.rstrip('/')}{request.path}", headers)
