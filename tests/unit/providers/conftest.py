import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import uvloop

from intellirouter.providers import UpstreamPool
from tests.support.providers.loopback import Authority

VENDOR_HOST = "api.vendor.example"
"""A name that does not resolve: only a proxy can connect to it."""


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run every asynchronous test of this folder on the loop we ship with and on the stock one."""
    return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}


@pytest.fixture
async def pool() -> AsyncIterator[UpstreamPool]:
    """A pool that must end with no connection, no slot in use, no waiting request and no timer."""
    pool = UpstreamPool()
    yield pool
    await pool.close()
    assert not pool._connections
    for each in pool._address_pools.values():
        assert (each.open_count, each.idle, list(each.waiting)) == (0, [], [])
    assert pool._sweep_timer is None or pool._sweep_timer.cancelled()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="session")
def good_tls(authority: Authority) -> ssl.SSLContext:
    return authority.server_context("DNS:localhost,IP:127.0.0.1")


@pytest.fixture(scope="session")
def vendor_tls(authority: Authority) -> ssl.SSLContext:
    return authority.server_context(f"DNS:{VENDOR_HOST}")
