"""A queue for the slots of one deployment: by priority, and within a priority fair between tenants. Pure.

The next slot belongs to the tenant that uses the fewest, and of several ones to the one whose turn is longest ago.
No request waits forever: one that has waited too long in a priority moves to the next higher one. See DESIGN.md.
"""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

from msgspec import Struct, field

from intellirouter.core import PRIORITIES

W = TypeVar("W")
_RANKS = range(len(PRIORITIES))


class _Tenant(Struct, eq=False):
    """A tenant whose requests wait."""

    name: str
    running: int
    """How many slots it uses."""
    lines: tuple[OrderedDict["_Entry", None], ...] = field(
        default_factory=lambda: tuple([OrderedDict() for _ in _RANKS])
    )
    """Its waiting requests by rank, the next one first."""


class _Entry(Struct, eq=False):
    waiter: Any
    tenant: _Tenant
    rank: int
    entered_s: float
    """When it began to wait with this rank."""


class FairQueue(Generic[W]):
    """A rank is an index of `PRIORITIES`. Adding and removing take constant time.

    `pop` also looks for the smallest number of slots that a tenant uses. There are about as many different ones as the
    square root of the limit.
    """

    def __init__(self) -> None:
        self._entries: dict[W, _Entry] = {}
        self._running: dict[str, int] = {}
        """How many slots each tenant uses, for those that use any."""
        self._tenants: dict[str, _Tenant] = {}
        """Those that wait for a slot."""
        self._arrivals: tuple[OrderedDict[_Entry, None], ...] = tuple([OrderedDict() for _ in _RANKS])
        self._turns: tuple[dict[int, OrderedDict[_Tenant, None]], ...] = tuple([{} for _ in _RANKS])
        """The waiting tenants by rank and by the slots that they use, in the order of their turns."""

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, waiter: object) -> bool:
        return waiter in self._entries

    def __iter__(self) -> Iterator[W]:
        return iter(self._entries)

    # --- who uses slots

    def start(self, tenant: str) -> None:
        """Count a slot that a tenant uses from now on."""
        self._running[tenant] = self._running.get(tenant, 0) + 1
        if self._tenants and (waiting := self._tenants.get(tenant)) is not None:
            self._move(waiting, 1)

    def end(self, tenant: str) -> None:
        """Count a slot that a tenant no longer uses. Ignored if it was not counted when it began."""
        running = self._running.pop(tenant, 0)
        if running > 1:
            self._running[tenant] = running - 1
        if running and self._tenants and (waiting := self._tenants.get(tenant)) is not None:
            self._move(waiting, -1)

    # --- who waits

    def add(self, waiter: W, tenant: str, rank: int, now_s: float, *, is_first: bool = False) -> None:
        """Add a request, behind or before the others of its tenant and rank."""
        entry = self._entries[waiter] = _Entry(waiter, self._tenant(tenant), rank, now_s)
        self._line_up(entry)
        if is_first:
            entry.tenant.lines[rank].move_to_end(entry, last=False)

    def remove(self, waiter: W) -> None:
        """Remove a request. Does nothing if it does not wait."""
        entry = self._entries.pop(waiter, None)
        if entry is not None:
            self._take_out(entry)
            self._forget(entry.tenant)

    def pop(self, now_s: float, age_s: float) -> W | None:
        """Remove and return the next request. Those that have waited for `age_s` move to the next higher rank."""
        self._promote(now_s, age_s)
        for rank, turns in enumerate(self._turns):
            if turns:
                tenant = next(iter(turns[min(turns)]))
                waiter: W = next(iter(tenant.lines[rank])).waiter
                self.remove(waiter)
                return waiter
        return None

    def ahead_of(self, tenant: str, rank: int) -> int:
        """Return about how many requests would be served before a new one of this tenant and rank."""
        higher = sum([len(self._arrivals[each]) for each in range(rank)])
        known = self._tenants.get(tenant)
        own = 0 if known is None else len(known.lines[rank])
        others = sum([len(each) for each in self._turns[rank].values()]) - (own > 0)
        return higher + min(len(self._arrivals[rank]), own + others * (own + 1))

    def newest_of_longest(self, tenant: str, rank: int) -> W | None:
        """Return the request that makes room for a new one of this tenant and rank, or None if that one must go.

        It is the newest one of the lowest rank, of the tenant that has most requests there.
        """
        lowest = max([each for each in _RANKS if self._arrivals[each]], default=-1)
        if lowest < rank:
            return None
        known = self._tenants.get(tenant)
        own = 0 if known is None else len(known.lines[rank])
        tenants = [each for turn in self._turns[lowest].values() for each in turn]
        line = max([each.lines[lowest] for each in tenants], key=len)
        if lowest == rank and len(line) <= own + 1:
            return None
        newest: W = next(reversed(line)).waiter
        return newest

    # --- bookkeeping

    def _tenant(self, name: str) -> _Tenant:
        known = self._tenants.get(name)
        if known is None:
            known = self._tenants[name] = _Tenant(name, self._running.get(name, 0))
        return known

    def _forget(self, tenant: _Tenant) -> None:
        if not any(tenant.lines):
            self._tenants.pop(tenant.name, None)

    def _line_up(self, entry: _Entry) -> None:
        tenant, rank = entry.tenant, entry.rank
        if not tenant.lines[rank]:
            self._turns[rank].setdefault(tenant.running, OrderedDict())[tenant] = None
        tenant.lines[rank][entry] = None
        self._arrivals[rank][entry] = None

    def _take_out(self, entry: _Entry) -> None:
        tenant, rank = entry.tenant, entry.rank
        del self._arrivals[rank][entry]
        del tenant.lines[rank][entry]
        if not tenant.lines[rank]:
            self._leave_turn(tenant, rank)

    def _leave_turn(self, tenant: _Tenant, rank: int) -> None:
        turn = self._turns[rank][tenant.running]
        del turn[tenant]
        if not turn:
            del self._turns[rank][tenant.running]

    def _move(self, tenant: _Tenant, change: int) -> None:
        waiting = [rank for rank in _RANKS if tenant.lines[rank]]
        for rank in waiting:
            self._leave_turn(tenant, rank)
        tenant.running += change
        for rank in waiting:
            self._turns[rank].setdefault(tenant.running, OrderedDict())[tenant] = None

    def _promote(self, now_s: float, age_s: float) -> None:
        for rank in _RANKS[1:]:
            arrivals = self._arrivals[rank]
            while arrivals:
                entry = next(iter(arrivals))
                if now_s - entry.entered_s < age_s:
                    break
                self._take_out(entry)
                entry.rank, entry.entered_s = rank - 1, now_s
                self._line_up(entry)
