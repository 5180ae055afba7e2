"""Noticing that a client has left, at no cost to requests that are over before it could matter.

A watcher per request would cost a task each. Instead one timer looks at the requests under way: the first time it
meets one, it marks it; the second time, it starts a task that waits for the disconnect and then cancels the request.
"""

import asyncio
from typing import Any, Final

from intellirouter.core import TaskOwner
from intellirouter.gateway.asgi import Receive
from intellirouter.pipeline import Exchange

_TICK_S: Final = 0.05


class InFlight:
    """The requests under way. `enter` when the body has been read, `leave` when the answer is out."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._guests: dict[Exchange, tuple[Receive | None, asyncio.Task[Any] | None]] = {}
        self._marked: set[Exchange] = set()
        self._watchers: dict[Exchange, asyncio.Task[None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._owner = TaskOwner("in_flight")

    def __len__(self) -> int:
        return len(self._guests)

    def enter(self, exchange: Exchange, receive: Receive | None) -> None:
        """Count it. Without `receive` (on a socket) somebody else notices that the client leaves."""
        # With its loop given, this needs no system call (asking for the running loop does, on Python 3.11).
        self._guests[exchange] = (receive, asyncio.current_task(self._loop))
        if self._timer is None:
            self._timer = self._loop.call_later(_TICK_S, self._look)

    def leave(self, exchange: Exchange) -> None:
        self._guests.pop(exchange, None)
        if self._watchers and (watcher := self._watchers.pop(exchange, None)) is not None:
            watcher.cancel()

    def _look(self) -> None:
        self._timer = None
        for exchange in self._marked:
            receive, task = self._guests.get(exchange, (None, None))
            if receive is not None and exchange not in self._watchers:
                self._watchers[exchange] = self._owner.start(self._watch(exchange, receive, task), exchange.request_id)
        self._marked = set(self._guests)
        if self._guests:
            self._timer = self._loop.call_later(_TICK_S, self._look)

    async def _watch(self, exchange: Exchange, receive: Receive, task: asyncio.Task[Any] | None) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        if exchange in self._guests and task is not None:
            exchange.is_client_gone = True
            task.cancel()
