"""The head of an HTTP request: request line and headers, except the credential and the length."""

import re
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct, structs

from intellirouter.core import Deployment, Proxy, UpstreamRequest, errors

_PATH: Final = re.compile(r"/[!-~]*")
_INVALID_VALUE: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]|[^\x00-\xff]")
_LIST_HEADERS: Final = frozenset({"anthropic-beta", "openai-beta"})
"""Headers that hold a list: values from the request and from the configuration are combined."""


class RequestHead(Struct, frozen=True):
    """A request's head without credential and length."""

    method: str
    host: str
    """Value of the Host header: with the port unless it is the default one."""
    target: str
    """Path and query as they are sent."""
    headers: dict[str, str]
    """Names in lower case, each once; without host."""
    origin: str = ""
    """Scheme and host in front of the target, for requests that a proxy forwards."""

    def to_bytes(self, credential: tuple[tuple[str, str], ...] = ()) -> bytes:
        """Return the head with these credential headers, ending in `content-length: `."""
        lines = [f"{self.method} {self.origin}{self.target} HTTP/1.1", f"host: {self.host}"]
        lines += [f"{name}: {value}" for name, value in ({**self.headers, **dict(credential)}).items()]
        return ("\r\n".join(lines) + "\r\ncontent-length: ").encode("latin-1")


def build_head(deployment: Deployment, request: UpstreamRequest) -> RequestHead:
    """Combine default headers, the request's headers and the configured headers, the latter taking precedence.

    Raises `InvalidRequest` for a path or a header value that cannot be sent.
    """
    if not _PATH.fullmatch(request.path):
        raise errors.InvalidRequest(
            "The model name or an id in this request contains characters that are not allowed in a URL.",
            hint="Use printable ASCII characters without spaces, or percent-encode them.",
        )
    upstream = deployment.address
    url = urlsplit(upstream.base_url)
    headers = {
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        "accept-encoding": "identity",
        "user-agent": "intellirouter",
    }
    if request.method == "GET":
        del headers["content-type"]
    for name, value in request.headers:
        if _INVALID_VALUE.search(value):
            raise errors.InvalidRequest(
                f"The value of the header {name} contains characters that are not allowed in a header.",
                hint="Remove control characters and characters outside Latin-1.",
            )
        headers[name.lower()] = value
    for name, value in upstream.headers:
        lowered = name.lower()
        requested = headers.get(lowered) if lowered in _LIST_HEADERS else None
        headers[lowered] = value if requested is None else f"{requested},{value}"
    return RequestHead(request.method, url.netloc.rpartition("@")[2], f"{url.path.rstrip('/')}{request.path}", headers)


def forwarded_head(head: RequestHead, proxy: Proxy) -> RequestHead:
    """Return the head of a request that the proxy gets itself: with an absolute URL and the login of the proxy."""
    authorization = proxy.authorization
    own = {} if authorization is None else {"proxy-authorization": authorization}
    return structs.replace(head, origin=f"http://{head.host}", headers=head.headers | own)
