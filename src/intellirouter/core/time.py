"""Time as a thing that is handed in, so that state machines can be tested without waiting."""

import time
from typing import Protocol


class Clock(Protocol):
    """Obligation: `monotonic_s` never goes back; `epoch_us` is wall time in microseconds."""

    def monotonic_s(self) -> float: ...

    def epoch_us(self) -> int: ...


class SystemClock:
    """The machine's clocks."""

    monotonic_s = staticmethod(time.monotonic)

    @staticmethod
    def epoch_us() -> int:
        return time.time_ns() // 1000


SYSTEM_CLOCK: Clock = SystemClock()
