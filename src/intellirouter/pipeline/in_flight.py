"""The requests in flight: limits their number and cancels those whose client disconnects.

One task per request that waits for a disconnect would cost more than most requests themselves. Instead, one timer
checks the requests in flight periodically. It starts such a task for requests that it sees for the second time, so
short requests need none.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from intellirouter.core import TaskOwner, errors
from intellirouter.pipeline.exchange import Exchange

_TICK_S: Final = 0.05

WaitForDisconnect = Callable[[], Awaitable[None]]
"""Returns when the client has disconnected. Canceled when the request ends."""


class InFlight:
    """One per gateway. Use it on one event loop only."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._requests: dict[Exchange, tuple[asyncio.Task[Any] | None, WaitForDisconnect | None]] = {}
        self._seen: set[Exchange] = set()
        self._watchers: dict[Exchange, asyncio.Task[None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._owner = TaskOwner("in flight")

    def __len__(self) -> int:
        return len(self._requests)

    def add(self, exchange: Exchange, limit: int, wait_for_disconnect: WaitForDisconnect | None) -> None:
        """Add a request before its body is read. Raises `Overloaded` if `limit` requests are in flight already.

        After the body has been received, the current task is canceled when the client disconnects. If
        `wait_for_disconnect` is None, the caller does that.
        """
        if len(self._requests) >= limit:
            raise errors.Overloaded(
                f"The gateway is at its limit of {limit} requests in flight.",
                hint="Try again later, or raise server.max_in_flight.",
                retry_after_s=1.0,
            )
        # Passing the loop avoids a system call, which looking up the running loop needs on Python 3.11.
        self._requests[exchange] = (asyncio.current_task(self._loop), wait_for_disconnect)
        if self._timer is None:
            self._timer = self._loop.call_later(_TICK_S, self._check)

    def remove(self, exchange: Exchange) -> None:
        """Remove a request that has ended. Does nothing if it was not added."""
        self._requests.pop(exchange, None)
        if self._watchers and (watcher := self._watchers.pop(exchange, None)) is not None:
            watcher.cancel()

    def _check(self) -> None:
        self._timer = None
        for exchange in self._seen:
            task, wait_for_disconnect = self._requests.get(exchange, (None, None))
            if wait_for_disconnect is not None and exchange not in self._watchers:
                watch = self._watch(exchange, wait_for_disconnect, task)
                self._watchers[exchange] = self._owner.start(watch, exchange.request_id)
        self._seen = {exchange for exchange in self._requests if exchange.is_received}
        if self._requests:
            self._timer = self._loop.call_later(_TICK_S, self._check)

    async def _watch(
        self, exchange: Exchange, wait_for_disconnect: WaitForDisconnect, task: "asyncio.Task[Any] | None"
    ) -> None:
        await wait_for_disconnect()
        if exchange in self._requests and task is not None:
            exchange.is_client_disconnected = True
            task.cancel()
