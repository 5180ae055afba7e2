"""The slots of one deployment: who uses them, who waits for them, and how long that takes. Pure; see DESIGN.md.

A request takes a slot before its attempt begins, and releases it when the attempt has ended. If no deployment has a
free one, it joins the queues of several deployments as one `Waiter`, and gets the first slot that becomes free there.
"""

import math
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Final, Literal

from msgspec import Struct

from intellirouter.core import PRIORITIES, Priority, SlotPolicy
from intellirouter.resilience.concurrency import ConcurrencyLimit
from intellirouter.resilience.fair_queue import FairQueue

RefusalReason = Literal["queue_full", "too_long", "timeout", "stopping"]

WAIT_BOUNDS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
"""The upper bounds of the buckets of `WaitTimes`."""
_AGES_AFTER: Final = 1 / 3
"""After this share of the longest wait, a request moves to the next higher priority."""
_MIN_INTERVALS: Final = 8
_MAX_INTERVALS: Final = 64
_MAX_RETRY_AFTER_S: Final = 60.0


class Refusal(Struct, frozen=True):
    """Why a request does not get a slot, and when it is worth another try."""

    reason: RefusalReason
    retry_after_s: float = 1.0
    expected_wait_s: float = 0.0
    """How long the request would have waited, if that is the reason."""


class WaitTimes:
    """How long requests have waited that got a slot in the end, as a histogram."""

    __slots__ = ("counts", "sum_s")

    def __init__(self) -> None:
        self.counts = [0] * (len(WAIT_BOUNDS_S) + 1)
        """One for each of `WAIT_BOUNDS_S`, and one for longer waits."""
        self.sum_s = 0.0

    def add(self, wait_s: float) -> None:
        self.counts[bisect_left(WAIT_BOUNDS_S, wait_s)] += 1
        self.sum_s += wait_s


class Waiter:
    """A request that waits for a slot of one of several deployments. It ends with exactly one of the two outcomes."""

    __slots__ = ("_places", "_wake", "granted_by", "is_resumed", "rank", "refusal", "since_s", "tenant")

    def __init__(self, tenant: str, priority: Priority, wake: Callable[[], None], *, is_resumed: bool = False) -> None:
        """`wake` is called once, when the request has got a slot or a refusal.

        `is_resumed`: the request had a slot before, so that it goes before the others of its tenant.
        """
        self.tenant = tenant
        self.rank = PRIORITIES.index(priority)
        self.is_resumed = is_resumed
        self.since_s = 0.0
        self.granted_by: Slots | None = None
        self.refusal: Refusal | None = None
        self._wake = wake
        self._places: list[Slots] = []

    @property
    def is_waiting(self) -> bool:
        return self.granted_by is None and self.refusal is None

    def join(self, places: Sequence["Slots"], patience_s: float, now_s: float) -> None:
        """Wait for one of these deployments, none of which has a free slot, or be refused at once.

        It is refused if it would probably wait longer than `patience_s`, or if no queue has room for it.
        """
        self.since_s = now_s
        if any(each.is_closed for each in places):
            self._refuse(places, Refusal("stopping"))
            return
        waits_s = [each.expected_wait_s(self, now_s) for each in places]
        expected_s = 1 / sum([1 / max(each, 1e-6) for each in waits_s]) if all(waits_s) else 0.0
        if expected_s > patience_s:
            self._refuse(places, Refusal("too_long", _retry_after_s(expected_s - patience_s), expected_s))
            return
        for each in places:
            if each.admit(self, now_s):
                self._places.append(each)
        if not self._places:
            self._refuse(places, Refusal("queue_full", _retry_after_s(expected_s)))

    def leave(self, now_s: float) -> None:
        """Stop waiting, because the request was canceled. A slot that it has got already is released."""
        if self.granted_by is not None:
            self.granted_by.release(self.tenant, now_s)
        self._leave_places()

    def give_up(self, now_s: float) -> None:
        """Stop waiting, because it has taken too long. Does nothing unless it is still waiting."""
        if self.is_waiting:
            expected_s = self._places[0].expected_wait_s(self, now_s)
            self._refuse(self._places, Refusal("timeout", _retry_after_s(expected_s)))

    def grant(self, slots: "Slots") -> None:
        """Give the request the slot of this deployment, whose queue it has left already."""
        self.granted_by = slots
        self._leave_places()
        self._wake()

    def lose_place(self, slots: "Slots", refusal: Refusal) -> None:
        """Leave the queue of this deployment. A request that waits for no other one is refused."""
        if self._places == [slots]:
            self._refuse(self._places, refusal)
        else:
            self._places.remove(slots)
            slots.forget(self)

    def _refuse(self, places: Sequence["Slots"], refusal: Refusal) -> None:
        places[0].refusals[refusal.reason] += 1
        self.refusal = refusal
        self._leave_places()
        self._wake()

    def _leave_places(self) -> None:
        for each in self._places:
            each.forget(self)
        self._places = []


class Slots:
    """The slots of one deployment. All methods take the monotonic time, which never goes back."""

    __slots__ = (
        "_busy_since_s",
        "_intervals_s",
        "_policy",
        "_queue",
        "held",
        "is_closed",
        "limit",
        "name",
        "refusals",
        "waits",
    )

    def __init__(self, name: str, policy: SlotPolicy, held: int = 0) -> None:
        """`held`: how many requests the deployment is processing already."""
        self.name = name
        self.held = held
        self.is_closed = False
        """The gateway is stopping, so no request waits any more."""
        self.refusals: Counter[str] = Counter()
        self.waits = WaitTimes()
        self.limit: ConcurrencyLimit | None = ConcurrencyLimit(policy.concurrency)
        """None: a reload has removed the limit while requests were in flight."""
        self._policy = policy.queue
        self._queue: FairQueue[Waiter] = FairQueue()
        self._busy_since_s: float | None = None
        """When the last slot was taken or released, if none is free."""
        self._intervals_s: deque[float] = deque(maxlen=_MAX_INTERVALS)
        """The times between releases while no slot was free."""

    def apply(self, policy: SlotPolicy | None, now_s: float) -> None:
        """Use these settings from now on; None: no limit. Requests keep their slots and their places in the queue."""
        if policy is None:
            self.limit = None
        else:
            self._policy = policy.queue
            if self.limit is None:
                self.limit = ConcurrencyLimit(policy.concurrency)
            else:
                self.limit.apply(policy.concurrency)
        self._grant(now_s)
        self._busy_since_s = None if self.has_room else now_s

    # --- slots

    @property
    def has_room(self) -> bool:
        return self.limit is None or self.held < self.limit.value

    @property
    def is_full(self) -> bool:
        """Return whether a new request would have to wait."""
        return not self.has_room or bool(self._queue)

    @property
    def full_reason(self) -> str:
        """Return why a new request would have to wait, for people: `at its limit of 8`."""
        waiting = f", {len(self._queue)} waiting" if self._queue else ""
        return f"at its limit of {0 if self.limit is None else self.limit.value}{waiting}"

    @property
    def waiting(self) -> int:
        return len(self._queue)

    @property
    def max_waiting(self) -> int:
        return self._policy.max

    @property
    def max_wait_s(self) -> float:
        return self._policy.max_wait_s

    def take(self, tenant: str, now_s: float) -> bool:
        """Take a slot if one is free. Every slot must be released."""
        if self.is_full:
            return False
        self._count(tenant, now_s)
        return True

    def enter(self, tenant: str, now_s: float) -> None:
        """Take a slot even if none is free, for a request that needs nothing of the deployment. It must be released."""
        self._count(tenant, now_s)

    def release(self, tenant: str, now_s: float) -> None:
        """Release a slot, which the next waiting request gets."""
        if self._busy_since_s is not None:
            self._intervals_s.append(now_s - self._busy_since_s)
        self.held -= 1
        self._queue.end(tenant)
        self._grant(now_s)
        self._busy_since_s = None if self.has_room else now_s

    def note_success(self, first_ms: float, began_s: float, now_s: float, *, is_stream: bool) -> None:
        """Learn from an attempt that has succeeded and has not released its slot yet."""
        if self.limit is not None:
            self.limit.note_success(first_ms, self.held, began_s, now_s, is_stream=is_stream)

    def note_overload(self, began_s: float, now_s: float) -> None:
        """Learn from an attempt that began at `began_s` and that the deployment was too busy for."""
        if self.limit is not None:
            self.limit.note_overload(began_s, now_s)

    # --- the queue, for `Waiter`

    def admit(self, waiter: Waiter, now_s: float) -> bool:
        """Let a request wait, if there is room. It may take the place of one that has less right to it."""
        if len(self._queue) >= self._policy.max:
            loser = self._queue.newest_of_longest(waiter.tenant, waiter.rank)
            if loser is None:
                return False
            loser.lose_place(self, Refusal("queue_full", _retry_after_s(self.expected_wait_s(loser, now_s))))
        self._queue.add(waiter, waiter.tenant, waiter.rank, now_s, is_first=waiter.is_resumed)
        return True

    def forget(self, waiter: Waiter) -> None:
        """Remove a request from the queue. Does nothing if it does not wait here."""
        self._queue.remove(waiter)

    def expected_wait_s(self, waiter: Waiter, now_s: float) -> float:
        """Return how long a new request like this one would wait, from the latest releases; 0 if that is unknown."""
        limit = 1 if self.limit is None else self.limit.value
        if self._busy_since_s is None or len(self._intervals_s) < min(_MAX_INTERVALS, max(_MIN_INTERVALS, limit)):
            return 0.0
        interval_s = sum(self._intervals_s) / len(self._intervals_s)
        places = self._queue.ahead_of(waiter.tenant, waiter.rank) + 1
        return max(0.0, interval_s * places - (now_s - self._busy_since_s))

    def close(self) -> None:
        """Refuse all requests that wait, and let no other wait any more."""
        self.is_closed = True
        for waiter in list(self._queue):
            waiter.lose_place(self, Refusal("stopping"))

    # --- bookkeeping

    def _count(self, tenant: str, now_s: float) -> None:
        self.held += 1
        self._queue.start(tenant)
        if not self.has_room:
            self._busy_since_s = now_s

    def _grant(self, now_s: float) -> None:
        while self.has_room:
            waiter = self._queue.pop(now_s, self._policy.max_wait_s * _AGES_AFTER)
            if waiter is None:
                return
            self._count(waiter.tenant, now_s)
            self.waits.add(now_s - waiter.since_s)
            waiter.grant(self)


def _retry_after_s(wait_s: float) -> float:
    """Return whole seconds, at least one."""
    return min(_MAX_RETRY_AFTER_S, max(1.0, math.ceil(wait_s)))
