"""Sends an answer to the client. Taps see all of it, and the exchange is settled before the last bytes are sent."""

from collections.abc import Awaitable, Callable
from functools import partial

from msgspec import Struct

from intellirouter.pipeline.exchange import Exchange, Reply, note_disconnection
from intellirouter.pipeline.stages import AnswerTap


class Delivery(Struct, frozen=True):
    """Sends complete answers and streams. Waits while the client reads slowly."""

    exchange: Exchange
    reply: Reply
    taps: tuple[AnswerTap, ...]
    settle: Callable[[Exchange], None]

    def complete(self, body: bytes, content_type: bytes) -> Awaitable[None]:
        """Settle the exchange and send a complete answer."""
        if self.taps:
            self.exchange.content_type = content_type
            return self._tapped(body, partial(self.reply.complete, 200, self.exchange, body, content_type))
        self.settle(self.exchange)
        return self.reply.complete(200, self.exchange, body, content_type)

    def write(self, data: bytes) -> Awaitable[None]:
        """Send the next bytes of a stream that has begun."""
        for tap in self.taps:
            tap.take(data)
        return _nothing() if self.exchange.is_client_disconnected else self.reply.write(data)

    def end(self, last: bytes) -> Awaitable[None]:
        """Settle the exchange and send the last bytes of a stream."""
        if self.taps:
            if (call := self.exchange.call) is not None:
                self.exchange.content_type = call.stream_type
            return self._tapped(last, partial(self.reply.end, last))
        self.settle(self.exchange)
        return self.reply.end(last)

    async def _tapped(self, last: bytes, send: Callable[[], Awaitable[None]]) -> None:
        for tap in self.taps:
            tap.take(last)
        if self.exchange.is_client_disconnected:
            self.exchange.answer_error = self.exchange.error
            note_disconnection(self.exchange)
        self.settle(self.exchange)
        for tap in self.taps:
            await tap.finish(self.exchange)
        if not self.exchange.is_client_disconnected:
            await send()


async def _nothing() -> None:
    """Send nothing, because the client has disconnected. Only other requests wait for the answer."""
