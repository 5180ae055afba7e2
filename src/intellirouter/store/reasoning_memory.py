"""The memory for reasoning that clients do not send back: in the process, bounded in entries, bytes and age.

If it is full, the tenant that has more than its equal share forgets what it has not used for the longest time. So no
tenant can make another one forget, unless that one uses more than its share.
"""

from collections import OrderedDict
from threading import Lock
from typing import Final

from msgspec import Struct

from intellirouter.config import ReasoningMemorySpec
from intellirouter.core import Clock

_ENTRY_OVERHEAD_BYTES: Final = 300
"""What an entry takes in addition to its key and value, approximately."""


class _Entry(Struct, gc=False):
    value: bytes
    size: int
    used_s: float


class TenantMemory:
    """The entries of one tenant, the one used longest ago first. Implements `core.ReasoningMemory`."""

    __slots__ = ("_owner", "entries", "used_bytes")

    def __init__(self, owner: "ReasoningMemories") -> None:
        self._owner = owner
        self.entries: OrderedDict[str, _Entry] = OrderedDict()
        self.used_bytes = 0

    @property
    def is_empty(self) -> bool:
        return not self.entries

    def put(self, key: str, value: bytes) -> None:
        self._owner.put(self, key, value)

    def get(self, key: str) -> bytes | None:
        return self._owner.get(self, key)


class ReasoningMemories:
    """The memories of all tenants. One per process; it survives reloads of the configuration."""

    def __init__(self, limits: ReasoningMemorySpec, clock: Clock) -> None:
        self._limits = limits
        self._clock = clock
        self._lock = Lock()
        """Large requests and answers are processed in threads."""
        self._tenants: dict[str, TenantMemory] = {}
        self._entry_count = 0
        self._used_bytes = 0

    @property
    def entry_count(self) -> int:
        return self._entry_count

    @property
    def used_bytes(self) -> int:
        return self._used_bytes

    def of(self, tenant: str) -> TenantMemory:
        """Return the memory of a tenant."""
        found = self._tenants.get(tenant)
        if found is None:
            with self._lock:
                found = self._tenants.setdefault(tenant, TenantMemory(self))
        return found

    def apply(self, limits: ReasoningMemorySpec) -> None:
        """Use other limits from now on. If the memory is disabled, everything is forgotten."""
        with self._lock:
            self._limits = limits
            for tenant in self._tenants.values():
                while tenant.entries and not limits.enabled:
                    self._forget_first(tenant)
                self._forget_old(tenant)
            while self._is_over():
                self._forget_first(self._largest())

    def put(self, tenant: TenantMemory, key: str, value: bytes) -> None:
        """Implements `TenantMemory.put`."""
        size = len(key) + len(value) + _ENTRY_OVERHEAD_BYTES
        with self._lock:
            self._remove(tenant, key)
            if size > self._limits.max_bytes:
                return
            self._forget_old(tenant)
            tenant.entries[key] = _Entry(value, size, self._clock.monotonic_s())
            self._count(tenant, 1, size)
            while self._is_over():
                self._forget_first(tenant if self._has_more_than_its_share(tenant) else self._largest())

    def get(self, tenant: TenantMemory, key: str) -> bytes | None:
        """Implements `TenantMemory.get`."""
        with self._lock:
            entry = tenant.entries.get(key)
            if entry is None:
                return None
            now_s = self._clock.monotonic_s()
            if now_s - entry.used_s > self._limits.max_age_s:
                self._forget_old(tenant)
                return None
            entry.used_s = now_s
            tenant.entries.move_to_end(key)
            return entry.value

    def _is_over(self) -> bool:
        return self._entry_count > self._limits.max_entries or self._used_bytes > self._limits.max_bytes

    def _has_more_than_its_share(self, tenant: TenantMemory) -> bool:
        tenants, limits = len(self._tenants), self._limits
        return len(tenant.entries) * tenants > limits.max_entries or tenant.used_bytes * tenants > limits.max_bytes

    def _largest(self) -> TenantMemory:
        """Return the tenant with most of what there is too much of."""
        if self._used_bytes > self._limits.max_bytes:
            return max(self._tenants.values(), key=lambda each: each.used_bytes)
        return max(self._tenants.values(), key=lambda each: len(each.entries))

    def _forget_old(self, tenant: TenantMemory) -> None:
        oldest_s = self._clock.monotonic_s() - self._limits.max_age_s
        while tenant.entries and next(iter(tenant.entries.values())).used_s < oldest_s:
            self._forget_first(tenant)

    def _forget_first(self, tenant: TenantMemory) -> None:
        self._remove(tenant, next(iter(tenant.entries)))

    def _remove(self, tenant: TenantMemory, key: str) -> None:
        entry = tenant.entries.pop(key, None)
        if entry is not None:
            self._count(tenant, -1, -entry.size)

    def _count(self, tenant: TenantMemory, entries: int, size: int) -> None:
        tenant.used_bytes += size
        self._used_bytes += size
        self._entry_count += entries
