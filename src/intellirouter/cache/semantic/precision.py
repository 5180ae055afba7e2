"""Measures how many hits of the semantic cache are right, and decides whether it may serve them. Pure.

A verified hit is one for which the real answer was also requested and compared. The states:

    verifying   every hit is verified and the real answer is served, until enough of them were right
    serving     hits are served; a share of them is verified
    paused      the cache is not used, until it may be tried again
"""

import math
from collections import deque
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

_SHARE_SCALE: Final = 2**32


class MonitorState(Enum):
    VERIFYING = "verifying"
    SERVING = "serving"
    PAUSED = "paused"


@dataclass(frozen=True)
class PrecisionTarget:
    """What precision is required, and how it is measured."""

    precision: float = 0.95
    """The lower bound of the precision, at the given confidence, must be at least this."""
    verified_share: float = 0.05
    """The share of the served hits that are verified."""
    window: int = 200
    """How many of the latest verified hits count."""
    z: float = 1.645
    """Quantile of the normal distribution: 1.645 for a one-sided bound of 95 %."""
    pause_s: float = 600.0
    """The first pause. Each following one is twice as long."""
    max_pause_s: float = 86_400.0

    def __post_init__(self) -> None:
        if not 0 < self.precision < 1 or not 0 < self.verified_share <= 1:
            raise ValueError("The precision must be between 0 and 1, and the verified share above 0 and at most 1.")
        if wilson_lower_bound(self.window, self.window, self.z) < self.precision:
            raise ValueError(f"A window of {self.window} is too small to show a precision of {self.precision}.")


def wilson_lower_bound(successes: int, trials: int, z: float) -> float:
    """Return the lower bound of Wilson's interval for a proportion; 0 without trials."""
    return _wilson(successes, trials, -z) if trials else 0.0


def _wilson(successes: int, trials: int, signed_z: float) -> float:
    share = successes / trials
    z2 = signed_z * signed_z
    spread = signed_z * math.sqrt(share * (1 - share) / trials + z2 / (4 * trials * trials))
    return (share + z2 / (2 * trials) + spread) / (1 + z2 / trials)


@dataclass
class PrecisionMonitor:
    """The measured precision of one model's semantic cache. All times are monotonic seconds from the caller."""

    target: PrecisionTarget
    state: MonitorState = MonitorState.VERIFYING
    _verdicts: deque[bool] = field(default_factory=deque)
    _right: int = 0
    _resumes_at_s: float = 0.0
    _pauses: int = 0

    def is_in_use(self, now_s: float) -> bool:
        """Return whether lookups make sense now. Ends a pause that is over."""
        if self.state is MonitorState.PAUSED and now_s >= self._resumes_at_s:
            self.state = MonitorState.VERIFYING
        return self.state is not MonitorState.PAUSED

    def is_verified(self, draw: int) -> bool:
        """Return whether a hit is to be verified. `draw`: 32 random bits, such as the beginning of a digest.

        While the state is `verifying`, all hits are verified and must not be served.
        """
        if self.state is not MonitorState.SERVING:
            return True
        return draw % _SHARE_SCALE < self.target.verified_share * _SHARE_SCALE

    def may_serve(self) -> bool:
        """Return whether a hit may be served without its real answer."""
        return self.state is MonitorState.SERVING

    def record(self, *, is_right: bool, now_s: float) -> None:
        """Add a verified hit. Results that arrive during a pause are discarded."""
        if not self.is_in_use(now_s):
            return
        if len(self._verdicts) >= self.target.window:
            self._right -= self._verdicts.popleft()
        self._verdicts.append(is_right)
        self._right += is_right
        self._decide(now_s)

    @property
    def verified(self) -> int:
        """How many verified hits count."""
        return len(self._verdicts)

    @property
    def precision(self) -> float | None:
        """The share of the verified hits that were right; None without any."""
        return self._right / len(self._verdicts) if self._verdicts else None

    @property
    def lower_bound(self) -> float:
        return wilson_lower_bound(self._right, len(self._verdicts), self.target.z)

    def resumes_in_s(self, now_s: float) -> float:
        """Return how long the pause lasts; 0 if there is none."""
        return max(0.0, self._resumes_at_s - now_s) if self.state is MonitorState.PAUSED else 0.0

    def _decide(self, now_s: float) -> None:
        if self.lower_bound >= self.target.precision:
            self.state = MonitorState.SERVING
            self._pauses = 0 if len(self._verdicts) >= self.target.window else self._pauses
            return
        self.state = MonitorState.VERIFYING
        if len(self._verdicts) >= self.target.window or self._is_hopeless():
            self._pause(now_s)

    def _is_hopeless(self) -> bool:
        """Return whether even the upper bound is below the target, or the full window could not reach it."""
        trials = len(self._verdicts)
        if _wilson(self._right, trials, self.target.z) < self.target.precision:
            return True
        best = self.target.window - (trials - self._right)
        return wilson_lower_bound(best, self.target.window, self.target.z) < self.target.precision

    def _pause(self, now_s: float) -> None:
        self.state = MonitorState.PAUSED
        self._resumes_at_s = now_s + min(self.target.max_pause_s, self.target.pause_s * 2.0**self._pauses)
        self._pauses = min(self._pauses + 1, 32)
        self._verdicts.clear()
        self._right = 0
