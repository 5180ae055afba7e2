"""When to start a crashed worker again. Pure: told of events and the time, answers with a delay."""

from collections import deque


class RestartPolicy:
    """Exponential backoff between starts, and a verdict after too many crashes in a short time."""

    def __init__(self, *, base_s: float, max_s: float, crash_limit: int, window_s: float) -> None:
        self._base_s = base_s
        self._max_s = max_s
        self._crash_limit = crash_limit
        self._window_s = window_s
        self._crashes: deque[float] = deque(maxlen=crash_limit)
        self._outages = 0

    def crashed(self, now_s: float) -> float | None:
        """Return the seconds to wait before the next start; None when there shall be none."""
        while self._crashes and now_s - self._crashes[0] > self._window_s:
            self._crashes.popleft()
        self._crashes.append(now_s)
        if len(self._crashes) >= self._crash_limit:
            return None
        return self._delay_s(len(self._crashes))

    def unavailable(self) -> float:
        """Something outside failed (a download): return the delay before the next try. Never gives up."""
        self._outages += 1
        return self._delay_s(self._outages)

    def recovered(self) -> None:
        """What was unavailable is there."""
        self._outages = 0

    def _delay_s(self, tries: int) -> float:
        return float(min(self._max_s, self._base_s * 2 ** min(tries - 1, 32)))
