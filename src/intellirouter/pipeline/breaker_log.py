"""Logs that circuit breakers open and close: one entry each, and not too many while a deployment is unstable.

Clients can name any number of deployments if a provider has `models: "*"`, so the number of entries is limited for all
deployments together. The metrics count every transition.
"""

import logging
from typing import Final

from intellirouter.resilience import Breaker

logger = logging.getLogger(__name__)

_INTERVAL_S: Final = 10.0
_MAX_ENTRIES: Final = 20
"""Per interval, for all deployments together."""


class BreakerLog:
    """One per attempt loop. Use it on one event loop only."""

    def __init__(self) -> None:
        self._interval_started_s = float("-inf")
        self._entries = 0
        self._left_out = 0

    def log(self, deployment: str, breaker: Breaker, now_s: float) -> None:
        """Log the state that the breaker has just entered."""
        if now_s - self._interval_started_s >= _INTERVAL_S:
            self._interval_started_s, self._entries = now_s, 0
        self._entries += 1
        if self._entries > _MAX_ENTRIES:
            self._left_out += 1
            return
        more = f" {self._left_out} earlier changes of circuit breakers were not logged." if self._left_out else ""
        self._left_out = 0
        if breaker.closed_ticket >= 0:
            logger.info("%s: The circuit has closed. It is used as usual again.%s", deployment, more)
        else:
            open_s = breaker.open_until_s - now_s
            logger.warning(
                "%s: The circuit has opened after %s. It is tried last for %.3g s.%s",
                deployment,
                breaker.cause,
                open_s,
                more,
            )
