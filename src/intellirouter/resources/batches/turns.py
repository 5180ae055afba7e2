"""Who may go next: a bounded number at once, in the order of asking. The bound may change at any time."""

import asyncio
from collections import deque
from collections.abc import Callable


class Turns:
    """Lives on one event loop."""

    def __init__(self, limit: Callable[[], int]) -> None:
        """`limit` returns how many may be at it now."""
        self._limit = limit
        self._waiting: deque[asyncio.Future[None]] = deque()
        self.taken = 0

    async def take(self) -> None:
        """Wait for a turn. Every turn taken must be given back."""
        if not self._waiting and self.taken < self._limit():
            self.taken += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back()  # it came at the last moment
            else:
                self._waiting.remove(turn)
            raise

    def give_back(self) -> None:
        self.taken -= 1
        while self._waiting and self.taken < self._limit():
            turn = self._waiting.popleft()
            if not turn.done():
                self.taken += 1
                turn.set_result(None)
