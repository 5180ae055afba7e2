"""The machine's clocks."""

import time

from intellirouter.core import SYSTEM_CLOCK


def test_monotonic_time_is_in_seconds_and_never_goes_back() -> None:
    before = time.monotonic()
    readings = [SYSTEM_CLOCK.monotonic_s() for _ in range(100)]
    assert readings == sorted(readings)
    assert before <= readings[0] <= readings[-1] <= time.monotonic()


def test_wall_time_is_in_microseconds() -> None:
    before = time.time_ns() // 1000
    assert before <= SYSTEM_CLOCK.epoch_us() <= time.time_ns() // 1000
