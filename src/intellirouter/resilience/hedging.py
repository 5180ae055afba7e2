"""When a request is hedged: learned delays, and the share of hedged requests. Pure; see DESIGN.md."""

import math
from collections.abc import Collection
from typing import Final

from intellirouter.core import HedgingPolicy

_GROWTH: Final = 1.25
_BUCKETS: Final = 64
"""The last bucket begins at 21 minutes."""
_MAX_SAMPLES: Final = 1000
"""When there are more, all counts are halved, so that the latest ones weigh most."""
MIN_SAMPLES: Final = 20
_STEP_S: Final = 10.0
_STEPS: Final = 6
_OPERATIONS: Final = frozenset({"chat", "completions", "embeddings"})
_MEDIA: Final = frozenset({"vision", "audio", "video", "files"})
"""An attempt may have to fetch media, and attempts in parallel cannot share them."""


class DelayHistogram:
    """Times to the first content of one deployment, in constant memory. A percentile is at most 25 % too high."""

    __slots__ = ("_counts", "_total")

    def __init__(self) -> None:
        self._counts = [0] * _BUCKETS
        self._total = 0

    def add(self, delay_ms: float) -> None:
        bucket = 0 if delay_ms <= 1.0 else math.ceil(math.log(delay_ms, _GROWTH))
        self._counts[min(_BUCKETS - 1, bucket)] += 1
        self._total += 1
        if self._total > _MAX_SAMPLES:
            self._counts = [count // 2 for count in self._counts]
            self._total = sum(self._counts)

    def percentile_s(self, share: float) -> float | None:
        """Return the time that this share of the samples does not exceed; None if there are too few samples."""
        if self._total < MIN_SAMPLES:
            return None
        left = share * self._total
        for bucket, count in enumerate(self._counts):
            left -= count
            if left <= 0:
                return float(_GROWTH**bucket) / 1e3
        return None


class HedgeShare:
    """Counts the requests of one model, and those that were hedged, in the last minute."""

    __slots__ = ("_hedged", "_requests", "_step")

    def __init__(self) -> None:
        self._requests, self._hedged = [0] * _STEPS, [0] * _STEPS
        self._step = 0

    def count_request(self, now_s: float) -> None:
        self._move(now_s)
        self._requests[self._step % _STEPS] += 1

    def take(self, max_share: float, now_s: float) -> bool:
        """Count a hedged request and return True, unless too many have been hedged."""
        self._move(now_s)
        if sum(self._hedged) + 1 > max_share * sum(self._requests):
            return False
        self._hedged[self._step % _STEPS] += 1
        return True

    def _move(self, now_s: float) -> None:
        step = int(now_s / _STEP_S)
        for each in range(max(self._step + 1, step - _STEPS + 1), step + 1):
            self._requests[each % _STEPS] = self._hedged[each % _STEPS] = 0
        self._step = step


def may_hedge(policy: HedgingPolicy, operation: str, needs: Collection[str], *, is_large: bool) -> bool:
    """Return whether a request of this kind may be sent to two deployments."""
    if operation not in _OPERATIONS or is_large or not _MEDIA.isdisjoint(needs):
        return False
    return policy.allows_tools or "tools" not in needs
