"""Selects the upstream that serves a deployment: the pool, the local model host, or the fake provider."""

from collections.abc import Container, Coroutine, Mapping
from typing import Any, Final, Protocol

from msgspec.structs import replace

from intellirouter.core import (
    Deployment,
    FrameSocket,
    SocketRefusal,
    SocketUpstream,
    Upstream,
    UpstreamAddress,
    UpstreamRequest,
    UpstreamResponse,
    errors,
)

_MAX_LOADING_WAIT_S: Final = 15.0


class UpstreamSwitch:
    """Implements `core.Upstream` by delegating to the upstream of the deployment's vendor."""

    def __init__(self, pool: Upstream, by_vendor: Mapping[str, Upstream]) -> None:
        self._pool = pool
        self._by_vendor = dict(by_vendor)

    def send(self, deployment: Deployment, request: UpstreamRequest) -> Coroutine[Any, Any, UpstreamResponse]:
        return self._by_vendor.get(deployment.vendor, self._pool).send(deployment, request)


class SocketSwitch:
    """Implements `core.SocketUpstream` for deployments that are reached over the network."""

    def __init__(self, dialer: SocketUpstream, other_vendors: Container[str]) -> None:
        """`other_vendors`: vendors that are not reached over the network and do not support sessions."""
        self._dialer = dialer
        self._other_vendors = other_vendors

    async def connect(self, deployment: Deployment, request: UpstreamRequest) -> FrameSocket | SocketRefusal:
        if deployment.vendor in self._other_vendors:
            raise errors.UnsupportedFeature(
                f"{deployment.name}: The vendor {deployment.vendor} does not support realtime sessions.",
                hint="Use another model.",
            )
        return await self._dialer.connect(deployment, request)


class WorkerDirectory(Protocol):
    """The part of the local model host that `HostedUpstream` uses."""

    async def wait_ready(self, name: str, timeout_s: float) -> UpstreamAddress: ...


class HostedUpstream:
    """Implements `core.Upstream` for local workers, over their unix sockets. Waits a limited time for a loading model.

    A worker has a new socket after each restart, so the address is looked up for every request.
    """

    def __init__(self, pool: Upstream, host: WorkerDirectory) -> None:
        self._pool = pool
        self._host = host
        self._placed: dict[str, tuple[Deployment, Deployment]] = {}
        """By name: the configured deployment, and the same with the address of its worker."""

    async def send(self, deployment: Deployment, request: UpstreamRequest) -> UpstreamResponse:
        wait_s = min(_MAX_LOADING_WAIT_S, deployment.timeouts.first_token_s)
        address = await self._host.wait_ready(deployment.name, wait_s)
        configured, placed = self._placed.get(deployment.name, (None, deployment))
        if configured is not deployment or placed.address != address:
            placed = replace(deployment, address=address)
            self._placed[deployment.name] = deployment, placed
        return await self._pool.send(placed, request)
