"""When work that runs in the background is tried again: batch lines, calls of the store. Pure."""

import random
from typing import Final

from msgspec import Struct

from intellirouter.core import errors
from intellirouter.resilience.planner import Backoff

_PASSING: Final = (errors.Overloaded, errors.NoEligibleDeployment, errors.ModelLoading, errors.AllAttemptsFailed)
"""Errors that may be over later, in addition to those that the error tree calls retryable."""


class RetryPolicy(Struct, frozen=True, kw_only=True):
    """How often, and after which wait."""

    max_tries: int
    """The first one included."""
    backoff: Backoff
    max_wait_s: float
    """Of one wait, whatever an upstream's Retry-After asks for."""

    def wait_s(self, error: errors.GatewayError, tries: int, rng: random.Random) -> float | None:
        """Return how long to wait after `tries` tries, the last of which failed with `error`; None: give up."""
        if tries >= self.max_tries or not (error.retryable or isinstance(error, _PASSING)):
            return None
        wait_s = max(self.backoff.wait_s(tries - 1, rng), error.retry_after_s or 0.0)
        return min(self.max_wait_s, wait_s)
