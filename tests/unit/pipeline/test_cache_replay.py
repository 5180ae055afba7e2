"""Stored streams at their original pace."""

import asyncio
import time
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intellirouter.pipeline.cache_streams import PacedStream, PieceTimes
from intellirouter.testing import FakeClock
from tests.support.cached_world import SENT, Cached, spec
from tests.support.pipeline import EVENTS, STREAM_BODY, Reply, Response, Source


async def read(stream: PacedStream) -> tuple[list[bytes], list[float]]:
    """Return the pieces, and when each has come, in seconds."""
    began_s, pieces, times = time.monotonic(), [], []
    async for piece in stream:
        pieces.append(piece.data)
        times.append(time.monotonic() - began_s)
        assert piece.is_last == (len(b"".join(pieces)) == 9)
    return pieces, times


async def test_the_pauses_are_the_original_ones() -> None:
    pieces, times = await read(PacedStream(b"abcdefghi", [(3, 0), (5, 60), (9, 150)], max_s=10.0))
    assert pieces == [b"abc", b"de", b"fghi"]
    assert times[0] < 0.05
    assert 0.05 < times[1] < 0.14
    assert 0.14 < times[2] < 1.0


async def test_long_pauses_are_shortened() -> None:
    pieces, times = await read(PacedStream(b"abcdefghi", [(3, 0), (5, 300_000), (9, 600_000)], max_s=0.1))
    assert b"".join(pieces) == b"abcdefghi"
    assert 0.09 < times[2] < 1.0


@pytest.mark.parametrize(
    "pieces", [[(9, 0)], [(0, 0), (9, 0)], [(20, 0)], [(4, 0)], [(5, 0), (3, 0)], [(3, 0), (9, 0), (9, 5)]]
)
async def test_all_bytes_are_sent_whatever_the_pieces_are(pieces: list[tuple[int, int]]) -> None:
    sent, _ = await read(PacedStream(b"abcdefghi", pieces, max_s=1.0))
    assert b"".join(sent) == b"abcdefghi"


@given(steps=st.lists(st.tuples(st.binary(max_size=5), st.floats(0, 0.01)), max_size=3000))
def test_times_are_bounded_and_complete(steps: list[tuple[bytes, float]]) -> None:
    check(steps)


def test_many_pieces() -> None:
    check([(b"x", 0.002)] * 50_000)


def check(steps: Sequence[tuple[bytes, float]]) -> None:
    clock = FakeClock()
    times = PieceTimes(clock)
    for data, pause_s in steps:
        clock.advance(pause_s)
        times.note(data)
    taken = times.taken()
    assert len(taken) <= 1025
    assert list(taken) == sorted(taken)
    assert (taken[-1][0] if taken else 0) == sum(len(data) for data, _ in steps)


async def test_a_stored_stream_is_sent_at_its_pace_and_a_fast_one_at_once() -> None:
    for max_replay_s, least_s, most_s in ((5.0, 0.1, 2.0), (None, 0.0, 0.05)):
        world = Cached(Slow(*EVENTS), settings=spec(max_replay_s=max_replay_s))
        world.clock.advance(1.0)
        slow = Slow(*EVENTS, clock=world.clock)
        world.upstream.answers["a"] = [slow]
        _, first = await world.ask(STREAM_BODY)
        began_s = time.monotonic()
        _, second = await world.ask(STREAM_BODY)
        assert least_s <= time.monotonic() - began_s < most_s
        assert second.body == first.body == SENT
        assert world.statuses == ["miss", "hit"]


async def test_a_client_that_leaves_ends_the_replay() -> None:
    world = Cached(settings=spec(max_replay_s=600.0))
    world.upstream.answers["a"] = [Slow(*EVENTS, clock=world.clock, pause_s=30.0)]
    await world.ask(STREAM_BODY)
    source, reply = Source(STREAM_BODY), Reply()
    task = asyncio.create_task(world.entry.serve(source, reply))
    await asyncio.sleep(0.05)
    assert not task.done()
    assert source.on_disconnect is not None
    source.on_disconnect()
    exchange = await asyncio.wait_for(task, 1)
    assert exchange.record is not None
    assert (exchange.record.status, exchange.record.cache) == (499, "hit")
    assert len(asyncio.all_tasks()) == 1


class Slow(Response):
    """Pauses before each chunk, according to the clock."""

    def __init__(self, *chunks: bytes, clock: FakeClock | None = None, pause_s: float = 0.05) -> None:
        super().__init__(*chunks)
        self._clock = clock
        self._pause_s = pause_s

    async def next_chunk(self) -> bytes:
        if self._clock is not None:
            self._clock.advance(self._pause_s)
        return await super().next_chunk()
