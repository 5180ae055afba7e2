"""A fair semaphore whose limit can change at any time."""

import asyncio
from collections import deque
from collections.abc import Callable


class AdjustableSemaphore:
    """Waiters acquire it in the order of their calls. Use it on one event loop only."""

    def __init__(self, limit: Callable[[], int]) -> None:
        """`limit` returns the current number of slots."""
        self._limit = limit
        self._waiting: deque[asyncio.Future[None]] = deque()
        self.held = 0

    async def acquire(self) -> None:
        """Wait for a slot. Every slot must be released."""
        if not self._waiting and self.held < self._limit():
            self.held += 1
            return
        slot: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(slot)
        try:
            await slot
        except asyncio.CancelledError:
            if slot.done() and not slot.cancelled():
                self.release()  # the slot was granted just before the cancellation
            else:
                self._waiting.remove(slot)
            raise

    def release(self) -> None:
        self.held -= 1
        while self._waiting and self.held < self._limit():
            slot = self._waiting.popleft()
            if not slot.done():
                self.held += 1
                slot.set_result(None)
