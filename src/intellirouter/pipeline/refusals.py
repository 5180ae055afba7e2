"""Counts refusals of callers that are not identified, and selects the few that are recorded.

Strangers can send thousands of requests per second. If each one had a record, they would push the real ones out of the
request log.
"""

from typing import Final

_BURST: Final = 20
_EVERY_S: Final = 10.0
"""6 per minute are at most 9,000 per day, a few megabytes."""


class Refusals:
    """One per gateway. Use it on one event loop only."""

    def __init__(self) -> None:
        self.total = 0
        """Refusals of unidentified callers since the start."""
        self.unrecorded = 0
        """Those of them that have no record."""
        self._unlogged = 0
        """Those since `take_unlogged` was last called."""
        self._tokens = float(_BURST)
        self._at_s = float("-inf")

    def is_recorded(self, now_s: float) -> bool:
        """Count a refusal, and return whether it is recorded: the first twenty are, and then one every ten seconds."""
        self.total += 1
        if self._tokens < _BURST:
            self._tokens = min(float(_BURST), self._tokens + (now_s - self._at_s) / _EVERY_S)
        self._at_s = now_s
        if self._tokens < 1.0:
            self.unrecorded += 1
            self._unlogged += 1
            return False
        self._tokens -= 1.0
        return True

    def take_unlogged(self) -> int:
        """Return how many refusals have not been recorded since the last call."""
        unlogged, self._unlogged = self._unlogged, 0
        return unlogged
