"""Relaying a stream whose content arrives with its end: all of it is sent, once."""

from typing import Any

from intellirouter.core import Usage
from intellirouter.pipeline.delivery import Delivery
from intellirouter.pipeline.stream import open_stream, relay_stream


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
    content_events = 0
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
    stream = await open_stream(response, relay, ())
    assert stream.is_complete
    last = await relay_stream(stream, Delivery(exchange, reply, (), lambda _: None))
    assert reply.sent + last == b"[all of it][end]"
