"""Decides when to restart a crashed worker. Pure: events and the time go in, a delay comes out."""


class RestartPolicy:
    """Exponential back-off between starts, with an upper limit. It never gives up.

    A worker that has run for `stable_s` has recovered: its next crash counts as the first one.
    """

    def __init__(self, *, base_s: float, max_s: float, stable_s: float) -> None:
        self._base_s = base_s
        self._max_s = max_s
        self._stable_s = stable_s
        self.crashes = 0
        """The number of crashes in a row."""
        self._next_start_s = 0.0
        self._outages = 0

    def record_crash(self, now_s: float) -> float:
        """Return the seconds to wait before the next start."""
        if self.crashes and now_s - self._next_start_s >= self._stable_s:
            self.crashes = 0
        self.crashes += 1
        delay_s = self._delay_s(self.crashes)
        self._next_start_s = now_s + delay_s
        return delay_s

    def record_outage(self) -> float:
        """Record that something external failed, such as a download. Return the delay before the next try."""
        self._outages += 1
        return self._delay_s(self._outages)

    def reset_outages(self) -> None:
        """Record that what was unavailable is available again."""
        self._outages = 0

    def _delay_s(self, tries: int) -> float:
        return float(min(self._max_s, self._base_s * 2 ** min(tries - 1, 32)))
