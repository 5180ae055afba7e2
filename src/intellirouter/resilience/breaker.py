"""The circuit breaker of one deployment. A pure state machine; see DESIGN.md.

Every attempt begins with `begin`, which returns a ticket, and ends with exactly one of `succeed`, `fail` and `release`.
The ticket tells in which period of the breaker the attempt began, so that an attempt that began before the breaker
opened cannot close it, and one that began before it closed cannot open it again.
"""

import math
import random
from collections import deque
from typing import Final

from msgspec import Struct

from intellirouter.core import DEFAULT_BREAKER, BreakerPolicy, BreakerState, FallbackCause

NOT_CLOSED: Final = -1
"""The value of `Breaker.closed_ticket` while the breaker is not closed."""
MAX_DEFERRAL_S: Final = 3600.0
_STEPS: Final = 10
"""The window moves in steps of this fraction of its length."""
_MAX_DOUBLINGS: Final = 20
_JITTER: Final = 0.2


class WindowCounts(Struct, frozen=True):
    """The attempts that ended within the window. Those that ended neutrally are not among them."""

    attempts: int
    failures: int


class Breaker:
    """Memory is constant. All methods take the monotonic time, which never goes back."""

    __slots__ = (
        "_bases",
        "_consecutive",
        "_ended",
        "_failed",
        "_generation",
        "_last_probe_s",
        "_policy",
        "_probing",
        "_reopened",
        "_rng",
        "_slow",
        "_slow_after_ms",
        "_step_ends_s",
        "_successes_before",
        "cause",
        "cause_kind",
        "closed_ticket",
        "closings",
        "open_until_s",
        "openings",
        "probes",
        "retry_at_s",
    )

    def __init__(self, policy: BreakerPolicy = DEFAULT_BREAKER, rng: random.Random | None = None) -> None:
        self._rng = rng or random.Random()  # noqa: S311 - jitter
        self._generation = 0
        self.closed_ticket = 0
        """The ticket of an attempt that begins now, or `NOT_CLOSED`, so that the caller need not call `begin`."""
        self.cause = ""
        """Why the breaker opened; empty while it is closed."""
        self.cause_kind: FallbackCause = "error"
        """The kind of the failure that opened it last."""
        self.open_until_s = 0.0
        self.retry_at_s = 0.0
        """The deployment has asked not to be called before this time (`Retry-After`)."""
        self.openings = 0
        self.closings = 0
        self.probes = 0
        """How many probes have begun since the start, like `openings` and `closings`."""
        self._probing = 0
        self._last_probe_s = 0.0
        self._reopened = 0
        self._consecutive = self._successes_before = 0
        """The failures in a row, and the successes before them: a success need not reset the number."""
        self._ended = self._failed = self._slow = 0
        self._bases: deque[tuple[int, int, int]] = deque([(0, 0, 0)], maxlen=_STEPS)
        """The counts at the beginning of each step of the window."""
        self._step_ends_s = -math.inf
        self.apply(policy)

    def apply(self, policy: BreakerPolicy) -> None:
        """Use these settings from now on. Disabling the breaker closes it."""
        self._policy = policy
        self._slow_after_ms = policy.slow_call_s * 1e3 or math.inf
        if not policy.is_enabled and self.closed_ticket < 0:
            self._close()

    # --- the life of an attempt

    def begin(self, now_s: float) -> int:
        """Return the ticket of an attempt that begins. It becomes a probe if one is due."""
        if self.closed_ticket >= 0:
            return self.closed_ticket
        ticket = self._generation << 1
        if not self._admits_probe(now_s):
            return ticket
        self._probing += 1
        self.probes += 1
        self._last_probe_s = now_s
        return ticket | 1

    def succeed(self, ticket: int, first_ms: float, now_s: float) -> bool:
        """End an attempt that succeeded; return whether this changed the state.

        `first_ms` is the time to the first content of a stream, or to the response headers.
        """
        if ticket != self.closed_ticket:
            if ticket >> 1 != self._generation:
                return False
            self._close()
            return True
        if now_s >= self._step_ends_s:
            self._move_window(now_s)
        self._ended += 1
        if first_ms > self._slow_after_ms:
            self._slow += 1
            return self._open_if(self._slow_cause(), "timeout", now_s)
        return False

    def fail(self, ticket: int, code: str, now_s: float, kind: FallbackCause = "error") -> bool:
        """End an attempt that failed; return whether the breaker has opened. A failed probe keeps it open.

        `code` is for people. `kind` says which fallbacks are tried while the breaker is open.
        """
        if ticket == self.closed_ticket:
            if now_s >= self._step_ends_s:
                self._move_window(now_s)
            successes = self._ended - self._failed
            self._consecutive = self._consecutive + 1 if successes == self._successes_before else 1
            self._successes_before = successes
            self._ended += 1
            self._failed += 1
            return self._open_if(self._failure_cause(code), kind, now_s)
        if ticket >> 1 == self._generation and ticket & 1:
            self._probing -= 1
            if now_s >= self.open_until_s:
                self._reopened += 1
                policy = self._policy
                full_s = min(policy.max_open_s, policy.open_s * (1 << min(self._reopened, _MAX_DOUBLINGS)))
                # Without jitter, many gateways would probe a recovering deployment at the same moment.
                self.open_until_s = now_s + full_s * (1 - _JITTER * self._rng.random())
        return False

    def release(self, ticket: int) -> None:
        """End an attempt that says nothing about the deployment: the client or the gateway caused its end."""
        if ticket & 1 and ticket >> 1 == self._generation:
            self._probing -= 1

    def defer(self, retry_after_s: float, now_s: float) -> None:
        """Remember that the deployment asks not to be called for a while, one hour at most.

        A shorter time never replaces a longer one, and a success does not end it.
        """
        self.retry_at_s = max(self.retry_at_s, now_s + min(retry_after_s, MAX_DEFERRAL_S))

    # --- what it shows

    @property
    def available_at_s(self) -> float:
        """The time from which the deployment may be called, which has passed if it is available."""
        return self.retry_at_s if self.closed_ticket >= 0 else max(self.open_until_s, self.retry_at_s)

    def state_at(self, now_s: float) -> BreakerState:
        if self.closed_ticket >= 0:
            return "closed"
        return "open" if now_s < self.open_until_s else "half_open"

    def is_available(self, now_s: float) -> bool:
        """Return whether the deployment takes part as usual: the breaker is closed, or a probe is due."""
        if self.closed_ticket >= 0:
            return now_s >= self.retry_at_s
        return self._admits_probe(now_s)

    def is_probed(self, now_s: float) -> bool:
        """Return whether as many probes are in progress as may be."""
        return not self._has_place(now_s)

    def unavailable_reason(self, now_s: float) -> str:
        """Return why the deployment is not available, for people; empty if it is."""
        reasons = []
        if self.closed_ticket < 0:
            if now_s < self.open_until_s:
                reasons.append(f"circuit open after {self.cause}, {_whole_seconds(self.open_until_s - now_s)} left")
            elif not self._has_place(now_s):
                reasons.append(f"circuit half-open after {self.cause}, a probe is in progress")
        if now_s < self.retry_at_s:
            left = _whole_seconds(self.retry_at_s - now_s)
            reasons.append(f"asked not to be called for another {left}")
        return ", ".join(reasons)

    def fallback_causes(self, now_s: float) -> frozenset[FallbackCause]:
        """Return why the fallbacks of this deployment are tried instead of it while it is not available."""
        causes: set[FallbackCause] = {"unavailable"}
        if self.closed_ticket < 0:
            causes.add(self.cause_kind)
        if now_s < self.retry_at_s:
            causes.add("rate_limit")
        return frozenset(causes)

    def counts(self, now_s: float) -> WindowCounts:
        """Return the counts of the window."""
        if now_s >= self._step_ends_s:
            self._move_window(now_s)
        ended, failed, _ = self._bases[0]
        return WindowCounts(self._ended - ended, self._failed - failed)

    # --- transitions

    def _admits_probe(self, now_s: float) -> bool:
        return now_s >= self.open_until_s and now_s >= self.retry_at_s and self._has_place(now_s)

    def _has_place(self, now_s: float) -> bool:
        """Return whether another probe may begin. A probe that takes very long, such as a session, gives up its place.

        Otherwise, one hanging probe would keep the breaker from closing.
        """
        return self._probing < self._policy.half_open_probes or now_s - self._last_probe_s >= self._policy.max_open_s

    def _open_if(self, cause: str, kind: FallbackCause, now_s: float) -> bool:
        if not cause or not self._policy.is_enabled:
            return False
        self._generation += 1
        self.closed_ticket = NOT_CLOSED
        self.cause, self.cause_kind = cause, kind
        self.openings += 1
        self._probing = self._reopened = 0
        self.open_until_s = now_s + min(self._policy.open_s, self._policy.max_open_s)
        return True

    def _close(self) -> None:
        self._generation += 1
        self.closed_ticket = self._generation << 1
        self.cause = ""
        self.closings += 1
        self._consecutive = 0
        self._bases.clear()
        self._bases.append((self._ended, self._failed, self._slow))

    def _failure_cause(self, code: str) -> str:
        policy = self._policy
        if 0 < policy.consecutive_failures <= self._consecutive:
            failures = "1 failure" if self._consecutive == 1 else f"{self._consecutive} failures in a row"
            return f"{failures} ({code})"
        ended, failed, _ = self._bases[0]
        attempts, failures_of_window = self._ended - ended, self._failed - failed
        if policy.error_rate and attempts >= policy.min_attempts and failures_of_window >= policy.error_rate * attempts:
            return f"{failures_of_window} of {attempts} attempts failed within {policy.window_s:g} s (last: {code})"
        return ""

    def _slow_cause(self) -> str:
        policy = self._policy
        ended, _, slow_before = self._bases[0]
        attempts, slow = self._ended - ended, self._slow - slow_before
        if attempts < policy.min_attempts or slow < policy.slow_call_rate * attempts:
            return ""
        return f"{slow} of {attempts} attempts took longer than {policy.slow_call_s:g} s"

    def _move_window(self, now_s: float) -> None:
        step_s = self._policy.window_s / _STEPS
        counts = (self._ended, self._failed, self._slow)
        steps = (now_s - self._step_ends_s) / step_s  # infinite at the first attempt
        for _ in range(_STEPS if steps >= _STEPS else int(steps) + 1):
            self._bases.append(counts)
        self._step_ends_s = now_s + step_s if steps >= _STEPS else self._step_ends_s + step_s * (int(steps) + 1)


def _whole_seconds(left_s: float) -> str:
    return f"{math.ceil(left_s)} s"
