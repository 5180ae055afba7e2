"""One connection to a Redis server. Commands are sent at once, and replies arrive in the order of the commands.

So a slow reply delays those behind it, and no command can be taken for another one, whoever stops waiting. One timer
serves all deadlines. While the oldest reply is overdue, `is_overdue` is true, and nothing else should be asked. If it
is overdue for long, the connection is closed.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from math import inf
from typing import Final, cast

from intellirouter.cache.redis.resp import ProtocolError, Reply, ReplyReader

MAX_PENDING: Final = 4096
MAX_UNSENT_BYTES: Final = 4 * 1024 * 1024
_STALLED_S: Final = 1.0
"""How long the oldest reply may be overdue."""
_BYTES_PER_S: Final = 20_000_000
"""What a slow network transfers at least. Large values get more time."""

OnReply = Callable[[Reply | Exception], None]
"""Takes the reply to a command that no task awaits, or the error because of which there is none."""


class ConnectionLost(Exception):
    """The connection has been closed. The message says why."""


class Overdue(Exception):
    """The server has not replied in time."""


class _Pending:
    """A command whose reply has not arrived."""

    __slots__ = ("deadline_s", "is_late", "on_reply", "waiter")

    def __init__(
        self, deadline_s: float, waiter: "asyncio.Future[Reply] | None" = None, on_reply: OnReply | None = None
    ) -> None:
        self.deadline_s = deadline_s
        self.waiter = waiter
        self.on_reply = on_reply
        self.is_late = False

    def resolve(self, reply: Reply | Exception) -> None:
        """Pass the reply on, unless the time was over before."""
        if (waiter := self.waiter) is not None:
            if waiter.done():
                return
            if isinstance(reply, Exception):
                waiter.set_exception(reply)
            else:
                waiter.set_result(reply)
        elif self.on_reply is not None and not self.is_late:
            self.on_reply(reply)


class RedisConnection(asyncio.Protocol):
    """Use it on one event loop only."""

    def __init__(self, timeout_s: float, max_value_bytes: int) -> None:
        self.timeout_s = timeout_s
        """How long a reply may take."""
        self._reader = ReplyReader(max_value_bytes)
        self._loop = asyncio.get_running_loop()
        self._pending: deque[_Pending] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_s = inf
        self._transport: asyncio.Transport | None = None
        self._problem = ""
        self.is_overdue = False
        self.ended: asyncio.Future[str] = self._loop.create_future()
        """Why the connection has been closed."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def connection_lost(self, exc: Exception | None) -> None:
        reason = self._problem or (f"The connection broke ({exc})." if exc else "The server closed the connection.")
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
        if not self.ended.done():
            self.ended.set_result(reason)
        while self._pending:
            self._pending.popleft().resolve(ConnectionLost(reason))

    def data_received(self, data: bytes) -> None:
        try:
            replies = self._reader.feed(data)
        except ProtocolError as error:
            self.abort(str(error))
            return
        for reply in replies:
            if not self._pending:
                self.abort("The server has sent a reply without a command.")
                return
            self._pending.popleft().resolve(reply)
        if self.is_overdue:
            self.is_overdue = bool(self._pending) and self._pending[0].deadline_s <= self._loop.time()

    @property
    def can_send(self) -> bool:
        """Whether another command may be sent now."""
        transport = self._transport
        return (
            transport is not None
            and not self.is_overdue
            and len(self._pending) < MAX_PENDING
            and transport.get_write_buffer_size() <= MAX_UNSENT_BYTES
        )

    def ask(self, command: bytes) -> "asyncio.Future[Reply]":
        """Send a command. Await the result: it raises `ServerError`, `Overdue` or `ConnectionLost`."""
        waiter: asyncio.Future[Reply] = self._loop.create_future()
        self._send(command, _Pending(self._deadline(0), waiter))
        return waiter

    def tell(self, command: bytes, on_reply: OnReply) -> None:
        """Send a command without waiting. `on_reply` is called once: with the reply, or with an error."""
        self._send(command, _Pending(self._deadline(len(command)), on_reply=on_reply))

    def abort(self, problem: str) -> None:
        """Close the connection at once."""
        self._problem = self._problem or problem
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        """Close the connection after everything has been sent, if that is possible at once."""
        self._problem = self._problem or "The gateway closed the connection."
        if self._transport is not None:
            self._transport.close()

    def _deadline(self, size_bytes: int) -> float:
        return self._loop.time() + self.timeout_s + size_bytes / _BYTES_PER_S

    def _send(self, command: bytes, pending: _Pending) -> None:
        if self._transport is None:
            pending.resolve(ConnectionLost(self._problem or "There is no connection."))
            return
        self._pending.append(pending)
        self._transport.write(command)
        if pending.deadline_s < self._timer_s:
            self._set_timer(pending.deadline_s)

    def _on_time(self) -> None:
        """Fail the commands whose time is over, and set the timer for the next ones."""
        self._timer_s = inf
        if not self._pending:
            return
        now_s = self._loop.time()
        oldest_s = self._pending[0].deadline_s
        if now_s - oldest_s >= _STALLED_S:
            self.abort(f"The server did not reply within {self.timeout_s + _STALLED_S:g} s.")
            return
        self.is_overdue = self.is_overdue or oldest_s <= now_s
        next_s = oldest_s + _STALLED_S
        for each in self._pending:
            if each.deadline_s > now_s:
                next_s = min(next_s, each.deadline_s)
            elif not each.is_late:
                each.resolve(Overdue("The server did not reply in time."))
                each.is_late = True
        self._set_timer(max(next_s, now_s + self.timeout_s / 10))

    def _set_timer(self, at_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_s = at_s
        self._timer = self._loop.call_at(at_s, self._on_time)
