"""Stored answers, and where they are stored: in the memory of the process, bounded in bytes.

If the memory is full, the tenant with the most bytes gives up what it has not used for the longest time. So a tenant
alone can use all of it, and no tenant can push out another one that uses less than an equal share.
"""

from collections import OrderedDict
from typing import Final, Protocol

from msgspec import Struct

from intellirouter.core import Loss

_OVERHEAD_BYTES: Final = 1024
"""What an answer takes in addition to its body, approximately."""
_PIECE_BYTES: Final = 128


class StoredAnswer(Struct, frozen=True, kw_only=True, gc=False):
    """A complete answer in the client's dialect, as it was sent."""

    body: bytes
    """The complete body, or all bytes of a stream."""
    content_type: bytes
    request_id: str
    """The request whose answer this is."""
    stored_s: float
    expires_s: float
    finish_reason: str | None = None
    losses: tuple[Loss, ...] = ()
    cost_microusd: int | None = None
    """What the answer has cost; None if it is unknown."""
    client_key: bytes = b""
    """The key of what the client has sent, if the answer is stored under its `Idempotency-Key`."""
    pieces: tuple[tuple[int, int], ...] = ()
    """Where the pieces of a stream end in `body`, and how many milliseconds after the first one they were sent; empty
    if the pace is not known."""

    @property
    def size_bytes(self) -> int:
        return len(self.body) + len(self.pieces) * _PIECE_BYTES + _OVERHEAD_BYTES


class Claim(Struct, frozen=True, kw_only=True):
    """A request with an `Idempotency-Key` is in progress, in whatever process."""

    client_key: bytes
    """The key of what the client has sent."""
    request_id: str


class AnswerStore(Protocol):
    """Where answers are stored. Times are those of the gateway's monotonic clock. No method raises an error."""

    @property
    def is_available(self) -> bool:
        """Whether an answer that is stored would be found now."""
        ...

    async def get(self, tenant: str, key: bytes, now_s: float) -> StoredAnswer | None:
        """Return an answer, even if it has expired, as long as it may replace one after an error."""
        ...

    async def put(self, tenant: str, key: bytes, answer: StoredAnswer) -> None:
        """Store an answer. It replaces another one, or a claim, with the same key."""
        ...

    async def claim(self, tenant: str, key: bytes, claim: Claim) -> StoredAnswer | Claim | None:
        """Announce the answer that this process will store under a key. Returns what is there already; None: nothing.

        The claim lasts until `put` or `release`, or until the process dies.
        """
        ...

    def release(self, tenant: str, key: bytes) -> None:
        """Give a claim up. Does nothing if there is none, or if the answer has been stored."""
        ...


class MemoryAnswerStore:
    """Implements `AnswerStore`. One per process; it survives reloads. Use it on one event loop only."""

    def __init__(self, max_bytes: int = 0, stale_s: float = 0.0) -> None:
        """`stale_s`: how long expired answers are kept, because they may be used after an error."""
        self._max_bytes = max_bytes
        self._stale_s = stale_s
        self._tenants: dict[str, _TenantAnswers] = {}
        self.used_bytes = 0

    is_available: Final = True

    @property
    def entry_count(self) -> int:
        return sum([len(each.answers) for each in self._tenants.values()])

    def apply(self, max_bytes: int, stale_s: float) -> None:
        """Use other limits from now on. With 0 bytes, everything is removed."""
        self._max_bytes, self._stale_s = max_bytes, stale_s
        self._shrink()

    async def get(self, tenant: str, key: bytes, now_s: float) -> StoredAnswer | None:
        found = self._tenants.get(tenant)
        if found is None or (answer := found.answers.get(key)) is None:
            return None
        if now_s > answer.expires_s + self._stale_s:
            self._remove(tenant, found, key)
            return None
        found.answers.move_to_end(key)
        return answer

    async def put(self, tenant: str, key: bytes, answer: StoredAnswer) -> None:
        if answer.size_bytes > self._max_bytes:
            return
        found = self._tenants.setdefault(tenant, _TenantAnswers())
        replaced = found.answers.pop(key, None)
        size = answer.size_bytes - (0 if replaced is None else replaced.size_bytes)
        found.answers[key] = answer
        found.used_bytes += size
        self.used_bytes += size
        self._shrink()

    async def claim(self, tenant: str, key: bytes, claim: Claim) -> StoredAnswer | Claim | None:
        """Return None: only this process uses the memory, and its requests in flight are its claims."""
        del tenant, key, claim
        return None

    def release(self, tenant: str, key: bytes) -> None:
        """Do nothing: there are no claims."""

    def _shrink(self) -> None:
        """Remove answers until the rest fits. Each pass over the tenants removes at least one answer."""
        while self.used_bytes > self._max_bytes:
            tenant, largest = max(self._tenants.items(), key=lambda item: item[1].used_bytes)
            self._remove(tenant, largest, next(iter(largest.answers)))

    def _remove(self, tenant: str, answers: "_TenantAnswers", key: bytes) -> None:
        size = answers.answers.pop(key).size_bytes
        answers.used_bytes -= size
        self.used_bytes -= size
        if not answers.answers:
            del self._tenants[tenant]


class _TenantAnswers:
    """The answers of one tenant, the one used longest ago first."""

    __slots__ = ("answers", "used_bytes")

    def __init__(self) -> None:
        self.answers: OrderedDict[bytes, StoredAnswer] = OrderedDict()
        self.used_bytes = 0
