"""How many requests a deployment may process at the same time: a fixed number, or one that is learned. Pure.

The learned limit follows the gradient of the latency, like `Gradient2` of Netflix's concurrency-limits: as long as the
first content takes about as long as usual, the limit grows by a fraction of its square root. When it takes longer than
that, requests are waiting inside the deployment, and the limit shrinks in proportion. See DESIGN.md.
"""

import math
from typing import Final

from intellirouter.core import DEFAULT_ADAPTIVE_MAX, ConcurrencyPolicy

_WINDOW_S: Final = 1.0
_WINDOW_SAMPLES: Final = 10
"""The limit changes when a window has lasted so long and has so many samples."""
_SMOOTHING: Final = 0.2
_MIN_GRADIENT: Final = 0.5
_SHRINKS_TO: Final = 0.8
_LEARNS: Final = 1 / 20
"""How much the usual latency moves with a sample."""
_FIRST_SAMPLES: Final = 10
"""So many samples count as usual in any case."""
_CALM: Final = 0.9
_PROBE_EVERY_S: Final = 60.0
_PROBE_SAMPLES: Final = 10
_MAX_PROBE_S: Final = 30.0


class _Usual:
    """The usual time to the first content while the deployment is not busy, for one kind of answer."""

    __slots__ = ("_samples", "_usual_ms")

    def __init__(self) -> None:
        self._usual_ms = 0.0
        self._samples = 0

    def ratio(self, first_ms: float) -> float:
        """Return how many times as long as usual this is."""
        return first_ms / self._usual_ms if self._usual_ms > 0 else 1.0

    def learn(self, first_ms: float, *, is_calm: bool) -> None:
        if is_calm or self._samples < _FIRST_SAMPLES:
            self._samples += 1
            self._usual_ms += (first_ms - self._usual_ms) * max(_LEARNS, 1 / self._samples)


class ConcurrencyLimit:
    """The limit of one deployment. Memory is constant, and times are monotonic."""

    __slots__ = (
        "_calm_s",
        "_exact",
        "_peak",
        "_policy",
        "_probe_began_s",
        "_probed",
        "_ratios",
        "_samples",
        "_shrunk_s",
        "_usual",
        "_window_ends_s",
        "value",
    )

    def __init__(self, policy: ConcurrencyPolicy) -> None:
        self._usual = (_Usual(), _Usual())
        self._shrunk_s = -math.inf
        self._window_ends_s = 0.0
        self._ratios = 0.0
        self._samples = self._peak = 0
        self._calm_s: float | None = None
        """When the deployment was not busy for the last time; None before the first sample."""
        self._probe_began_s: float | None = None
        """When the limit was lowered to measure the usual latency again; None most of the time."""
        self._probed = 0
        self._policy = policy
        self._exact = float(policy.initial)
        self.value = 1
        self.apply(policy)

    def apply(self, policy: ConcurrencyPolicy) -> None:
        """Use these settings from now on. What has been learned is kept."""
        if policy.adaptive and not self._policy.adaptive:
            self._exact = float(policy.initial)
        self._policy = policy
        if policy.adaptive:
            self._set(self._exact)
        elif policy.max is not None:
            self.value = policy.max

    @property
    def is_adaptive(self) -> bool:
        return self._policy.adaptive

    def note_success(self, first_ms: float, in_flight: int, began_s: float, now_s: float, *, is_stream: bool) -> None:
        """Learn from an attempt that began at `began_s` and succeeded. `in_flight` includes it.

        `first_ms` is the time to the first content of a stream, or to the headers of another response.
        """
        if not self._policy.adaptive:
            return
        usual = self._usual[is_stream]
        if self._probe_began_s is not None:
            if began_s >= self._probe_began_s:
                usual.learn(first_ms, is_calm=True)
                self._probed += 1
            if self._probed >= _PROBE_SAMPLES or now_s - self._probe_began_s >= _MAX_PROBE_S:
                self._end_probe(now_s)
            return
        self._ratios += usual.ratio(first_ms)
        is_calm = in_flight <= self._calm_value()
        usual.learn(first_ms, is_calm=is_calm)
        if is_calm or self._calm_s is None:
            self._calm_s = now_s
        self._samples += 1
        self._peak = max(self._peak, in_flight)
        if self._samples >= _WINDOW_SAMPLES and now_s >= self._window_ends_s:
            self._follow_gradient(self._ratios / self._samples)
            self._begin_window(now_s)
            if now_s - self._calm_s >= _PROBE_EVERY_S:
                self._probe_began_s, self._probed = now_s, 0
                self.value = self._calm_value()

    def note_overload(self, began_s: float, now_s: float) -> None:
        """Learn from an attempt that the deployment was too busy for. Those of one moment count once."""
        if not self._policy.adaptive or began_s < self._shrunk_s:
            return
        self._shrunk_s = now_s
        self._probe_began_s = None
        self._set(self._exact * _SHRINKS_TO)
        self._begin_window(now_s)

    def _calm_value(self) -> int:
        """Return how many requests the deployment can process in its usual time, if the limit is in balance."""
        exact = self._exact
        return max(self._policy.min, int(_CALM * exact * (1 - 1 / math.sqrt(exact)) / self._policy.tolerance))

    def _follow_gradient(self, ratio: float) -> None:
        gradient = min(1.0, max(_MIN_GRADIENT, self._policy.tolerance / max(ratio, 1e-9)))
        change = _SMOOTHING * (self._exact * gradient + math.sqrt(self._exact) - self._exact)
        if change <= 0 or self._peak >= self._exact / 2:  # a limit that is not used must not grow
            self._set(self._exact + change)

    def _end_probe(self, now_s: float) -> None:
        self._probe_began_s, self._calm_s = None, now_s
        self._set(self._exact)
        self._begin_window(now_s)

    def _begin_window(self, now_s: float) -> None:
        self._window_ends_s = now_s + _WINDOW_S
        self._ratios = 0.0
        self._samples = self._peak = 0

    def _set(self, exact: float) -> None:
        most = DEFAULT_ADAPTIVE_MAX if self._policy.max is None else self._policy.max
        self._exact = min(float(most), max(float(self._policy.min), exact))
        self.value = int(self._exact)
