"""A clock that moves only when a test advances it, so that time-dependent code can be tested without waiting."""


class FakeClock:
    """Implements `core.Clock`. Both readings advance together."""

    def __init__(self, *, monotonic_s: float = 1_000.0, epoch_us: int = 1_767_225_600_000_000) -> None:
        """Start at `monotonic_s` seconds and `epoch_us` microseconds since 1970 (default: 2026-01-01 UTC)."""
        self._monotonic_s = monotonic_s
        self._epoch_us = epoch_us

    def monotonic_s(self) -> float:
        return self._monotonic_s

    def epoch_us(self) -> int:
        return self._epoch_us

    def advance(self, seconds: float) -> None:
        """Move both readings forward. Raises `ValueError` if `seconds` is negative."""
        if seconds < 0:
            raise ValueError(f"A clock cannot go back by {-seconds} s.")
        self._monotonic_s += seconds
        self._epoch_us += round(seconds * 1_000_000)
