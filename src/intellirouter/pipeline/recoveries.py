"""Selects which requests that were answered after a failed attempt, or by a degradation step, are logged.

While a deployment is down, every request may have such an attempt. One entry per deployment and interval is enough.
Clients can name any number of deployments if a provider has `models: "*"`, so the number of entries is also limited for
all deployments together.
"""

from typing import Final

_EVERY_S: Final = 10.0
_MAX_DEPLOYMENTS: Final = 256
_MAX_ENTRIES: Final = 10
"""Per interval, for all deployments together."""


class Recoveries:
    """One per attempt loop. Use it on one event loop only."""

    def __init__(self) -> None:
        self._by_deployment: dict[str, tuple[float, int]] = {}
        """By failed deployment: when one was logged, and how many were not since then."""
        self._interval_started_s = float("-inf")
        self._entries = 0
        """How many were logged in this interval."""

    def unlogged(self, deployment: str, now_s: float) -> int | None:
        """Return how many failures of this deployment were left out since the last entry; None to leave this one out.

        A deployment that has not failed for long is forgotten when there are too many.
        """
        logged_s, count = self._by_deployment.pop(deployment, (float("-inf"), 0))
        if now_s - logged_s >= _EVERY_S and self._may_log(now_s):
            logged_s, left_out = now_s, 0
        else:
            left_out = count + 1
        if len(self._by_deployment) >= _MAX_DEPLOYMENTS:
            del self._by_deployment[next(iter(self._by_deployment))]
        self._by_deployment[deployment] = (logged_s, left_out)
        return None if left_out else count

    def _may_log(self, now_s: float) -> bool:
        """Count one more entry in this interval, unless there are too many."""
        if now_s - self._interval_started_s >= _EVERY_S:
            self._interval_started_s, self._entries = now_s, 0
        self._entries += 1
        return self._entries <= _MAX_ENTRIES
