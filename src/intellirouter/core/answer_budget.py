"""Limits the memory for large answers over all requests: those that arrive, and those that clients are still reading.

While the limit is reached, the gateway reads no further from upstreams. Answers that arrive could then wait for each
other forever, so one of them, the leader, may ignore the others. Answers that wait for their clients stop it as well.
The memory in use is therefore at most twice the limit.

Tenants have fair shares, as in `fair_share`: the answers of a tenant whose clients do not read use at most as much as
is left for the others. The first answer of a tenant needs no share, because it may be larger.
"""

import asyncio
from collections import deque
from typing import Final

from msgspec import Struct, field

from intellirouter.core import errors

FREE_ANSWER_BYTES: Final = 64 * 1024
"""Smaller answers are limited by the number of requests."""
_MAX_WAIT_S: Final = 30.0


class _Waiting(Struct, eq=False):
    """An answer that waits until it may grow."""

    answer: "ArrivingAnswer"
    size_bytes: int
    granted: "asyncio.Future[None]"


class _Share(Struct, eq=False):
    """What one tenant uses of the budget."""

    arriving_bytes: int = 0
    held_bytes: int = 0
    waiting: deque[_Waiting] = field(default_factory=deque)
    """In the order in which they are granted."""

    @property
    def used_bytes(self) -> int:
        return self.arriving_bytes + self.held_bytes


_NOTHING: Final = _Share()


class AnswerBudget:
    """One per gateway. Use it on one event loop only."""

    def __init__(self, limit_bytes: int = 128 * 1024 * 1024) -> None:
        self._limit_bytes = limit_bytes
        self._arriving_bytes = 0
        self.held: dict[object, tuple[str, int]] = {}
        """The tenants and the sizes of the answers that have arrived, by owner. Empty most of the time."""
        self._held_bytes = 0
        self._leader: ArrivingAnswer | None = None
        self._shares: dict[str, _Share] = {}
        """By tenant. The tenants that use nothing, and wait for nothing, have none."""

    @property
    def used_bytes(self) -> int:
        return self._arriving_bytes + self._held_bytes

    def set_limit(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._grant()

    def hold(self, owner: object, size_bytes: int, tenant: str = "") -> None:
        """Count an answer that has arrived, until `release`. It replaces another answer of the same owner."""
        if size_bytes > FREE_ANSWER_BYTES:
            if owner in self.held:
                self._uncount(owner)
            self._held_bytes += size_bytes
            self._share(tenant).held_bytes += size_bytes
            self.held[owner] = (tenant, size_bytes)

    def hold_if_possible(self, owner: object, size_bytes: int, tenant: str = "") -> None:
        """Count an answer that the gateway can make again, until `release`. Raises `AnswerBufferFull`."""
        if size_bytes > FREE_ANSWER_BYTES and self._held_bytes and not self._fits(tenant, 0, size_bytes):
            raise self._full(tenant)
        self.hold(owner, size_bytes, tenant)

    def release(self, owner: object) -> None:
        """Stop counting the owner's answer, because its client has read it, or never will. Idempotent."""
        if self.held and owner in self.held:
            self._uncount(owner)
            self._grant()

    async def reserve(self, answer: "ArrivingAnswer", size_bytes: int) -> None:
        """Wait until an answer may grow by this size. Raises `AnswerBufferFull` if that takes too long."""
        share, is_leader = self._share(answer.tenant), answer is self._leader
        if (is_leader or not share.waiting) and self._take(answer, size_bytes):
            return
        entry = _Waiting(answer, size_bytes, asyncio.get_running_loop().create_future())
        if is_leader:
            share.waiting.appendleft(entry)
        else:
            share.waiting.append(entry)
        try:
            async with asyncio.timeout(_MAX_WAIT_S):
                await entry.granted
        except TimeoutError:
            raise self._full(answer.tenant) from None
        finally:
            if entry in share.waiting:
                share.waiting.remove(entry)
                self._forget(answer.tenant)
                self._grant()

    def end(self, answer: "ArrivingAnswer") -> None:
        """Stop counting an answer that arrives."""
        self._arriving_bytes -= answer.size_bytes
        if (share := self._shares.get(answer.tenant)) is not None:
            share.arriving_bytes -= answer.size_bytes
        answer.size_bytes = 0
        if answer is self._leader:
            self._leader = None
        self._forget(answer.tenant)
        self._grant()

    def _share(self, tenant: str) -> _Share:
        if (share := self._shares.get(tenant)) is None:
            share = self._shares[tenant] = _Share()
        return share

    def _forget(self, tenant: str) -> None:
        """Remove the share of a tenant that uses nothing and waits for nothing."""
        share = self._shares.get(tenant)
        if share is not None and not share.used_bytes and not share.waiting:
            del self._shares[tenant]

    def _uncount(self, owner: object) -> None:
        tenant, size_bytes = self.held.pop(owner)
        self._held_bytes -= size_bytes
        self._shares[tenant].held_bytes -= size_bytes
        self._forget(tenant)

    def _full(self, tenant: str) -> errors.AnswerBufferFull:
        used_bytes = self._shares.get(tenant, _NOTHING).used_bytes or self.used_bytes
        return errors.AnswerBufferFull(
            f"Clients read their answers too slowly: {used_bytes} bytes are waiting for them.",
            hint="Read answers faster, request streams, or raise server.max_buffered_answer_bytes.",
            retry_after_s=1.0,
        )

    def _fits(self, tenant: str, answer_bytes: int, size_bytes: int) -> bool:
        """Return whether an answer that has `answer_bytes` may grow by `size_bytes`, whoever the leader is."""
        used_bytes = self.used_bytes
        if used_bytes + size_bytes > self._limit_bytes:
            return False
        own_bytes = self._shares.get(tenant, _NOTHING).used_bytes
        return own_bytes <= answer_bytes or own_bytes + size_bytes <= self._limit_bytes - used_bytes

    def _leader_fits(self, tenant: str, answer_bytes: int) -> bool:
        """Return whether an answer may have this size if only those that wait for their clients count."""
        held_bytes = self._held_bytes
        if not held_bytes:
            return True
        if held_bytes + answer_bytes > self._limit_bytes:
            return False
        own_bytes = self._shares.get(tenant, _NOTHING).held_bytes
        return not own_bytes or own_bytes + answer_bytes <= self._limit_bytes - held_bytes

    def _take(self, answer: "ArrivingAnswer", size_bytes: int) -> bool:
        """Let an answer grow, if possible. One answer alone may exceed the limit."""
        if not self._fits(answer.tenant, answer.size_bytes, size_bytes):
            if self._leader not in {None, answer}:
                return False
            if not self._leader_fits(answer.tenant, answer.size_bytes + size_bytes):
                return False
            self._leader = answer
        answer.size_bytes += size_bytes
        self._arriving_bytes += size_bytes
        self._share(answer.tenant).arriving_bytes += size_bytes
        return True

    def _grant(self) -> None:
        """Grant what is possible, one answer of each tenant after the other."""
        waiting = [share.waiting for share in self._shares.values() if share.waiting]
        while waiting:
            waiting = [each for each in waiting if self._grant_first(each) and each]

    def _grant_first(self, waiting: deque[_Waiting]) -> bool:
        """Grant the first of these. Returns whether that was possible."""
        entry = waiting[0]
        if not entry.granted.done():
            if not self._take(entry.answer, entry.size_bytes):
                return False
            entry.granted.set_result(None)
        waiting.popleft()
        return True


class ArrivingAnswer:
    """An answer that is being read from an upstream, for a client of this tenant. Always call `end`."""

    __slots__ = ("_budget", "size_bytes", "tenant")

    def __init__(self, budget: AnswerBudget, tenant: str = "") -> None:
        self._budget = budget
        self.tenant = tenant
        self.size_bytes = 0

    async def grow_to(self, size_bytes: int) -> None:
        """Wait until the answer may have this size. Raises `AnswerBufferFull`."""
        await self._budget.reserve(self, size_bytes - self.size_bytes)

    def end(self) -> None:
        self._budget.end(self)
