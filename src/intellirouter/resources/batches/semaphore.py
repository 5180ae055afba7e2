"""A semaphore that is fair between tenants, and whose limit can change at any time."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable


class AdjustableSemaphore:
    """Tenants take turns, and the waiters of one tenant acquire it in the order of their calls.

    Use it on one event loop only.
    """

    def __init__(self, limit: Callable[[], int]) -> None:
        """`limit` returns the current number of slots."""
        self._limit = limit
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        """By tenant, the one whose turn is next first."""
        self.held = 0

    async def acquire(self, tenant: str = "") -> None:
        """Wait for a slot. Every slot must be released."""
        if not self._waiting and self.held < self._limit():
            self.held += 1
            return
        slot: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(tenant, deque()).append(slot)
        try:
            await slot
        except asyncio.CancelledError:
            if slot.done() and not slot.cancelled():
                self.release()  # the slot was granted just before the cancellation
            else:
                self._leave(tenant, slot)
            raise

    def release(self) -> None:
        self.held -= 1
        while self._waiting and self.held < self._limit():
            slot = self._next()
            if not slot.done():
                self.held += 1
                slot.set_result(None)

    def _next(self) -> asyncio.Future[None]:
        """Remove and return the next waiter. Its tenant goes to the end."""
        tenant, queue = self._waiting.popitem(last=False)
        slot = queue.popleft()
        if queue:
            self._waiting[tenant] = queue
        return slot

    def _leave(self, tenant: str, slot: asyncio.Future[None]) -> None:
        queue = self._waiting.get(tenant)
        if queue is not None and slot in queue:
            queue.remove(slot)
            if not queue:
                del self._waiting[tenant]
