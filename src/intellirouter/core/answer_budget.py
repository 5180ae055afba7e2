"""Limits the memory for large answers over all requests: those that arrive, and those that clients are still reading.

While the limit is reached, the gateway reads no further from upstreams. Answers that arrive could then wait for each
other forever, so one of them, the leader, may ignore the others. Answers that wait for their clients stop it as well.
The memory in use is therefore at most twice the limit.
"""

import asyncio
from collections import deque
from typing import Final

from intellirouter.core import errors

FREE_ANSWER_BYTES: Final = 64 * 1024
"""Smaller answers are limited by the number of requests."""
_MAX_WAIT_S: Final = 30.0


class AnswerBudget:
    """One per gateway. Use it on one event loop only."""

    def __init__(self, limit_bytes: int = 128 * 1024 * 1024) -> None:
        self._limit_bytes = limit_bytes
        self._arriving_bytes = 0
        self.held: dict[object, int] = {}
        """The sizes of the answers that have arrived, by owner. Empty most of the time."""
        self._held_bytes = 0
        self._leader: ArrivingAnswer | None = None
        self._waiting: deque[tuple[ArrivingAnswer, int, asyncio.Future[None]]] = deque()

    @property
    def used_bytes(self) -> int:
        return self._arriving_bytes + self._held_bytes

    def set_limit(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._grant()

    def hold(self, owner: object, size_bytes: int) -> None:
        """Count an answer that has arrived, until `release`. It replaces another answer of the same owner."""
        if size_bytes > FREE_ANSWER_BYTES:
            self._held_bytes += size_bytes - self.held.get(owner, 0)
            self.held[owner] = size_bytes

    def hold_if_possible(self, owner: object, size_bytes: int) -> None:
        """Count an answer that the gateway can make again, until `release`. Raises `AnswerBufferFull`."""
        if size_bytes > FREE_ANSWER_BYTES and self._held_bytes and self.used_bytes + size_bytes > self._limit_bytes:
            raise self._full()
        self.hold(owner, size_bytes)

    def release(self, owner: object) -> None:
        """Stop counting the owner's answer, because its client has read it, or never will. Idempotent."""
        if self.held and (size := self.held.pop(owner, 0)):
            self._held_bytes -= size
            self._grant()

    async def reserve(self, answer: "ArrivingAnswer", size_bytes: int) -> None:
        """Wait until an answer may grow by this size. Raises `AnswerBufferFull` if that takes too long."""
        is_leader = answer is self._leader
        if (is_leader or not self._waiting) and self._take(answer, size_bytes):
            return
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (answer, size_bytes, granted)
        if is_leader:
            self._waiting.appendleft(entry)
        else:
            self._waiting.append(entry)
        try:
            async with asyncio.timeout(_MAX_WAIT_S):
                await granted
        except TimeoutError:
            raise self._full() from None
        finally:
            if entry in self._waiting:
                self._waiting.remove(entry)
                self._grant()

    def end(self, answer: "ArrivingAnswer") -> None:
        """Stop counting an answer that arrives."""
        self._arriving_bytes -= answer.size_bytes
        answer.size_bytes = 0
        if answer is self._leader:
            self._leader = None
        self._grant()

    def _full(self) -> errors.AnswerBufferFull:
        return errors.AnswerBufferFull(
            f"Clients read their answers too slowly: {self.used_bytes} bytes are waiting for them.",
            hint="Read answers faster, request streams, or raise server.max_buffered_answer_bytes.",
            retry_after_s=1.0,
        )

    def _take(self, answer: "ArrivingAnswer", size_bytes: int) -> bool:
        """Let an answer grow, if possible. One answer alone may exceed the limit."""
        if self.used_bytes + size_bytes > self._limit_bytes:
            if self._leader not in {None, answer}:
                return False
            if self._held_bytes and self._held_bytes + answer.size_bytes + size_bytes > self._limit_bytes:
                return False
            self._leader = answer
        answer.size_bytes += size_bytes
        self._arriving_bytes += size_bytes
        return True

    def _grant(self) -> None:
        while self._waiting:
            answer, size_bytes, granted = self._waiting[0]
            if not granted.done():
                if not self._take(answer, size_bytes):
                    return
                granted.set_result(None)
            self._waiting.popleft()


class ArrivingAnswer:
    """An answer that is being read from an upstream. Always call `end`."""

    __slots__ = ("_budget", "size_bytes")

    def __init__(self, budget: AnswerBudget) -> None:
        self._budget = budget
        self.size_bytes = 0

    async def grow_to(self, size_bytes: int) -> None:
        """Wait until the answer may have this size. Raises `AnswerBufferFull`."""
        await self._budget.reserve(self, size_bytes - self.size_bytes)

    def end(self) -> None:
        self._budget.end(self)
