"""Noticing that a client has left, at no cost to requests that are over before it could matter.

A watcher per request would cost a task each. Instead one timer looks at the requests under way: the first time it
meets one, it marks it; the second time, it starts a task that waits for the disconnect and then cancels the request.
"""

import asyncio
from typing import Final

from intellirouter.core import TaskOwner
from intellirouter.gateway.reply import Receive
from intellirouter.pipeline import Exchange

_TICK_S: Final = 0.05


class _Guest:
    __slots__ = ("exchange", "is_marked", "receive", "task", "watcher")

    def __init__(self, exchange: Exchange, receive: Receive, task: asyncio.Task[object]) -> None:
        self.exchange = exchange
        self.receive = receive
        self.task = task
        self.is_marked = False
        self.watcher: asyncio.Task[object] | None = None


class Presence:
    """The requests under way. `enter` when the body has been read, `leave` when the answer is out."""

    def __init__(self) -> None:
        self._guests: dict[Exchange, _Guest] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._owner = TaskOwner("presence")

    def __len__(self) -> int:
        return len(self._guests)

    def enter(self, exchange: Exchange, receive: Receive) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - ASGI applications run in tasks
        self._guests[exchange] = _Guest(exchange, receive, task)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_TICK_S, self._look)

    def leave(self, exchange: Exchange) -> None:
        guest = self._guests.pop(exchange, None)
        if guest is not None and guest.watcher is not None:
            guest.watcher.cancel()

    def _look(self) -> None:
        self._timer = None
        for guest in self._guests.values():
            if guest.is_marked and guest.watcher is None:
                guest.watcher = self._owner.start(self._watch(guest), guest.exchange.request_id)
            guest.is_marked = True
        if self._guests:
            self._timer = asyncio.get_running_loop().call_later(_TICK_S, self._look)

    async def _watch(self, guest: _Guest) -> None:
        while (await guest.receive())["type"] != "http.disconnect":
            pass
        if guest.exchange in self._guests:
            guest.exchange.is_client_gone = True
            guest.task.cancel()
