"""The faults to apply and the requests received. Bounded; no I/O."""

import fnmatch
import itertools
from collections import deque
from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct, field

from intellirouter.testing.faults.fault import Fault

MAX_FAULTS: Final = 256
MAX_REQUESTS: Final = 1000
MAX_STORED_BODY_BYTES: Final = 1024 * 1024


class Received(Struct, kw_only=True):
    """One request as it arrived, and how it was answered."""

    number: int
    """Starts at 1 after a reset."""
    connection: int
    """The number of the connection."""
    method: str
    path: str
    """With the query string."""
    headers: list[tuple[str, str]]
    """Names in lower case, in the order of arrival."""
    body: str
    """At most 1 MiB; invalid UTF-8 is replaced."""
    size_bytes: int
    arrived_us: int
    """Microseconds since 1970."""
    model: str | None = None
    fault: str | None = None
    status: int | None = None
    """None until the status line has been sent."""
    sent_bytes: int = 0
    """Bytes of the body that were written to the connection."""
    is_finished: bool = False
    """The complete answer was sent."""
    is_aborted: bool = False
    """The client disconnected before the complete answer was sent."""
    aborted_us: int | None = None
    """When it did, in microseconds since 1970."""


class Match(Struct, kw_only=True, forbid_unknown_fields=True):
    """The requests to which a fault applies, as globs. Unset members match every request."""

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


class FaultRule(Struct, kw_only=True):
    """A fault with the requests to which it applies, and how often."""

    id: int
    match: Match
    fault: Fault
    times: int | None = None
    """How many times it is applied; None means without limit."""
    every: int = 1
    """It is applied to every N-th matching request."""
    seen: int = 0
    applied: int = 0


class Registry:
    """The rules are checked in the order in which they were added; the first rule that is due is applied."""

    def __init__(self) -> None:
        self._rules: list[FaultRule] = []
        self._received: deque[Received] = deque(maxlen=MAX_REQUESTS)
        self._rule_ids = itertools.count(1)
        self._numbers = itertools.count(1)

    @property
    def rules(self) -> list[FaultRule]:
        return self._rules

    @property
    def received(self) -> list[Received]:
        return list(self._received)

    def add_rule(self, document: Mapping[str, Any], match: Match) -> FaultRule:
        """Add `{kind, times?, every?, ...parameters}`. Raises `ValueError`."""
        params = dict(document)
        kind, times, every = params.pop("kind", None), params.pop("times", None), params.pop("every", None)
        if len(self._rules) >= MAX_FAULTS:
            raise ValueError(f"There can be at most {MAX_FAULTS} faults at a time.")
        for name, count in (("times", times), ("every", every)):
            if count is not None and (not isinstance(count, int) or count < 1):
                raise ValueError(f"{name} must be a positive integer, not {count!r}.")
        rule = FaultRule(
            id=next(self._rule_ids), match=match, fault=Fault.of(str(kind), params), times=times, every=every or 1
        )
        self._rules.append(rule)
        return rule

    def clear(self) -> None:
        self._rules.clear()

    def reset(self) -> None:
        """Remove all faults and requests. Request numbers start at 1 again."""
        self.clear()
        self._received.clear()
        self._numbers = itertools.count(1)

    def record(self, received: Received) -> None:
        received.number = next(self._numbers)
        self._received.append(received)

    def due(self, received: Received) -> Fault | None:
        """Return the fault for this request, and update the counts."""
        for rule in self._rules:
            if rule.times is not None and rule.applied >= rule.times:
                continue
            if not rule.match.covers(received):
                continue
            rule.seen += 1
            if rule.seen % rule.every == 0:
                rule.applied += 1
                return rule.fault
        return None
