"""Streams that come from the cache: a stored one, and one that another request receives."""

from intellirouter.cache import Flight, Follower, Lagging, Landing
from intellirouter.core import Usage, errors
from intellirouter.pipeline.exchange import Exchange
from intellirouter.pipeline.stages import Piece


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
