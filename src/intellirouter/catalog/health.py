"""The health of each deployment, measured from its own traffic. Router, API and dashboard share it."""

import math
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from intellirouter.core import DEFAULT_BREAKER, BreakerPolicy, FallbackCause, SlotPolicy
from intellirouter.resilience import Breaker, DelayHistogram, Slots

_ALPHA: Final = 0.2
_JUST_FAILED_S: Final = 10.0
_RECOVERS_BY_HALF_S: Final = 30.0
_HARMLESS_SHARE: Final = 0.1
"""Up to this share of failures within the window, a decision does not depend on them."""
_HARMLESS_RATE: Final = 0.99
"""From this success rate on, it counts as 1."""
_MAX_UNCONFIGURED: Final = 2048
RECENT: Final = 100
"""How many of the last attempts `recent_successes` covers."""
_RECENT_MASK: Final = (1 << RECENT) - 1


class DeploymentHealth:
    """Running statistics of one deployment, and its circuit breaker. Plain numbers, written on the event loop only.

    A fast failure must not look like a fast response, so the latency is measured from successes only. Strategies weigh
    it with the success rate.
    """

    __slots__ = (
        "_covered",
        "_outcomes",
        "_successes",
        "attempts",
        "breaker",
        "failures",
        "failures_in_a_row",
        "first_content",
        "first_token_ms",
        "in_flight",
        "is_suspect",
        "last_error",
        "last_failure_s",
        "latency_ms",
        "slots",
        "success_rate",
    )

    def __init__(self, breaker: Breaker | None = None, slots: Slots | None = None) -> None:
        self.breaker = breaker or Breaker()
        self.slots = slots
        """The slots of the deployment, and who waits for them. None: the number of requests is not limited."""
        self.is_suspect = False
        """Whether a decision may depend on this deployment's failures. If not, nothing else need be read."""
        self.in_flight = 0
        self.attempts = 0
        self.failures = 0
        self.failures_in_a_row = 0
        self.last_failure_s = 0.0
        self.last_error: str | None = None
        self.latency_ms: float | None = None
        """Moving average of the time to the end of the response; None until the first success."""
        self.first_token_ms: float | None = None
        self.first_content: tuple[DelayHistogram, DelayHistogram] | None = None
        """Times to the complete answer, and to the first content of a stream, if a model hedges requests."""
        self.success_rate = 1.0
        """Moving average, which weighs the latest attempts most; 1 if not suspect. For strategies."""
        self._outcomes = self._covered = self._successes = 0
        """The last outcomes as bits, how many they are, and the successes that have not been added to them yet."""

    def begin(self, now_s: float) -> int:
        """Count an attempt that begins. Return its ticket, with which it ends."""
        self.in_flight += 1
        self.attempts += 1
        ticket = self.breaker.closed_ticket
        return ticket if ticket >= 0 else self.breaker.begin(now_s)

    def succeed(self, ticket: int, first_token_ms: float, latency_ms: float, now_s: float) -> bool:
        """End an attempt that succeeded. Return whether this has changed the state of the breaker."""
        self.in_flight -= 1
        self._successes += 1
        if (latency := self.latency_ms) is None or (first_token := self.first_token_ms) is None:
            self.latency_ms, self.first_token_ms = latency_ms, first_token_ms
        else:
            self.latency_ms = latency + _ALPHA * (latency_ms - latency)
            self.first_token_ms = first_token + _ALPHA * (first_token_ms - first_token)
        has_changed = self.breaker.succeed(ticket, first_token_ms, now_s)
        if self.is_suspect or has_changed:
            self.failures_in_a_row = 0
            self.success_rate += _ALPHA * (1.0 - self.success_rate)
            self.affects_decisions(now_s)
        return has_changed

    def fail(self, ticket: int, code: str, now_s: float, kind: FallbackCause = "error") -> bool:
        """End an attempt that failed. Return whether the breaker has opened."""
        self.in_flight -= 1
        self._count_successes()
        self._outcomes = (self._outcomes << 1) & _RECENT_MASK
        self._covered = min(RECENT, self._covered + 1)
        self.failures += 1
        self.failures_in_a_row += 1
        self.last_failure_s = now_s
        self.last_error = code
        self.success_rate -= _ALPHA * self.success_rate
        self.is_suspect = True
        return self.breaker.fail(ticket, code, now_s, kind)

    @property
    def recent_successes(self) -> int:
        """How many of the last `recent_attempts` attempts have succeeded."""
        self._count_successes()
        return self._outcomes.bit_count()

    @property
    def recent_attempts(self) -> int:
        """How many attempts `recent_successes` covers: those that have succeeded or failed, 100 at most."""
        return min(RECENT, self._covered + self._successes)

    def _count_successes(self) -> None:
        """Add the successes since the last failure to the outcomes, which a success does not do itself."""
        count, self._successes = min(RECENT, self._successes), 0
        self._outcomes = (self._outcomes << count | (1 << count) - 1) & _RECENT_MASK
        self._covered = min(RECENT, self._covered + count)

    def end_neutrally(self, ticket: int) -> None:
        """The client caused the end of the attempt (disconnect, invalid request), so it does not count."""
        self.in_flight -= 1
        self.breaker.release(ticket)

    def defer(self, retry_after_s: float, now_s: float) -> None:
        """Remember that the deployment asks not to be called for a while. Other deployments are preferred until then.

        The wait is limited to one hour.
        """
        self.breaker.defer(retry_after_s, now_s)
        self.is_suspect = True

    def has_just_failed(self, now_s: float) -> bool:
        """Return whether the last attempt failed, less than ten seconds ago."""
        return self.failures_in_a_row > 0 and now_s - self.last_failure_s < _JUST_FAILED_S

    def is_available(self, now_s: float) -> bool:
        """Return whether the deployment is used as usual. If not, the others are tried first."""
        return not self.is_suspect or self.breaker.is_available(now_s)

    def affects_decisions(self, now_s: float) -> bool:
        """Return `is_suspect` after it has been brought up to date: failures lose their effect with time."""
        self.is_suspect = self._is_suspect(now_s)
        if not self.is_suspect:
            self.success_rate, self.failures_in_a_row = 1.0, 0
        return self.is_suspect

    def _is_suspect(self, now_s: float) -> bool:
        breaker = self.breaker
        if breaker.closed_ticket < 0 or now_s < breaker.retry_at_s or self.success_rate_at(now_s) < _HARMLESS_RATE:
            return True
        counts = breaker.counts(now_s)
        return counts.failures > _HARMLESS_SHARE * counts.attempts

    def success_rate_at(self, now_s: float) -> float:
        """Return the success rate, where the share of failures halves every thirty seconds.

        Otherwise a deployment that is not tried any more could never recover.
        """
        if self.success_rate >= 1.0:
            return 1.0
        age_s = max(0.0, now_s - self.last_failure_s)
        return 1.0 - (1.0 - self.success_rate) * math.exp2(-age_s / _RECOVERS_BY_HALF_S)


class HealthBoard:
    """Health by deployment name. It survives reloads of the configuration; `apply` drops removed deployments.

    Wildcard names come from clients. Those without in-flight requests are dropped when there are too many.
    """

    def __init__(self, rng: random.Random | None = None) -> None:
        self._rng = rng or random.Random()  # noqa: S311 - jitter
        self._health: dict[str, DeploymentHealth] = {}
        self._policies: Mapping[str, BreakerPolicy] = {}
        self._default = DEFAULT_BREAKER
        self._limits: Mapping[str, SlotPolicy] = {}
        self._default_limit: SlotPolicy | None = None
        self._is_closed = False

    def of(self, deployment: str) -> DeploymentHealth:
        health = self._health.get(deployment)
        if health is None:
            if len(self._health) >= _MAX_UNCONFIGURED + len(self._policies):
                self._keep(lambda name, each: name in self._policies or each.in_flight > 0 or _are_slots_used(each))
            policy = self._policies.get(deployment, self._default)
            health = self._health[deployment] = DeploymentHealth(Breaker(policy, self._rng))
            if (limit := self._limit_of(deployment)) is not None:
                health.slots = self._slots(deployment, health, limit)
        return health

    def apply(self, policies: Mapping[str, BreakerPolicy], default: BreakerPolicy = DEFAULT_BREAKER) -> None:
        """Drop all deployments except these, which are then kept until the next call, and use these settings.

        `default` is for the deployments of wildcards.
        """
        self._policies, self._default = policies, default
        self._keep(lambda name, each: name in policies or _are_slots_used(each))
        for name, health in self._health.items():
            health.breaker.apply(policies.get(name, default))

    def apply_limits(self, limits: Mapping[str, SlotPolicy], default: SlotPolicy | None, now_s: float) -> None:
        """Use these limits of requests in flight. Deployments that are not among them have none.

        `default` is for the deployments of wildcards. Call it after `apply`. Requests keep their slots, and those that
        wait keep their places.
        """
        self._limits, self._default_limit = limits, default
        for name, health in self._health.items():
            limit = self._limit_of(name)
            if health.slots is not None:
                health.slots.apply(limit, now_s)
                if limit is None and not health.slots.held:
                    health.slots = None
            elif limit is not None:
                health.slots = self._slots(name, health, limit)

    def close_queues(self) -> None:
        """Refuse all requests that wait for a slot, from now on, because the gateway is stopping."""
        self._is_closed = True
        for health in self._health.values():
            if health.slots is not None:
                health.slots.close()

    def limited(self) -> Iterator[tuple[str, Slots]]:
        """Yield the slots of the configured deployments that have a limit."""
        found = [(name, self.of(name).slots) for name in self._limits]
        return iter([(name, slots) for name, slots in found if slots is not None])

    def suspects(self) -> Iterator[tuple[str, DeploymentHealth]]:
        """Yield the deployments whose breaker is not closed, or that have asked not to be called, among others."""
        return iter([(name, health) for name, health in self._health.items() if health.is_suspect])

    def opened_breakers(self) -> Iterator[tuple[str, Breaker]]:
        """Yield the breakers of configured deployments that have ever opened."""
        known = self._policies
        return iter(
            [(name, each.breaker) for name, each in self._health.items() if name in known and each.breaker.openings]
        )

    def _limit_of(self, name: str) -> SlotPolicy | None:
        return self._limits.get(name) if name in self._policies else self._default_limit

    def _slots(self, name: str, health: DeploymentHealth, limit: SlotPolicy) -> Slots:
        slots = Slots(name, limit, health.in_flight)
        slots.is_closed = self._is_closed
        return slots

    def _keep(self, is_kept: Callable[[str, DeploymentHealth], bool]) -> None:
        self._health = {name: health for name, health in self._health.items() if is_kept(name, health)}


def _are_slots_used(health: DeploymentHealth) -> bool:
    """Return whether requests have slots, which must not be forgotten before they have been released."""
    return health.slots is not None and health.slots.held > 0
