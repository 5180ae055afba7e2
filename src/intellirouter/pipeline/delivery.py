"""Sends an answer to the client. Taps see all of it, and the exchange is settled before the last bytes are sent."""

from collections.abc import Callable

from msgspec import Struct

from intellirouter.pipeline.exchange import Exchange, Reply
from intellirouter.pipeline.stages import AnswerTap


class Delivery(Struct, frozen=True):
    """Sends complete answers and streams. Waits while the client reads slowly."""

    exchange: Exchange
    reply: Reply
    taps: tuple[AnswerTap, ...]
    settle: Callable[[Exchange], None]

    async def complete(self, body: bytes, content_type: bytes) -> None:
        """Settle the exchange and send a complete answer."""
        if self.taps:
            await self._finish_taps(body)
        else:
            self.settle(self.exchange)
        await self.reply.complete(200, self.exchange, body, content_type)

    async def write(self, data: bytes) -> None:
        """Send the next bytes of a stream that has begun."""
        for tap in self.taps:
            tap.take(data)
        await self.reply.write(data)

    async def end(self, last: bytes) -> None:
        """Settle the exchange and send the last bytes of a stream."""
        if self.taps:
            await self._finish_taps(last)
        else:
            self.settle(self.exchange)
        await self.reply.end(last)

    async def _finish_taps(self, last: bytes) -> None:
        for tap in self.taps:
            tap.take(last)
        self.settle(self.exchange)
        for tap in self.taps:
            await tap.finish(self.exchange)
