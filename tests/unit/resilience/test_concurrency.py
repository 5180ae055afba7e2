"""The adaptive limit follows the latency of a deployment, and a fixed one never changes."""

import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intellirouter.core import ConcurrencyPolicy
from intellirouter.resilience.concurrency import ConcurrencyLimit


def adaptive(**members: Any) -> ConcurrencyLimit:
    return ConcurrencyLimit(ConcurrencyPolicy(adaptive=True, **members))


def succeed(limit: ConcurrencyLimit, first_ms: float, in_flight: int, now_s: float, *, is_stream: bool = True) -> None:
    limit.note_success(first_ms, in_flight, now_s - first_ms / 1e3, now_s, is_stream=is_stream)


def feed(limit: ConcurrencyLimit, first_ms: float, in_flight: int, *, windows: int = 1, at_s: float = 0.0) -> float:
    """Feed whole windows of samples; return the time of the last one."""
    now_s = at_s
    for _ in range(windows):
        for _ in range(10):
            now_s += 0.11
            succeed(limit, first_ms, in_flight, now_s)
    return now_s


def test_fixed_limit_does_not_learn() -> None:
    limit = ConcurrencyLimit(ConcurrencyPolicy(max=8))
    feed(limit, 100, 8, windows=5)
    limit.note_overload(0.0, 1.0)
    assert (limit.value, limit.is_adaptive) == (8, False)


def test_grows_while_it_is_used_and_the_latency_stays_the_same() -> None:
    limit = adaptive(initial=8)
    now_s = feed(limit, 100, 8)
    assert limit.value == 8  # 0.2 · √8 are half a request
    now_s = feed(limit, 100, 8, windows=30, at_s=now_s)
    assert limit.value == 16  # twice as many as are used
    feed(limit, 100, 16, windows=10, at_s=now_s)
    assert 24 <= limit.value <= 27


def test_does_not_grow_while_it_is_not_used() -> None:
    limit = adaptive(initial=8)
    feed(limit, 100, 3, windows=50)
    assert limit.value == 8


def test_does_not_change_before_the_window_has_enough_samples_and_time() -> None:
    limit = adaptive(initial=100)
    for number in range(9):
        succeed(limit, 100, 100, float(number), is_stream=False)
    assert limit.value == 100
    succeed(limit, 100, 100, 10.0, is_stream=False)
    assert limit.value == 102
    for number in range(100):
        succeed(limit, 100, 100, 10.0 + number / 1000, is_stream=False)
    assert limit.value == 102
    succeed(limit, 100, 100, 11.0, is_stream=False)
    assert limit.value == 104


def test_shrinks_when_the_first_content_takes_longer_than_the_tolerance() -> None:
    limit = adaptive(initial=16)
    now_s = feed(limit, 100, 4, windows=3)
    feed(limit, 300, 16, windows=1, at_s=now_s)
    assert limit.value == 15  # 16 + 0.2 · (16 · 0.5 + 4 - 16)
    feed(limit, 300, 16, windows=20, at_s=now_s + 2)
    assert 3 <= limit.value <= 8


def test_streams_and_other_answers_are_compared_with_their_own_kind() -> None:
    limit = adaptive(initial=16)
    now_s = 0.0
    for _ in range(100):
        now_s += 0.2
        succeed(limit, 50, 16, now_s, is_stream=True)
        succeed(limit, 5000, 16, now_s, is_stream=False)
    assert limit.value > 16


def test_overload_shrinks_it_once_for_all_attempts_of_one_moment() -> None:
    limit = adaptive(initial=100)
    for _ in range(10):
        limit.note_overload(began_s=1.0, now_s=2.0)
    assert limit.value == 80
    limit.note_overload(began_s=1.9, now_s=3.0)
    assert limit.value == 80
    limit.note_overload(began_s=2.0, now_s=3.0)
    assert limit.value == 64


def test_stays_within_its_bounds() -> None:
    limit = adaptive(initial=4, min=3, max=5)
    for number in range(20):
        limit.note_overload(float(number), float(number))
    assert limit.value == 3
    feed(limit, 100, 5, windows=50, at_s=30.0)
    assert limit.value == 5


def test_initial_value_is_within_the_bounds() -> None:
    assert adaptive(initial=8, max=4).value == 4
    assert adaptive(initial=8, min=10).value == 10


def test_busy_deployment_is_measured_again_with_a_lower_limit_after_a_minute() -> None:
    limit = adaptive(initial=16, max=16)
    now_s = feed(limit, 100, 16, windows=54)
    assert limit.value == 16
    now_s = feed(limit, 100, 16, at_s=now_s)
    assert limit.value == 7  # 0.9 · 16 · (1 - 1/4) / 1.5
    for _ in range(9):
        succeed(limit, 100, 7, now_s + 1)
    assert limit.value == 7
    succeed(limit, 9000, 16, now_s + 1)  # it began before the limit was lowered, so it says nothing
    assert limit.value == 7
    succeed(limit, 100, 7, now_s + 1)
    assert limit.value == 16


def test_measurement_ends_after_30_seconds_or_with_an_overload() -> None:
    limit = adaptive(initial=16, max=16)
    now_s = feed(limit, 100, 16, windows=55)
    succeed(limit, 100, 1, now_s + 29)
    assert limit.value == 7
    succeed(limit, 100, 1, now_s + 31)
    assert limit.value == 16
    now_s = feed(limit, 100, 16, windows=55, at_s=now_s + 31)
    assert limit.value == 7
    limit.note_overload(now_s, now_s)
    assert limit.value == 12


def test_permanent_slowdown_becomes_usual() -> None:
    limit = adaptive(initial=16, min=2)
    now_s = feed(limit, 100, 4, windows=3)
    now_s = feed(limit, 500, 16, windows=20, at_s=now_s)
    smallest = limit.value
    assert smallest <= 7
    for _ in range(200):
        now_s = feed(limit, 500, limit.value, at_s=now_s)
    assert limit.value > 2 * smallest


def test_reload_keeps_what_was_learned() -> None:
    limit = adaptive(initial=100)
    limit.note_overload(0.0, 1.0)
    limit.apply(ConcurrencyPolicy(adaptive=True, initial=50, max=200))
    assert limit.value == 80
    limit.apply(ConcurrencyPolicy(max=7))
    assert limit.value == 7
    limit.apply(ConcurrencyPolicy(adaptive=True, initial=50))
    assert limit.value == 50


def test_usual_latency_is_learned_from_calm_samples_only() -> None:
    limit = adaptive(initial=16, max=16, min=1)
    for number in range(10):
        succeed(limit, 100, 16, number / 100)  # the first ten count in any case
    for number in range(40):
        succeed(limit, 200, 8, 1.0 + number / 100)
    assert limit._usual[1].ratio(100) == pytest.approx(1.0)
    for number in range(40):
        succeed(limit, 200, 7, 2.0 + number / 100)  # 7 are calm: 0.9 · 16 · (1 - 1/4) / 1.5
    assert limit._usual[1].ratio(200) == pytest.approx(1.0, abs=0.1)


def test_measurement_learns_the_new_latency() -> None:
    limit = adaptive(initial=16, max=16)
    now_s = feed(limit, 100, 16, windows=55)
    for _ in range(10):
        limit.note_success(200, 7, now_s, now_s + 1, is_stream=True)
    assert limit._usual[1].ratio(150) == pytest.approx(1.0)
    assert limit.value == 16


def test_limit_grows_if_exactly_half_of_it_is_used() -> None:
    limit = adaptive(initial=16)
    feed(limit, 100, 8, windows=2)
    assert limit._exact == pytest.approx(16.8)


def simulate(limit: ConcurrencyLimit, capacity: int, *, demand: int, seconds: float, rng: random.Random) -> list[int]:
    """Return the limits over time in front of a server that processes `capacity` requests at a time in 100 ms each."""
    now_s, limits = 0.0, []
    while now_s < seconds:
        in_flight = min(demand, limit.value)
        first_ms = 100.0 * max(1.0, in_flight / capacity) * rng.uniform(0.8, 1.25)
        now_s += 0.1 / min(in_flight, capacity)
        succeed(limit, first_ms, in_flight, now_s, is_stream=True)
        limits.append(limit.value)
    return limits


@pytest.mark.parametrize("capacity", [4, 20, 100])
def test_settles_near_the_capacity_of_a_server(capacity: int) -> None:
    limit = adaptive(initial=4)
    limits = simulate(limit, capacity, demand=1000, seconds=300, rng=random.Random(7))
    late = limits[len(limits) // 2 :]
    assert capacity * 0.8 <= sum(late) / len(late) <= capacity * 3
    assert max(late) <= capacity * 4


@given(st.lists(st.tuples(st.booleans(), st.floats(0.001, 1e6), st.integers(1, 2000), st.floats(0, 5)), max_size=200))
def test_always_within_its_bounds(events: list[tuple[bool, float, int, float]]) -> None:
    limit, now_s = adaptive(initial=10, min=2, max=50), 0.0
    for is_success, first_ms, in_flight, later_s in events:
        now_s += later_s
        if is_success:
            succeed(limit, first_ms, in_flight, now_s, is_stream=in_flight % 2 == 0)
        else:
            limit.note_overload(now_s - later_s, now_s)
        assert 2 <= limit.value <= 50
        assert math.isfinite(limit.value)
