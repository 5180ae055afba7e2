"""Selects which requests that were answered after a failed attempt are logged.

While a deployment is down, every request may have such an attempt. One entry per deployment and interval is enough.
"""

from typing import Final

_EVERY_S: Final = 10.0
_MAX_DEPLOYMENTS: Final = 256


class Recoveries:
    """One per attempt loop. Use it on one event loop only."""

    def __init__(self) -> None:
        self._by_deployment: dict[str, tuple[float, int]] = {}
        """By failed deployment: when one was logged, and how many were not since then."""

    def unlogged(self, deployment: str, now_s: float) -> int | None:
        """Return how many failures of this deployment were left out since the last entry; None to leave this one out.

        A deployment that has not failed for long is forgotten when there are too many.
        """
        logged_s, count = self._by_deployment.pop(deployment, (float("-inf"), 0))
        if now_s - logged_s < _EVERY_S:
            self._by_deployment[deployment] = (logged_s, count + 1)
            return None
        if len(self._by_deployment) >= _MAX_DEPLOYMENTS:
            del self._by_deployment[next(iter(self._by_deployment))]
        self._by_deployment[deployment] = (now_s, 0)
        return count
