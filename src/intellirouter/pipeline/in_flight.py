"""The requests in flight: how many there are, and which client has left.

A task per request that waits for the client to leave would cost more than most requests do. Instead one timer looks at
the requests in flight: the first time it meets a request, it marks it; the second time, it starts a task that waits
until the client has left and then cancels the request. Requests that are over before that cost nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from msgspec import Struct

from intellirouter.core import TaskOwner, errors
from intellirouter.pipeline.exchange import Exchange

_TICK_S: Final = 0.05

WaitUntilGone = Callable[[], Awaitable[None]]
"""Returns when the client has left. Cancelled when the request is over."""


class _Request(Struct, eq=False):
    task: "asyncio.Task[Any] | None"
    wait_until_gone: WaitUntilGone | None = None
    watcher: "asyncio.Task[None] | None" = None


class InFlight:
    """One per gateway. Every way into the pipeline adds its requests here. Lives on one event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._requests: dict[Exchange, _Request] = {}
        self._marked: set[Exchange] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._owner = TaskOwner("in flight")

    def __len__(self) -> int:
        return len(self._requests)

    def add(self, exchange: Exchange, limit: int) -> None:
        """Count a request, before its body is read. Raises `Overloaded` when `limit` are in flight already."""
        if len(self._requests) >= limit:
            raise errors.Overloaded(f"{limit} requests are already in flight.", retry_after_s=1.0)
        # With its loop given, this needs no system call (asking for the running loop does, on Python 3.11).
        self._requests[exchange] = _Request(asyncio.current_task(self._loop))

    def watch(self, exchange: Exchange, wait_until_gone: WaitUntilGone) -> None:
        """Cancel the request when its client leaves. Called once the body has been read."""
        self._requests[exchange].wait_until_gone = wait_until_gone
        if self._timer is None:
            self._timer = self._loop.call_later(_TICK_S, self._look)

    def remove(self, exchange: Exchange) -> None:
        """The request is over. Harmless for one that has not been added."""
        request = self._requests.pop(exchange, None)
        if request is not None and request.watcher is not None:
            request.watcher.cancel()

    def _look(self) -> None:
        self._timer = None
        for exchange in self._marked:
            request = self._requests.get(exchange)
            if request is not None and request.watcher is None:
                request.watcher = self._owner.start(self._watch(exchange, request), exchange.request_id)
        self._marked = {each for each, request in self._requests.items() if request.wait_until_gone is not None}
        if self._marked:
            self._timer = self._loop.call_later(_TICK_S, self._look)

    async def _watch(self, exchange: Exchange, request: _Request) -> None:
        if request.wait_until_gone is None:
            return
        await request.wait_until_gone()
        if exchange in self._requests and request.task is not None:
            exchange.is_client_gone = True
            request.task.cancel()
