"""What the vendor remembers: faults to apply and requests it received. Bounded; no I/O."""

import fnmatch
import itertools
from collections import deque
from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct, field

from intellirouter.testing.faults.fault import Fault

MAX_FAULTS: Final = 256
MAX_REQUESTS: Final = 1000
MAX_KEPT_BODY_BYTES: Final = 1024 * 1024


class Received(Struct, kw_only=True):
    """One request as it arrived, and what became of it."""

    number: int
    """Counts from 1 since the last reset."""
    connection: int
    """Requests on one connection share it."""
    method: str
    path: str
    """With the query string."""
    headers: list[tuple[str, str]]
    """Names in lower case, in the order they came."""
    body: str
    """At most 1 MiB of it; bytes that are not UTF-8 are replaced."""
    size_bytes: int
    arrived_us: int
    """Microseconds since 1970."""
    model: str | None = None
    fault: str | None = None
    status: int | None = None
    """None until the status line was sent."""
    sent_bytes: int = 0
    """Bytes of the body handed to the connection."""
    is_finished: bool = False
    """The whole answer was sent."""
    is_aborted: bool = False
    """The client left before the whole answer was sent."""


class Match(Struct, kw_only=True, forbid_unknown_fields=True):
    """Which requests a fault is for; globs. What is not stated matches everything."""

    model: str | None = None
    path: str | None = None
    header: dict[str, str] = field(default_factory=dict)

    def covers(self, received: Received) -> bool:
        if self.model is not None and not fnmatch.fnmatchcase(received.model or "", self.model):
            return False
        if self.path is not None and not fnmatch.fnmatchcase(received.path.partition("?")[0], self.path):
            return False
        return all(
            any(name == wanted.lower() and fnmatch.fnmatchcase(value, glob) for name, value in received.headers)
            for wanted, glob in self.header.items()
        )


class Order(Struct, kw_only=True):
    """A fault that was asked for: for which requests, how often."""

    id: int
    match: Match
    fault: Fault
    times: int | None = None
    """How often it is applied before it is spent; None: for ever."""
    every: int = 1
    """Applied to every N-th request that matches."""
    seen: int = 0
    applied: int = 0


class Registry:
    """Orders are tried in the sequence they were given; the first that is due is applied."""

    def __init__(self) -> None:
        self._orders: list[Order] = []
        self._received: deque[Received] = deque(maxlen=MAX_REQUESTS)
        self._order_ids = itertools.count(1)
        self._numbers = itertools.count(1)

    @property
    def orders(self) -> list[Order]:
        return self._orders

    @property
    def received(self) -> list[Received]:
        return list(self._received)

    def order(self, wish: Mapping[str, Any], match: Match) -> Order:
        """Read `{kind, times?, every?, ...parameters}`. Raises `ValueError`."""
        params = dict(wish)
        kind, times, every = params.pop("kind", None), params.pop("times", None), params.pop("every", None)
        if len(self._orders) >= MAX_FAULTS:
            raise ValueError(f"at most {MAX_FAULTS} faults at a time")
        for name, count in (("times", times), ("every", every)):
            if count is not None and (not isinstance(count, int) or count < 1):
                raise ValueError(f"{name} must be a whole number of at least 1")
        order = Order(
            id=next(self._order_ids), match=match, fault=Fault.of(str(kind), params), times=times, every=every or 1
        )
        self._orders.append(order)
        return order

    def clear(self) -> None:
        self._orders.clear()

    def reset(self) -> None:
        """Forget faults and requests; numbers begin at 1 again."""
        self.clear()
        self._received.clear()
        self._numbers = itertools.count(1)

    def record(self, received: Received) -> None:
        received.number = next(self._numbers)
        self._received.append(received)

    def due(self, received: Received) -> Fault | None:
        """Return the fault for this request, and count it."""
        for order in self._orders:
            if order.times is not None and order.applied >= order.times:
                continue
            if not order.match.covers(received):
                continue
            order.seen += 1
            if order.seen % order.every == 0:
                order.applied += 1
                return order.fault
        return None
