"""Limits the memory for request bodies and WebSocket messages that are arriving, over all connections."""

import asyncio
from collections import deque
from typing import Final

from intellirouter.core import errors

_MAX_WAIT_S: Final = 5.0
_MAX_WAITING: Final = 1024


class BodyBudget:
    """Reserves bytes for large bodies before they are read. Reservations are granted in the order of arrival."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._used = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def reserve(self, size: int) -> int:
        """Wait until `size` bytes are available, but at most all of them. Return how many are to be released later.

        Raises `Overloaded` if that takes too long.
        """
        size = min(size, self.limit_bytes)
        if not self._waiting and self._used + size <= self.limit_bytes:
            self._used += size
            return size
        if len(self._waiting) >= _MAX_WAITING:
            raise _overloaded()
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (size, granted)
        self._waiting.append(entry)
        try:
            async with asyncio.timeout(_MAX_WAIT_S):
                await granted
        except BaseException as error:
            if granted.done() and not granted.cancelled():
                self.release(size)
            else:
                if entry in self._waiting:
                    self._waiting.remove(entry)
                self._grant()
            if isinstance(error, TimeoutError):
                raise _overloaded() from None
            raise
        return size

    def release(self, size: int) -> None:
        """Return what `reserve` has returned. The limit may have changed in the meantime."""
        self._used -= size
        self._grant()

    def _grant(self) -> None:
        # A lower limit must not block a reservation that was made under a higher one.
        while self._waiting and self._used + min(self._waiting[0][0], self.limit_bytes) <= self.limit_bytes:
            size, granted = self._waiting.popleft()
            if not granted.done():
                self._used += size
                granted.set_result(None)


def _overloaded() -> errors.Overloaded:
    return errors.Overloaded(
        "The gateway is receiving too many large request bodies.",
        hint="Try again later, or raise server.max_buffered_bytes.",
        retry_after_s=1.0,
    )
