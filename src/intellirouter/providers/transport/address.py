"""The network address of a deployment."""

from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from intellirouter.core import Deployment

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class Address(Struct, frozen=True):
    """Where a connection leads. Connections to equal addresses are interchangeable."""

    host: str
    port: int
    is_tls: bool
    uds: str | None = None
    ca_file: str | None = None

    def __str__(self) -> str:
        return self.uds or f"{self.host}:{self.port}"


def address_of(deployment: Deployment) -> Address:
    upstream = deployment.address
    url = urlsplit(upstream.base_url)
    host = url.hostname or "localhost"
    port = url.port or _DEFAULT_PORTS[url.scheme]
    return Address(host, port, url.scheme == "https", upstream.uds, upstream.ca_file)
