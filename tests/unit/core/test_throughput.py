"""The throughput that a stream must have: an allowance that waiting uses up, and that tokens restore."""

from msgspec import Struct

from intellirouter.core import ThroughputFloor, Timeouts

TIMEOUTS = Timeouts(min_tokens_per_s=2, throughput_window_s=10)
STEP_S = 0.5


class Source(Struct):
    produced_tokens: int = 5


def fails_after_s(tokens_per_s: float, *, share_of_waiting: float = 1.0, limit_s: float = 300) -> float | None:
    """Return after how many seconds a stream with this throughput fails; None if it does not."""
    source = Source()
    floor = ThroughputFloor(TIMEOUTS, source, 0.0)
    produced, steps = float(source.produced_tokens), int(limit_s / STEP_S)
    for step in range(1, steps + 1):
        produced += tokens_per_s * STEP_S
        source.produced_tokens = int(produced)
        is_waiting = step % 10 < 10 * share_of_waiting
        if floor.is_missed(step * STEP_S, is_waiting=is_waiting):
            return step * STEP_S
    return None


def test_silent_stream_fails_after_the_window() -> None:
    assert fails_after_s(0) == 10


def test_slow_stream_fails_the_sooner_the_slower_it_is() -> None:
    assert fails_after_s(1) == 19.5
    slower, faster = fails_after_s(0.5), fails_after_s(1.5)
    assert slower is not None
    assert faster is not None
    assert 10 < slower < 20 < faster


def test_stream_with_the_required_throughput_never_fails() -> None:
    assert fails_after_s(2) is None
    assert fails_after_s(100) is None


def test_time_of_a_slow_client_does_not_count() -> None:
    assert fails_after_s(0, share_of_waiting=0) is None
    assert fails_after_s(0, share_of_waiting=0.5) == 20


def test_many_tokens_at_once_are_no_credit_for_more_than_the_window() -> None:
    source = Source()
    floor = ThroughputFloor(TIMEOUTS, source, 0.0)
    source.produced_tokens += 1_000_000
    assert not floor.is_missed(9.0, is_waiting=True)
    assert not floor.is_missed(9.9, is_waiting=True)
    assert floor.is_missed(20.0, is_waiting=True)


def test_checks_in_quick_succession_do_nothing() -> None:
    source = Source()
    floor = ThroughputFloor(Timeouts(min_tokens_per_s=2, throughput_window_s=1), source, 0.0)
    assert not any(floor.is_missed(at / 1000, is_waiting=False) for at in range(49))
    assert not floor.is_missed(0.98, is_waiting=True)
    assert floor.is_missed(1.04, is_waiting=True)


def test_count_that_decreases_costs_nothing() -> None:
    source = Source()
    floor = ThroughputFloor(TIMEOUTS, source, 0.0)
    source.produced_tokens = 0
    assert not floor.is_missed(1.0, is_waiting=True)
    assert floor.allowance_s == 9
