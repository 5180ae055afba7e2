"""The health of each deployment, measured from its own traffic. Router, API and dashboard share it."""

import math
from collections.abc import Callable
from typing import Final

_ALPHA: Final = 0.2
_FAILING_AFTER: Final = 3
_FAILING_FOR_S: Final = 10.0
_RECOVERS_BY_HALF_S: Final = 30.0
_MAX_DEFERRAL_S: Final = 3600.0
_MAX_UNCONFIGURED: Final = 2048
RECENT: Final = 100
"""How many of the last attempts `recent_successes` covers."""
_RECENT_MASK: Final = (1 << RECENT) - 1


class DeploymentHealth:
    """Running statistics of one deployment. Plain numbers, written on the event loop only.

    A fast failure must not look like a fast response, so the latency is measured from successes only. Strategies weigh
    it with the success rate.
    """

    __slots__ = (
        "_outcomes",
        "attempts",
        "failures",
        "failures_in_a_row",
        "first_token_ms",
        "in_flight",
        "last_error",
        "last_failure_s",
        "latency_ms",
        "recent_attempts",
        "retry_at_s",
        "success_rate",
    )

    def __init__(self) -> None:
        self.in_flight = 0
        self.attempts = 0
        self.failures = 0
        self.failures_in_a_row = 0
        self.last_failure_s = 0.0
        self.last_error: str | None = None
        self.latency_ms: float | None = None
        """Moving average of the time to the end of the response; None until the first success."""
        self.first_token_ms: float | None = None
        self.success_rate = 1.0
        """Moving average, which weighs the latest attempts most. It is for strategies; see `recent_successes`."""
        self.recent_attempts = 0
        """How many attempts `recent_successes` covers: those that have succeeded or failed, 100 at most."""
        self._outcomes = 0
        self.retry_at_s = 0.0
        """The deployment has asked not to be called before this time (`Retry-After`)."""

    def begin(self) -> None:
        self.in_flight += 1
        self.attempts += 1

    def succeed(self, first_token_ms: float, latency_ms: float) -> None:
        self.in_flight -= 1
        self._outcomes = (self._outcomes << 1 | 1) & _RECENT_MASK
        if self.recent_attempts < RECENT:
            self.recent_attempts += 1
        self.failures_in_a_row = 0
        self.success_rate += _ALPHA * (1.0 - self.success_rate)
        self.latency_ms = _blend(self.latency_ms, latency_ms)
        self.first_token_ms = _blend(self.first_token_ms, first_token_ms)

    def fail(self, code: str, now_s: float) -> None:
        self.in_flight -= 1
        self._outcomes = (self._outcomes << 1) & _RECENT_MASK
        if self.recent_attempts < RECENT:
            self.recent_attempts += 1
        self.failures += 1
        self.failures_in_a_row += 1
        self.last_failure_s = now_s
        self.last_error = code
        self.success_rate -= _ALPHA * self.success_rate

    @property
    def recent_successes(self) -> int:
        """How many of the last `recent_attempts` attempts have succeeded."""
        return self._outcomes.bit_count()

    def end_neutrally(self) -> None:
        """The client caused the end of the attempt (disconnect, invalid request), so it does not count."""
        self.in_flight -= 1

    def defer(self, retry_after_s: float, now_s: float) -> None:
        """Remember that the deployment asks not to be called for a while. Other deployments are preferred until then.

        The wait is limited to one hour.
        """
        self.retry_at_s = max(self.retry_at_s, now_s + min(retry_after_s, _MAX_DEFERRAL_S))

    def is_deferred(self, now_s: float) -> bool:
        """Return whether the deployment has asked not to be called yet."""
        return now_s < self.retry_at_s

    def has_just_failed(self, now_s: float) -> bool:
        """Return whether the last attempt failed, less than ten seconds ago."""
        return self.failures_in_a_row > 0 and now_s - self.last_failure_s < _FAILING_FOR_S

    def is_failing(self, now_s: float) -> bool:
        """Return whether the last three attempts failed, the last one less than ten seconds ago.

        Such a deployment is tried after the others, but it is not excluded.
        """
        return self.failures_in_a_row >= _FAILING_AFTER and self.has_just_failed(now_s)

    def is_cooling_down(self, now_s: float) -> bool:
        """Return whether other deployments are preferred: this one is failing, or has asked for a pause."""
        return self.is_failing(now_s) or self.is_deferred(now_s)

    def success_rate_at(self, now_s: float) -> float:
        """Return the success rate, where the share of failures halves every thirty seconds.

        Otherwise a deployment that is not tried any more could never recover.
        """
        if self.success_rate >= 1.0:
            return 1.0
        age_s = max(0.0, now_s - self.last_failure_s)
        return 1.0 - (1.0 - self.success_rate) * math.exp2(-age_s / _RECOVERS_BY_HALF_S)


def _blend(old: float | None, new: float) -> float:
    return new if old is None else old + _ALPHA * (new - old)


class HealthBoard:
    """Health by deployment name. It survives reloads of the configuration; `keep_only` drops removed deployments.

    Wildcard names come from clients. Those without in-flight requests are dropped when there are too many.
    """

    def __init__(self) -> None:
        self._health: dict[str, DeploymentHealth] = {}
        self._configured: frozenset[str] = frozenset()

    def of(self, deployment: str) -> DeploymentHealth:
        health = self._health.get(deployment)
        if health is None:
            if len(self._health) >= _MAX_UNCONFIGURED + len(self._configured):
                self._keep(lambda name, each: name in self._configured or each.in_flight > 0)
            health = self._health[deployment] = DeploymentHealth()
        return health

    def keep_only(self, names: frozenset[str]) -> None:
        """Drop all deployments except `names`, which are then kept until the next call."""
        self._configured = names
        self._keep(lambda name, _: name in names)

    def _keep(self, is_kept: Callable[[str, DeploymentHealth], bool]) -> None:
        self._health = {name: health for name, health in self._health.items() if is_kept(name, health)}
