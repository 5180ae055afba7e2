"""The requests in flight: limits their number, and cancels those whose client disconnects."""

import asyncio
from typing import Any

from intellirouter.core import errors
from intellirouter.pipeline.exchange import Exchange


class InFlight:
    """One per gateway. Use it on one event loop only."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._requests: dict[Exchange, asyncio.Task[Any] | None] = {}

    def __len__(self) -> int:
        return len(self._requests)

    def add(self, exchange: Exchange, limit: int) -> None:
        """Add a request before its body is read. Raises `Overloaded` if `limit` requests are in flight already."""
        if len(self._requests) >= limit:
            raise errors.Overloaded(
                f"The gateway is at its limit of {limit} requests in flight.",
                hint="Try again later, or raise server.max_in_flight.",
                retry_after_s=1.0,
            )
        # Passing the loop avoids a system call, which looking up the running loop needs on Python 3.11.
        self._requests[exchange] = asyncio.current_task(self._loop)

    def remove(self, exchange: Exchange) -> None:
        """Remove a request that has ended. Does nothing if it was not added."""
        self._requests.pop(exchange, None)

    def disconnect(self, exchange: Exchange) -> None:
        """Cancel a request, because its client has disconnected. Does nothing if it has ended."""
        task = self._requests.get(exchange)
        if task is not None:
            exchange.is_client_disconnected = True
            task.cancel()
