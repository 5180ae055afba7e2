"""The attempt planner: which deployment is tried after a failure, and when. A pure state machine; see DESIGN.md."""

import random
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from intellirouter.core import AttemptKind, FallbackCause, RetryOrder, errors
from intellirouter.resilience.causes import fallback_cause, may_be_served_elsewhere

_SPREAD: Final = 0.1
"""Requests that wait for the same deployment do not all continue at the same moment."""


class Step(Struct, frozen=True):
    """The next attempt: on which deployment, and after which wait."""

    deployment: str
    kind: AttemptKind
    wait_s: float
    queued_s: float = 0.0
    """How long the request has then waited for a slot of the deployment."""


class Backoff(Struct, frozen=True):
    base_s: float = 1.0
    max_s: float = 30.0

    def wait_s(self, retry: int, rng: random.Random) -> float:
        """Return the wait before a retry (the first is 0): base · 2ⁿ, at most the maximum; its upper half is random."""
        full = min(self.max_s, self.base_s * (1 << min(retry, 20)))
        return full * (0.5 + rng.random() / 2)


class Retries(Struct, frozen=True, kw_only=True):
    """How many retries there are, and in which order."""

    pool_size: int
    """The first deployments of the order are retried. The others are fallbacks, which are tried once."""
    retries: int
    order: RetryOrder = "next_first"
    fallbacks: frozenset[str] = frozenset()
    """The configured fallbacks. Other deployments at the end of the order are unavailable members of the pool."""
    causes: Mapping[str, frozenset[FallbackCause]] = {}
    """The causes for which a fallback is tried, for those that are not tried for all."""


class AttemptPlanner:
    """Tries the pool, then retries it with backoff, then tries each fallback once.

    With the order `same_first`, each member of the pool is retried before the next one is tried.

    Another deployment is tried without a wait. A retry waits for the backoff and the deployment's Retry-After. If that
    is longer than the maximum of the backoff, the other deployments are tried instead. A deployment that has timed out
    is not retried as long as there are others: it would use up their time.
    """

    def __init__(self, order: Sequence[str], retries: Retries, backoff: Backoff, rng: random.Random) -> None:
        self._pool = list(order[: retries.pool_size])
        self._fallbacks = list(order[retries.pool_size :])
        self._retries = retries.retries
        self._configured_fallbacks = retries.fallbacks
        self._causes = retries.causes
        self._seen: set[FallbackCause] = set()
        self._is_same_first = retries.order == "same_first"
        self._backoff = backoff
        self._rng = rng
        self._round = 0
        self._may_recover = True
        self._queue = self._pool[1:]
        if not self._pool:
            self._fallbacks.pop(0)  # the first attempt was a fallback
        self._retried: dict[str, int] = {}
        """The number of retries of each deployment, with the order `same_first`."""
        self._excluded: set[str] = set()
        self._timed_out: set[str] = set()
        self._not_before_s: dict[str, float] = {}

    def exclude(self, deployments: Iterable[str]) -> None:
        """Do not try these deployments any more."""
        self._excluded.update(deployments)

    def put_last(self, deployments: Collection[str]) -> None:
        """Try these deployments after the others of the pool, or of the fallbacks, because they have no free slot."""
        for line in (self._queue, self._fallbacks):
            line.sort(key=deployments.__contains__)

    def skip(
        self, deployments: Collection[str], error: errors.Overloaded, now_s: float, deadline_s: float
    ) -> Step | None:
        """Return the next step after a request got no slot of these deployments; None if no other is left."""
        self.exclude(deployments)
        self._seen.add(fallback_cause(error))
        if now_s >= deadline_s:
            return None
        return self._next_untried() if self._is_same_first else self._next(now_s, deadline_s)

    def note_hedge(self, deployment: str, error: errors.GatewayError, now_s: float) -> None:
        """Note that an attempt on an untried deployment, in parallel to the first one, has failed."""
        if deployment in self._queue:
            self._queue.remove(deployment)
        self._note(deployment, error, now_s)

    def _note(self, deployment: str, error: errors.GatewayError, now_s: float) -> None:
        self._seen.add(fallback_cause(error))
        if not error.retryable:
            self._excluded.add(deployment)
        if isinstance(error, errors.UpstreamTimeout) and error.code != errors.CONNECT_TIMEOUT:
            self._timed_out.add(deployment)
        if error.retry_after_s is not None:
            self._not_before_s[deployment] = now_s + error.retry_after_s

    def after(self, deployment: str, error: errors.GatewayError, now_s: float, deadline_s: float) -> Step | None:
        """Return the next step after `deployment` failed with `error`, or None if there is no further attempt."""
        if not error.retryable and not may_be_served_elsewhere(error):
            self._may_recover = False
            return None
        self._note(deployment, error, now_s)
        if now_s >= deadline_s:
            return None
        if self._is_same_first:
            return self._retry_same(deployment, now_s, deadline_s) or self._next_untried()
        return self._next(now_s, deadline_s)

    def recover(self, available_at_s: Mapping[str, float], now_s: float, limit_s: float) -> Step | None:
        """Return a last attempt, once, on the deployment that becomes available first, if that is before `limit_s`.

        For requests that found no deployment available, when `after` has returned None.
        """
        waiting = [name for name in available_at_s if name not in self._excluded]
        if not waiting or not self._may_recover:
            return None
        name = min(waiting, key=available_at_s.__getitem__)
        wait_s = max(0.0, available_at_s[name] - now_s)
        if now_s + wait_s > limit_s:
            return None
        self._may_recover = False
        return Step(name, "retry", min(limit_s - now_s, wait_s + wait_s * _SPREAD * self._rng.random()))

    def _next(self, now_s: float, deadline_s: float) -> Step | None:
        while self._queue:
            name = self._queue.pop(0)
            if name in self._excluded:
                continue
            if self._round == 0:
                return self._untried(name)
            # The backoff of a retry round is spent before its first attempt.
            wait_s = self._remaining_wait_s(name, now_s)
            if self._may_retry(name) and now_s + wait_s < deadline_s:
                return Step(name, "retry", wait_s)
        return self._next_round(now_s, deadline_s) or self._next_fallback()

    def _remaining_wait_s(self, name: str, now_s: float) -> float:
        """Return how long to wait because of the Retry-After of `name`."""
        return max(0.0, self._not_before_s.get(name, 0.0) - now_s)

    def _may_retry(self, name: str) -> bool:
        """Return whether a retry takes no time from deployments that have not been tried."""
        if name in self._excluded:
            return False
        untried = self._fallbacks if self._round else (*self._queue, *self._fallbacks)
        return name not in self._timed_out or not any(
            each not in self._excluded and self._has_cause(each) for each in untried
        )

    def _next_round(self, now_s: float, deadline_s: float) -> Step | None:
        if self._round >= self._retries:
            return None
        wait_s = self._backoff.wait_s(self._round, self._rng)
        waits = {name: self._remaining_wait_s(name, now_s) for name in self._pool if self._may_retry(name)}
        ready = [name for name, remaining_s in waits.items() if remaining_s <= self._backoff.max_s]
        if not ready:
            return None
        ready.sort(key=waits.__getitem__)
        first, *queue = ready
        wait_s = max(wait_s, waits[first])
        if now_s + wait_s >= deadline_s:
            return None  # there may still be time for a fallback, which needs no wait
        self._round, self._queue = self._round + 1, queue
        return Step(first, "retry", wait_s)

    def _retry_same(self, name: str, now_s: float, deadline_s: float) -> Step | None:
        """Return the next retry of the deployment that has just failed, or None if another one is to be tried."""
        retried, remaining_s = self._retried.get(name, 0), self._remaining_wait_s(name, now_s)
        if name not in self._pool or retried >= self._retries or not self._may_retry(name):
            return None
        wait_s = max(self._backoff.wait_s(retried, self._rng), remaining_s)
        if remaining_s > self._backoff.max_s or now_s + wait_s >= deadline_s:
            return None
        self._retried[name] = retried + 1
        return Step(name, "retry", wait_s)

    def _next_untried(self) -> Step | None:
        while self._queue:
            name = self._queue.pop(0)
            if name not in self._excluded:
                return self._untried(name)
        return self._next_fallback()

    def _next_fallback(self) -> Step | None:
        while self._fallbacks:
            name = self._fallbacks.pop(0)
            if name not in self._excluded and self._has_cause(name):
                return self._untried(name)
        return None

    def _has_cause(self, name: str) -> bool:
        """Return whether a failure so far is one for which this deployment is tried."""
        causes = self._causes.get(name)
        return causes is None or not causes.isdisjoint(self._seen)

    def _untried(self, name: str) -> Step:
        return Step(name, "fallback" if name in self._configured_fallbacks else "next", 0.0)
