"""Which upstream serves a deployment."""

from typing import Any

import pytest
from msgspec import structs

from intellirouter.core import Deployment, SocketRefusal, Timeouts, UpstreamAddress, UpstreamRequest, errors
from intellirouter.roles.upstreams import HostedUpstream, SocketSwitch, UpstreamSwitch

REQUEST = UpstreamRequest(path="/chat/completions", body=b"{}")


def _deployment(name: str = "d", vendor: str = "openai", **fields: Any) -> Deployment:
    address = UpstreamAddress(base_url="http://127.0.0.1:1/v1")
    return Deployment(name=name, provider="p", vendor=vendor, upstream_model="m", address=address, **fields)


class Recorder:
    """An upstream that returns the deployment it is called with."""

    async def send(self, deployment: Deployment, request: UpstreamRequest) -> Any:
        return deployment

    async def connect(self, deployment: Deployment, request: UpstreamRequest) -> Any:
        return SocketRefusal(401, (), b"")


class Directory:
    """A host whose workers have these addresses."""

    def __init__(self, **sockets: str) -> None:
        self.sockets = sockets
        self.timeouts_s: list[float] = []

    async def wait_ready(self, name: str, timeout_s: float) -> UpstreamAddress:
        self.timeouts_s.append(timeout_s)
        return UpstreamAddress(base_url="http://local-worker/v1", uds=self.sockets[name])


async def test_vendor_selects_the_upstream() -> None:
    pool, special = Recorder(), HostedUpstream(Recorder(), Directory(d="/run/d.sock"))
    switch = UpstreamSwitch(pool, {"host": special})
    plain, hosted = _deployment(), _deployment(vendor="host")
    assert await switch.send(plain, REQUEST) is plain  # type: ignore[comparison-overlap]
    placed: Any = await switch.send(hosted, REQUEST)
    assert (placed.name, placed.address.uds) == ("d", "/run/d.sock")


async def test_sessions_are_refused_for_vendors_without_a_network_address() -> None:
    switch = SocketSwitch(Recorder(), {"host", "fake"})
    assert isinstance(await switch.connect(_deployment(), REQUEST), SocketRefusal)
    with pytest.raises(errors.UnsupportedFeature, match="The vendor host does not support realtime sessions"):
        await switch.connect(_deployment(vendor="host"), REQUEST)


async def test_hosted_deployment_follows_its_worker_and_its_configuration() -> None:
    directory = Directory(d="/run/1.sock")
    upstream = HostedUpstream(Recorder(), directory)
    old = _deployment(timeouts=Timeouts(first_token_s=3.0))
    first: Any = await upstream.send(old, REQUEST)
    assert await upstream.send(old, REQUEST) is first  # type: ignore[comparison-overlap]
    directory.sockets["d"] = "/run/2.sock"
    second: Any = await upstream.send(old, REQUEST)
    assert (second.address.uds, second.timeouts.first_token_s) == ("/run/2.sock", 3.0)
    reloaded = structs.replace(old, timeouts=Timeouts(first_token_s=60.0))
    third: Any = await upstream.send(reloaded, REQUEST)
    assert (third.address.uds, third.timeouts.first_token_s) == ("/run/2.sock", 60.0)
    assert directory.timeouts_s == [3.0, 3.0, 3.0, 15.0]
