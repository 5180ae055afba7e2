"""Identical requests in flight: one of them, the leader, calls the upstream, and the others follow it.

    lead ─▶ take … ─▶ land  (complete)      followers get every piece from the beginning
              │
              └─────▶ fail                  followers that have not begun try again, others end with the error

The leader never waits for its followers. What it has received is kept for them up to a limit; a follower that lags
behind further than that has lost pieces and ends (`Lagging`). See DESIGN.md.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from intellirouter.core import Loss, errors

_WINDOW_BYTES: Final = 256 * 1024
"""What is kept of an answer that is too large to be stored, for the followers that it has already."""


class Landing(Struct, frozen=True, kw_only=True):
    """How an answer has ended that the leader's client was sent completely, or up to an error event."""

    content_type: bytes
    finish_reason: str | None
    losses: tuple[Loss, ...]
    cost_microusd: int | None
    times: tuple[tuple[int, int], ...] = ()
    """`StoredAnswer.pieces` of a stream; empty if its pace is not noted."""
    error: errors.GatewayError | None = None
    """The error that ended a stream. Its event is the last piece."""


class Flight:
    """One request in flight that others can follow. Use it on one event loop only."""

    def __init__(self, owner: "Flights", key: bytes, request_id: str, started_s: float) -> None:
        self._owner = owner
        self.key = key
        self.content_key = key
        """The key of the request, if `key` is that of its `Idempotency-Key`."""
        self.client_key = key
        """The key of what the client has sent, if `key` is that of its `Idempotency-Key`."""
        self.request_id = request_id
        self.started_s = started_s
        self.pieces: list[bytes] = []
        self.first_piece = 0
        """How many pieces have been dropped. Positions of followers count from the first piece ever."""
        self.is_partial = False
        """The answer has become too large to be kept from its beginning, so it can neither be joined nor stored."""
        self.landing: Landing | None = None
        self.error: errors.GatewayError | None = None
        self.error_event: bytes | None = None
        self.is_ended = False
        self.followers = 0
        self.cancel: Callable[[], object] | None = None
        """Ends the leader's request if its client has left."""
        self._size = 0
        self._waiters: list[asyncio.Future[None]] = []

    @property
    def is_once(self) -> bool:
        """Whether the request has an `Idempotency-Key`."""
        return self.key != self.content_key

    def has_followers(self) -> bool:
        return self.followers > 0

    def take(self, data: bytes) -> None:
        """Take the next bytes that the leader's client is sent."""
        if not data or self.is_ended or (self.is_partial and not self.followers):
            return
        self.pieces.append(data)
        self._grow(len(data))
        if self._size > self._owner.max_entry_bytes or self._owner.is_full:
            self.is_partial = True
        if self.is_partial:
            self._drop_oldest()
        self._wake()

    def land(self, landing: Landing) -> None:
        """End the flight: the answer is complete."""
        if not self.is_ended:
            self.landing = landing
            self._end()

    def fail(self, error: errors.GatewayError | None, error_event: bytes | None) -> None:
        """End the flight: there is no complete answer. `error` is None if the leader was canceled."""
        if not self.is_ended:
            self.error, self.error_event = error, error_event
            self._end()

    def join(self) -> "Follower":
        self.followers += 1
        return Follower(self)

    def leave(self) -> None:
        """Count one follower less. If it was the last one, the leader's request ends, unless its client waits."""
        self.followers -= 1
        if self.followers:
            return
        if self.is_ended:
            self._release()
        elif self.cancel is not None:
            self.cancel()

    async def wait(self) -> None:
        """Wait for the next piece, or the end."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter

    def _end(self) -> None:
        self.is_ended = True
        self.cancel = None  # it refers to the request, which refers to the flight
        self._owner.remove(self)
        if not self.followers:
            self._release()
        self._wake()

    def _release(self) -> None:
        """Give up the answer after the end, when no follower reads it any more."""
        self._grow(-self._size)
        self.first_piece += len(self.pieces)
        self.pieces = []

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for each in waiters:
            if not each.done():
                each.set_result(None)

    def _grow(self, size: int) -> None:
        self._size += size
        self._owner.used_bytes += size

    def _drop_oldest(self) -> None:
        """Keep a window for the followers, with at least the last piece; without followers, keep nothing."""
        least, limit = (1, _WINDOW_BYTES) if self.followers else (0, 0)
        dropped = 0
        while len(self.pieces) - dropped > least and self._size > limit:
            self._grow(-len(self.pieces[dropped]))
            dropped += 1
        del self.pieces[:dropped]
        self.first_piece += dropped


class Lagging(Exception):
    """The follower has lost pieces, because it has read too slowly."""


class Follower:
    """One request that follows another one. Always call `leave`."""

    def __init__(self, flight: Flight) -> None:
        self.flight = flight
        self._position = flight.first_piece
        self._has_left = False

    def leave(self) -> None:
        if not self._has_left:
            self._has_left = True
            self.flight.leave()

    @property
    def has_all(self) -> bool:
        """Whether `next` has returned everything that has arrived so far."""
        return self._position == self.flight.first_piece + len(self.flight.pieces)

    async def begun(self) -> bool:
        """Wait for the first piece, or the end. Returns whether there is something to send."""
        flight = self.flight
        while not flight.is_ended and not flight.pieces:
            await flight.wait()
        return bool(flight.pieces)

    async def ended(self) -> Landing | None:
        """Wait for the end. Returns None if there is no complete answer."""
        flight = self.flight
        while not flight.is_ended:
            await flight.wait()
        return flight.landing

    async def next(self) -> bytes:
        """Return everything that has arrived and was not returned yet; empty at the end. Raises `Lagging`."""
        flight = self.flight
        while True:
            at = self._position - flight.first_piece
            if at < 0:
                raise Lagging
            if at < len(flight.pieces):
                new = flight.pieces[at:]
                self._position += len(new)
                return new[0] if len(new) == 1 else b"".join(new)
            if flight.is_ended:
                return b""
            await flight.wait()


class Flights:
    """All requests in flight that others can follow, by key. One per process. Use it on one event loop only."""

    def __init__(self) -> None:
        self.max_entry_bytes = 0
        self._max_bytes = 0
        self._window_s = 0.0
        self._flights: dict[bytes, Flight] = {}
        self.used_bytes = 0
        """What is kept of answers that are arriving, and for followers that have not read them yet."""

    def __len__(self) -> int:
        return len(self._flights)

    @property
    def is_full(self) -> bool:
        return self.used_bytes > self._max_bytes

    def apply(self, *, max_bytes: int, max_entry_bytes: int, window_s: float) -> None:
        """Use other settings from now on. `window_s`: how old a request in flight may be to be joined."""
        self._max_bytes, self.max_entry_bytes, self._window_s = max_bytes, max_entry_bytes, window_s

    def joinable(self, key: bytes, now_s: float) -> Flight | None:
        """Return the request in flight with this key, if it can still be joined."""
        flight = self._flights.get(key)
        if flight is None or flight.is_partial or now_s - flight.started_s >= self._window_s:
            return None
        return flight

    def in_progress(self, key: bytes) -> Flight | None:
        """Return the request in flight with this key, however old it is."""
        return self._flights.get(key)

    def lead_once(self, key: bytes, content_key: bytes, request_id: str, now_s: float) -> Flight:
        """Return a new flight of a request with an `Idempotency-Key`, which can be joined until its end."""
        flight = self._flights[key] = Flight(self, key, request_id, now_s)
        flight.content_key = content_key
        return flight

    def lead(self, key: bytes, request_id: str, now_s: float, *, can_be_joined: bool) -> Flight:
        """Return a new flight. If it can be joined, it replaces one with the same key."""
        flight = Flight(self, key, request_id, now_s)
        if can_be_joined and self._window_s:
            self._flights[key] = flight
        return flight

    def remove(self, flight: Flight) -> None:
        if self._flights.get(flight.key) is flight:
            del self._flights[flight.key]
