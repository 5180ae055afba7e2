"""The requests in flight: limits their number and their bodies, and cancels those whose client disconnects."""

import asyncio
from typing import Any, Final

from intellirouter.core import AnswerBudget, errors
from intellirouter.pipeline.exchange import Exchange

_SMALL_BYTES: Final = 64 * 1024
"""Smaller bodies are limited by the number of requests."""


class InFlight:
    """One per gateway. Use it on one event loop only."""

    def __init__(self, answers: AnswerBudget | None = None) -> None:
        """`answers` counts the answers of the requests."""
        self.answers = answers or AnswerBudget()
        self._loop = asyncio.get_running_loop()
        self._requests: dict[Exchange, asyncio.Task[Any] | None] = {}
        self._body_bytes: dict[Exchange, int] = {}
        """The sizes of large bodies, which are kept as long as their requests, because an attempt may need them."""
        self._total_bytes = 0
        self.added = 0
        """How many requests were added since the start."""

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
        self.added += 1

    def add_body(self, exchange: Exchange, size: int, limit_bytes: int) -> None:
        """Count the body of a request. Raises `Overloaded` if the large bodies of all requests exceed the limit.

        A single body may be larger than the limit.
        """
        if size <= _SMALL_BYTES:
            return
        if self._total_bytes and self._total_bytes + size > limit_bytes:
            raise errors.Overloaded(
                f"The bodies of the requests in flight have reached the limit of {limit_bytes} bytes.",
                hint="Try again later, or raise server.max_in_flight_bytes.",
                retry_after_s=1.0,
            )
        self._body_bytes[exchange] = size
        self._total_bytes += size

    def remove(self, exchange: Exchange) -> None:
        """Remove a request that has ended. Does nothing if it was not added."""
        self._requests.pop(exchange, None)
        if self._body_bytes:
            self._total_bytes -= self._body_bytes.pop(exchange, 0)
        if self.answers.held:
            self.answers.release(exchange)

    def disconnect(self, exchange: Exchange) -> None:
        """Cancel a request, because its client has disconnected. Does nothing if it has ended.

        A request whose answer others wait for continues without its client.
        """
        task = self._requests.get(exchange)
        if task is not None:
            exchange.is_client_disconnected = True
            if exchange.is_needed_by_others is None or not exchange.is_needed_by_others():
                task.cancel()
