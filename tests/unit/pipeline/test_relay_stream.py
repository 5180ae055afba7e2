"""Relaying streams: what is sent when content arrives with the end, and what is recorded of the request."""

import asyncio
import gc
import json
import threading
from typing import Any

import pytest

from intellirouter.core import OffLoop, Usage, errors
from intellirouter.pipeline import stream as stream_module
from intellirouter.pipeline.delivery import Delivery
from intellirouter.pipeline.large_answers import run_large
from intellirouter.pipeline.stream import OpenStream, open_stream, relay_stream
from tests.support.pipeline import EVENTS, World
from tests.support.pipeline import Response as UpstreamAnswer


class Response:
    headers: tuple[tuple[str, str], ...] = ()

    def __init__(self, *chunks: bytes) -> None:
        self._chunks = list(chunks)

    async def next_chunk(self) -> bytes:
        return self._chunks.pop(0) if self._chunks else b""

    def content_began(self, source: object = None) -> None:
        """Nothing to count here."""


class LateRelay:
    """A relay of a stream whose last event is the only one with content."""

    has_content = is_finished = is_heavy = False
    usage: Usage | None = None
    finish_reason: str | None = None
    content_events = buffered_bytes = 0
    error = None

    def feed(self, _data: bytes) -> bytes:
        return b""

    def end(self) -> bytes:
        if self.is_finished:
            return b"[end again]"
        self.has_content = self.is_finished = True
        return b"[all of it][end]"


class Reply:
    def __init__(self) -> None:
        self.sent = b""
        self.writes = 0
        self.error: errors.GatewayError | None = None

    async def write(self, data: bytes) -> None:
        self.sent += data
        self.writes += 1


async def test_content_that_arrives_with_the_end_is_not_lost() -> None:
    reply: Any = Reply()
    response: Any = Response(b"x", b"y")
    relay: Any = LateRelay()
    exchange: Any = None
    stream = await open_stream(response, relay, (), OffLoop(), lambda: None)
    assert stream.is_complete
    last = await relay_stream(stream, Delivery(exchange, reply, (), lambda _: None))
    assert reply.sent + last == b"[all of it][end]"


async def test_losses_of_a_streamed_request_are_recorded() -> None:
    world = World(a=UpstreamAnswer(*EVENTS))
    body = {"model": "m", "max_tokens": 9, "stream": True, "top_k": 5, "messages": [{"role": "user", "content": "hi"}]}
    await world.serve(json.dumps(body).encode(), endpoint="anthropic_messages")
    assert world.reply.error is None
    assert world.record.dropped == ("top_k;how=dropped",)


class SlicedRelay(LateRelay):
    """A relay that notes what it is fed, and where."""

    has_content = True

    def __init__(self, buffered_bytes: int = 0, fails_after: int = -1) -> None:
        self.buffered_bytes = buffered_bytes
        self.is_heavy = buffered_bytes > 0
        self.fails_after = fails_after
        self.fed: list[tuple[int, str]] = []

    def feed(self, data: bytes) -> bytes:
        if len(self.fed) == self.fails_after:
            raise errors.UpstreamMalformed("The upstream sent nonsense.")
        self.fed.append((len(data), threading.current_thread().name))
        return b"x"


async def relayed(relay: SlicedRelay, *chunks: bytes) -> tuple[Reply, int]:
    """Relay a stream. Returns what was sent, and how often another task ran in the meantime."""
    reply: Any = Reply()
    response: Any = Response(*chunks)
    other: Any = relay
    exchange: Any = None
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    off_loop = OffLoop()
    stream = OpenStream(response, other, (), b"", False, off_loop)
    try:
        await relay_stream(stream, Delivery(exchange, reply, (), lambda _: None))
    except errors.UpstreamMalformed as error:
        reply.error = error
    counting.cancel()
    off_loop.close()
    return reply, turns


async def test_what_arrives_at_once_is_fed_in_slices_between_which_others_continue_if_they_take_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stream_module, "_TURN_S", 0.0)
    relay = SlicedRelay()
    reply, turns = await relayed(relay, b"a" * 100_000, b"b" * 100)
    assert [size for size, _ in relay.fed] == [16384] * 6 + [1696, 100]
    assert {thread for _, thread in relay.fed} == {"MainThread"}
    assert (reply.sent, reply.writes) == (b"x" * 8, 8)
    assert turns >= 6


async def test_what_arrives_at_once_is_sent_at_once_if_it_takes_little_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "_TURN_S", 60.0)
    reply, _ = await relayed(SlicedRelay(), b"a" * 100_000, b"b" * 100)
    assert (reply.sent, reply.writes) == (b"x" * 8, 2)


async def test_what_came_before_an_error_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "_TURN_S", 60.0)
    reply, _ = await relayed(SlicedRelay(fails_after=2), b"a" * 100_000)
    assert (reply.sent, reply.writes) == (b"xx", 1)
    assert reply.error is not None


async def test_large_events_are_processed_in_a_thread() -> None:
    relay = SlicedRelay(33_000)
    await relayed(relay, b"a" * 100)
    assert [thread for _, thread in relay.fed] == ["off-loop-medium"]
    relay = SlicedRelay(2_000_000)
    await relayed(relay, b"a" * 100)
    assert [thread for _, thread in relay.fed] == ["off-loop-large"]


async def test_garbage_is_not_collected_during_work_on_very_large_answers() -> None:
    was_enabled, off_loop = gc.isenabled(), OffLoop()
    gc.enable()
    try:
        assert await run_large(off_loop, 1_000_000, gc.isenabled)
        assert not await run_large(off_loop, 2_000_000, gc.isenabled)
        assert gc.isenabled()
    finally:
        off_loop.close()
        if not was_enabled:
            gc.disable()


class FedRelay(LateRelay):
    """Notes what it is fed."""

    def __init__(self) -> None:
        self.fed = b""

    def feed(self, data: bytes) -> bytes:
        self.fed += data
        return b""


@pytest.mark.parametrize(
    ("chunks", "fed", "is_whole"),
    [
        ((b"\xef", b"\xbb", b"\xbfdata: x\n\n"), b"data: x\n\n", False),
        ((b"\xef\xbb\xbf", b"data: x\n\n"), b"data: x\n\n", False),
        ((b" \n", b"\t", b'{"a": 1}'), b'{"a": 1}', True),
        ((b"\xef\xbb\xbf \n{}",), b"{}", True),
        ((b"\n\n", b"data: x\n\n"), b"\n\ndata: x\n\n", False),
        ((b"\xef", b"\x01\x02"), b"\xef\x01\x02", False),
        ((b"\n" * 5000, b"{}"), b"\n" * 5000 + b"{}", False),
        ((b" ",), b" ", False),
    ],
)
async def test_marks_and_white_space_at_the_beginning_may_be_split(
    chunks: tuple[bytes, ...], fed: bytes, *, is_whole: bool
) -> None:
    response: Any = Response(*chunks)
    events: Any = FedRelay()
    whole: Any = FedRelay()
    await open_stream(response, events, (), OffLoop(), lambda: whole)
    assert (whole if is_whole else events).fed == fed
    assert not (events if is_whole else whole).fed
