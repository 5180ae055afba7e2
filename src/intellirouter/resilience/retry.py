"""The retry policy of background work, such as the lines of a batch. Pure."""

import random
from typing import Final

from msgspec import Struct

from intellirouter.core import errors
from intellirouter.resilience.planner import Backoff

_TRANSIENT: Final = (
    errors.Overloaded,
    errors.Refused,
    errors.NoEligibleDeployment,
    errors.ModelLoading,
    errors.AllAttemptsFailed,
)
"""Errors that are worth a retry later, in addition to those that are `retryable`."""


class RetryPolicy(Struct, frozen=True, kw_only=True):
    """How often work is tried, and how long to wait in between."""

    max_tries: int
    """Includes the first try."""
    backoff: Backoff
    max_wait_s: float
    """The limit of one wait, which also applies to Retry-After."""

    def wait_s(self, error: errors.GatewayError, tries: int, rng: random.Random) -> float | None:
        """Return the wait after the given number of tries, the last of which failed with `error`; None to give up."""
        if tries >= self.max_tries or not (error.retryable or isinstance(error, _TRANSIENT)):
            return None
        wait_s = max(self.backoff.wait_s(tries - 1, rng), error.retry_after_s or 0.0)
        return min(self.max_wait_s, wait_s)
