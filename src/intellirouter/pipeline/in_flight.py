"""The requests in flight: how many there are, and which client has left.

A task per request that waits for the client to leave would cost more than most requests do. Instead one timer looks at
the requests in flight: the first time it meets a request, it marks it; the second time, it starts a task that waits
until the client has left and then cancels the request. Requests that are over before that cost nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from intellirouter.core import TaskOwner, errors
from intellirouter.pipeline.exchange import Exchange

_TICK_S: Final = 0.05

WaitUntilGone = Callable[[], Awaitable[None]]
"""Returns when the client has left. Cancelled when the request is over."""


class InFlight:
    """One per gateway. Every way into the pipeline adds its requests here. Lives on one event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._requests: dict[Exchange, tuple[asyncio.Task[Any] | None, WaitUntilGone | None]] = {}
        self._marked: set[Exchange] = set()
        self._watchers: dict[Exchange, asyncio.Task[None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._owner = TaskOwner("in flight")

    def __len__(self) -> int:
        return len(self._requests)

    def add(self, exchange: Exchange, limit: int, wait_until_gone: WaitUntilGone | None) -> None:
        """Count a request, before its body is read. Raises `Overloaded` when `limit` are in flight already.

        Once the exchange `is_received`, it is cancelled when its client leaves. `wait_until_gone` None: whoever added
        it does that.
        """
        if len(self._requests) >= limit:
            raise errors.Overloaded(f"{limit} requests are already in flight.", retry_after_s=1.0)
        # With its loop given, this needs no system call (asking for the running loop does, on Python 3.11).
        self._requests[exchange] = (asyncio.current_task(self._loop), wait_until_gone)
        if self._timer is None:
            self._timer = self._loop.call_later(_TICK_S, self._look)

    def remove(self, exchange: Exchange) -> None:
        """The request is over. Harmless for one that has not been added."""
        self._requests.pop(exchange, None)
        if self._watchers and (watcher := self._watchers.pop(exchange, None)) is not None:
            watcher.cancel()

    def _look(self) -> None:
        self._timer = None
        for exchange in self._marked:
            task, wait_until_gone = self._requests.get(exchange, (None, None))
            if wait_until_gone is not None and exchange not in self._watchers:
                watch = self._watch(exchange, wait_until_gone, task)
                self._watchers[exchange] = self._owner.start(watch, exchange.request_id)
        self._marked = {exchange for exchange in self._requests if exchange.is_received}
        if self._requests:
            self._timer = self._loop.call_later(_TICK_S, self._look)

    async def _watch(
        self, exchange: Exchange, wait_until_gone: WaitUntilGone, task: "asyncio.Task[Any] | None"
    ) -> None:
        await wait_until_gone()
        if exchange in self._requests and task is not None:
            exchange.is_client_gone = True
            task.cancel()
