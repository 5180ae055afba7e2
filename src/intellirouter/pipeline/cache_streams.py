"""Streams that come from the cache: a stored one, at once or at its original pace, and that of another request."""

import asyncio
from collections.abc import Sequence
from typing import Final

from intellirouter.cache import Flight, Follower, Lagging, Landing
from intellirouter.core import Clock, Usage, errors
from intellirouter.pipeline.exchange import Exchange
from intellirouter.pipeline.stages import Piece

_MAX_PIECES: Final = 1024
"""How many pieces of a stream are distinguished. Above that, two become one."""


class StoredStream:
    """Implements `Pieces` for a stored stream: one piece with all bytes."""

    def __init__(self, body: bytes) -> None:
        self._body: bytes | None = body

    def __aiter__(self) -> "StoredStream":
        return self

    async def __anext__(self) -> Piece:
        body, self._body = self._body, None
        if body is None:
            raise StopAsyncIteration
        return Piece(body, is_last=True)

    async def aclose(self) -> None:
        """Do nothing: there is nothing to release."""


class PieceTimes:
    """Notes when the pieces of a stream are sent, for sending it again at the same pace."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began_s: float | None = None
        self._end = 0
        self._pieces: list[tuple[int, int]] = []

    def note(self, data: bytes) -> None:
        now_s = self._clock.monotonic_s()
        if self._began_s is None:
            self._began_s = now_s
        self._end += len(data)
        at_ms = int((now_s - self._began_s) * 1e3)
        if self._pieces and self._pieces[-1][1] == at_ms:
            self._pieces[-1] = (self._end, at_ms)
            return
        self._pieces.append((self._end, at_ms))
        if len(self._pieces) > _MAX_PIECES:
            self._pieces = self._pieces[1::2]

    def taken(self) -> tuple[tuple[int, int], ...]:
        """Return the pieces as `StoredAnswer` has them."""
        if not self._pieces or self._pieces[-1][0] == self._end:
            return tuple(self._pieces)
        return (*self._pieces, (self._end, self._pieces[-1][1]))


class PacedStream:
    """Implements `Pieces` for a stored stream: the pieces with their original pauses, or shorter ones."""

    def __init__(self, body: bytes, pieces: Sequence[tuple[int, int]], max_s: float) -> None:
        """`max_s`: how long all pauses together may be."""
        self._body = body
        self._pieces = iter(pieces)
        self._size = len(body)
        total_s = pieces[-1][1] / 1e3
        self._pace = 1e-3 * min(1.0, max_s / total_s if total_s else 1.0)
        self._sent = 0
        self._began_s: float | None = None

    def __aiter__(self) -> "PacedStream":
        return self

    async def __anext__(self) -> Piece:
        if self._sent >= self._size:
            raise StopAsyncIteration
        end, at_ms = next(self._pieces, (self._size, 0))
        end = min(max(end, self._sent), self._size)
        now_s = asyncio.get_running_loop().time()
        if self._began_s is None:
            self._began_s = now_s
        elif (wait_s := self._began_s + at_ms * self._pace - now_s) > 0:
            await asyncio.sleep(wait_s)
        begin, self._sent = self._sent, end
        return Piece(self._body[begin:end], is_last=end == self._size)

    async def aclose(self) -> None:
        """Do nothing: there is nothing to release."""


class FollowedStream:
    """Implements `Pieces` for a follower: the stream as the leader receives it. Raises the error that ended it."""

    def __init__(self, exchange: Exchange, follower: Follower, first: bytes) -> None:
        self._exchange = exchange
        self._follower = follower
        self._next: bytes | None = first
        self._is_done = False

    def __aiter__(self) -> "FollowedStream":
        return self

    async def __anext__(self) -> Piece:
        if self._is_done:
            raise StopAsyncIteration
        exchange, follower, flight = self._exchange, self._follower, self._follower.flight
        try:
            data, self._next = self._next, None
            if data is None:
                data = await follower.next()
        except Lagging:
            raise errors.Overloaded(
                "The client has read the stream too slowly. It shares the answer of an identical request, of which "
                "only the last part is kept.",
                hint="Read faster, or send `Cache-Control: no-store` to get an answer of your own.",
            ) from None
        if data and not (flight.is_ended and follower.has_all and flight.landing is not None):
            return Piece(data, is_last=False)
        self._is_done = True
        if (landing := flight.landing) is None:
            raise _broken_off(exchange, flight)
        note_shared(exchange, "joined", flight.request_id, landing)
        exchange.error = landing.error
        return Piece(data, is_last=True)

    async def aclose(self) -> None:
        self._follower.leave()


def _broken_off(exchange: Exchange, flight: Flight) -> errors.GatewayError:
    """Return the error of a stream whose leader failed after the beginning."""
    if flight.error is None:
        return errors.UpstreamDisconnected(f"The identical request {flight.request_id} was canceled.")
    exchange.error_event = flight.error_event
    return errors.without_frames(flight.error)


def note_shared(exchange: Exchange, status: str, source: str, landing: Landing) -> None:
    """Note in the exchange that it has got the answer of another one."""
    use = exchange.cache
    if use is not None:
        use.status, use.source, use.saved_microusd = status, source, landing.cost_microusd
    exchange.usage = Usage()
    exchange.finish_reason, exchange.losses = landing.finish_reason, landing.losses
