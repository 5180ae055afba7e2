"""Relaying streams: what is sent when content arrives with the end, and what is recorded of the request."""

import json
from typing import Any

from intellirouter.core import OffLoop, Usage
from intellirouter.pipeline.delivery import Delivery
from intellirouter.pipeline.stream import open_stream, relay_stream
from tests.support.pipeline import EVENTS, World
from tests.support.pipeline import Response as UpstreamAnswer


class Response:
    def __init__(self, *chunks: bytes) -> None:
        self._chunks = list(chunks)

    async def next_chunk(self) -> bytes:
        return self._chunks.pop(0) if self._chunks else b""

    def content_began(self) -> None:
        """Nothing to count here."""


class LateRelay:
    """A relay of a stream whose last event is the only one with content."""

    has_content = is_finished = False
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

    async def write(self, data: bytes) -> None:
        self.sent += data


async def test_content_that_arrives_with_the_end_is_not_lost() -> None:
    reply: Any = Reply()
    response: Any = Response(b"x", b"y")
    relay: Any = LateRelay()
    exchange: Any = None
    stream = await open_stream(response, relay, (), OffLoop())
    assert stream.is_complete
    last = await relay_stream(stream, Delivery(exchange, reply, (), lambda _: None))
    assert reply.sent + last == b"[all of it][end]"


async def test_losses_of_a_streamed_request_are_recorded() -> None:
    world = World(a=UpstreamAnswer(*EVENTS))
    body = {"model": "m", "max_tokens": 9, "stream": True, "top_k": 5, "messages": [{"role": "user", "content": "hi"}]}
    await world.serve(json.dumps(body).encode(), endpoint="anthropic_messages")
    assert world.reply.error is None
    assert world.record.dropped == ("top_k;how=dropped",)
