"""Clocks, which are passed in so that state machines can be tested without waiting."""

import time
from typing import Protocol


class Clock(Protocol):
    """`monotonic_s` never goes back; `epoch_us` is wall-clock time in microseconds since the epoch."""

    def monotonic_s(self) -> float: ...

    def epoch_us(self) -> int: ...


class SystemClock:
    """The clocks of the operating system."""

    monotonic_s = staticmethod(time.monotonic)

    @staticmethod
    def epoch_us() -> int:
        return time.time_ns() // 1000


SYSTEM_CLOCK: Clock = SystemClock()
