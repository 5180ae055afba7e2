"""Answer stores of every kind, with real servers."""

import asyncio
import random
import ssl
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from intellirouter.cache import RedisAnswerStore
from intellirouter.config import RedisSpec
from intellirouter.core import SYSTEM_CLOCK
from tests.support.redis_server import KINDS, Connect, RedisServer


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    with RedisServer(request.param) as found:
        yield found


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Return connected stores, and stop them at the end."""
    stores: list[RedisAnswerStore] = []

    async def open_store(server: RedisServer, *, clock: Any = SYSTEM_CLOCK, **members: Any) -> RedisAnswerStore:
        options = {name: members.pop(name) for name in ("stale_s", "max_entry_bytes") if name in members}
        tls_context = members.pop("tls_context", no_tls)
        spec = RedisSpec(**{"uds": server.socket, "timeout_s": 1.0, **members})
        store = RedisAnswerStore(
            spec, clock, random.Random(7), tls_context, **{"stale_s": 0.0, "max_entry_bytes": 1024 * 1024, **options}
        )
        stores.append(store)
        store.start()
        async with asyncio.timeout(5):
            await store.connected()
        return store

    yield open_store
    for store in stores:
        await store.stop()


def no_tls(_ca_file: str | None) -> ssl.SSLContext:
    raise ValueError("There is no TLS here.")
