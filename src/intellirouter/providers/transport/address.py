"""The network address of a deployment."""

from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from intellirouter.core import ClientCertificate, Deployment, Proxy, UpstreamAddress, errors

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class Address(Struct, frozen=True):
    """Where a connection leads. Connections to equal addresses are interchangeable."""

    host: str
    port: int
    is_tls: bool
    uds: str | None = None
    ca_file: str | None = None
    client_certificate: ClientCertificate | None = None
    proxy: Proxy | None = None

    def __str__(self) -> str:
        return self.uds or f"{self.host}:{self.port}"

    @property
    def route(self) -> str:
        """The address and the proxy, for messages."""
        return str(self) if self.proxy is None else f"{self} through the proxy {self.proxy}"

    @property
    def forwarding_proxy(self) -> Proxy | None:
        """The proxy that gets the requests themselves. For TLS, it opens a tunnel instead."""
        return None if self.is_tls else self.proxy


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
    host, port = url.hostname or "", url.port or _DEFAULT_PORTS.get(url.scheme, 0)
    is_tls = url.scheme == "https"
    return Address(
        host,
        port,
        is_tls,
        upstream.uds,
        ca_file=upstream.ca_file,
        client_certificate=upstream.client_certificate if is_tls else None,
        proxy=None if upstream.uds is not None else upstream.proxies.proxy_for(url.scheme, host, port),
    )
