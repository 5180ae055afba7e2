"""The network address of a deployment."""

from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from intellirouter.core import Deployment, UpstreamAddress, errors

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


def has_address(upstream: UpstreamAddress) -> bool:
    """Return whether there is an address to connect to: a unix socket or a host name."""
    return upstream.uds is not None or bool(urlsplit(upstream.base_url).hostname)


def address_of(deployment: Deployment) -> Address:
    """Return the address to connect to. Raises `UpstreamConnectFailed` for a deployment that has none."""
    upstream = deployment.address
    if not has_address(upstream):
        raise errors.UpstreamConnectFailed(
            f"{deployment.name}: The deployment has no network address, so no connection was attempted.",
            hint="Set the provider's base_url. Local models are only reachable through the local model host.",
        )
    url = urlsplit(upstream.base_url)
    port = url.port or _DEFAULT_PORTS.get(url.scheme, 0)
    return Address(url.hostname or "", port, url.scheme == "https", upstream.uds, upstream.ca_file)
