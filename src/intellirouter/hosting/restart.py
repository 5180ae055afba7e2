"""Decides when to restart a crashed worker. Pure: events and the time go in, a delay comes out."""

from collections import deque


class RestartPolicy:
    """Exponential back-off between starts, and a limit on crashes within a time window."""

    def __init__(self, *, base_s: float, max_s: float, crash_limit: int, window_s: float) -> None:
        self._base_s = base_s
        self._max_s = max_s
        self._crash_limit = crash_limit
        self._window_s = window_s
        self._crashes: deque[float] = deque(maxlen=crash_limit)
        self._outages = 0

    def record_crash(self, now_s: float) -> float | None:
        """Return the seconds to wait before the next start, or None to give up."""
        while self._crashes and now_s - self._crashes[0] > self._window_s:
            self._crashes.popleft()
        self._crashes.append(now_s)
        if len(self._crashes) >= self._crash_limit:
            return None
        return self._delay_s(len(self._crashes))

    def record_outage(self) -> float:
        """Record that something external failed, such as a download. Return the delay before the next try."""
        self._outages += 1
        return self._delay_s(self._outages)

    def reset_outages(self) -> None:
        """Record that what was unavailable is available again."""
        self._outages = 0

    def _delay_s(self, tries: int) -> float:
        return float(min(self._max_s, self._base_s * 2 ** min(tries - 1, 32)))
