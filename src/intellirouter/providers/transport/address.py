"""Where to connect, and the request head that never changes for one deployment and path."""

from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from intellirouter.core import Deployment, Secret

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class Address(Struct, frozen=True):
    """Connections to equal addresses are interchangeable."""

    host: str
    port: int
    is_tls: bool
    uds: str | None = None
    ca_file: str | None = None


def address_of(deployment: Deployment) -> Address:
    endpoint = deployment.endpoint
    url = urlsplit(endpoint.base_url)
    host = url.hostname or "localhost"
    port = url.port or _DEFAULT_PORTS[url.scheme]
    return Address(host, port, url.scheme == "https", endpoint.uds, endpoint.ca_file)


def request_head(deployment: Deployment, path: str, credential: Secret | None) -> bytes:
    """Everything of a request's head but the length: ends in `content-length: `."""
    endpoint = deployment.endpoint
    url = urlsplit(endpoint.base_url)
    lines = [f"POST {url.path.rstrip('/')}{path} HTTP/1.1", f"host: {url.netloc.rpartition('@')[2]}"]
    lines += [
        "content-type: application/json",
        "accept: application/json, text/event-stream",
        "accept-encoding: identity",
        "user-agent: intellirouter",
    ]
    if credential is not None:
        lines.append(f"authorization: Bearer {credential.reveal()}")
    lines += [f"{name}: {value}" for name, value in endpoint.headers]
    return ("\r\n".join(lines) + "\r\ncontent-length: ").encode("latin-1")
