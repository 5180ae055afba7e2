"""Requests in flight that others follow leave nothing behind, however they end."""

import asyncio
import gc
import logging
from collections import Counter

import pytest

from intellirouter.core import errors
from tests.support.cached_world import Cached, spec, turns
from tests.support.pipeline import ANSWER, EVENTS, Reply, Response, Source

FOLLOWERS = 9
BODIES = (
    b'{"model":"m","messages":[{"role":"user","content":"%d"}]}',
    b'{"model":"m","stream":true,"messages":[{"role":"user","content":"%d"}]}',
)


async def one_round(world: Cached, number: int) -> None:
    """Send ten identical requests at once. The answer comes, breaks off, or clients leave before it."""
    body, way = BODIES[number % 2] % number, number // 2 % 5
    chunks = EVENTS if number % 2 else (ANSWER,)
    gate = world.upstream.gate = asyncio.Event()
    if way == 1:
        world.upstream.answers["a"] = [Response(*chunks[:1], error=errors.UpstreamDisconnected("broken")) for _ in "12"]
    else:
        world.upstream.answers["a"] = [Response(*chunks) for _ in "12"]
    sources = [Source(body) for _ in range(FOLLOWERS + 1)]
    tasks = [asyncio.create_task(world.entry.serve(source, Reply())) for source in sources]
    await turns(4)
    leaving = {2: sources[:1], 3: sources[1:], 4: sources}.get(way, [])
    for source in leaving:
        assert source.on_disconnect is not None
        source.on_disconnect()
    await turns(2)
    gate.set()
    async with asyncio.timeout(10):
        await asyncio.gather(*tasks)


@pytest.mark.parametrize("max_bytes", [1024 * 1024, 8 * 1024])
async def test_memory_of_joined_requests_is_released(max_bytes: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, logger="intellirouter")  # pytest keeps what is logged
    world = Cached(settings=spec(max_bytes=max_bytes, max_entry_bytes=max_bytes // 4, tool_calls=True))
    for number in range(200):
        await one_round(world, number)
    found = Counter(record.cache for record in world.journal.records)
    assert found["joined"] > 500
    before = objects(world)
    for number in range(200, 1000):
        await one_round(world, number)
    assert len(world.flights) == 0
    assert world.flights.used_bytes == 0
    assert world.store.used_bytes <= max_bytes
    assert objects(world) - before < 100, "nothing stays of the rounds"


def objects(world: Cached) -> int:
    """Return how many objects the garbage collector knows, without what the test keeps."""
    world.journal.records.clear()
    world.emitted.clear()
    world.events.clear()
    world.upstream.sent.clear()
    gc.collect()
    return len(gc.get_objects())
