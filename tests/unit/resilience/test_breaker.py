"""The circuit breaker behaves as DESIGN.md describes: when it opens, probes and closes, and what it ignores."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from intellirouter.core import DEFAULT_BREAKER, BreakerPolicy
from intellirouter.resilience import Breaker, WindowCounts

DOWN = "upstream_timeout"


def breaker(**settings: Any) -> Breaker:
    return Breaker(structs.replace(DEFAULT_BREAKER, **settings), random.Random(7))


def fail(one: Breaker, now_s: float, times: int = 1) -> list[bool]:
    return [one.fail(one.begin(now_s), DOWN, now_s) for _ in range(times)]


def succeed(one: Breaker, now_s: float, times: int = 1, first_ms: float = 100.0) -> list[bool]:
    return [one.succeed(one.begin(now_s), first_ms, now_s) for _ in range(times)]


def test_failures_in_a_row_open_it_and_a_success_between_them_does_not_let_it() -> None:
    one = breaker()
    fail(one, 0.0, 2)
    succeed(one, 1.0)
    assert fail(one, 2.0, 2) == [False, False]
    assert one.state_at(2.0) == "closed"
    assert fail(one, 3.0) == [True]
    assert (one.state_at(3.0), one.state_at(12.9), one.state_at(13.0)) == ("open", "open", "half_open")
    assert (one.is_available(12.9), one.is_available(13.0)) == (False, True)
    assert one.unavailable_reason(5.5) == f"circuit open after 3 failures in a row ({DOWN}), 8 s left"


@pytest.mark.parametrize("times", [19, 20])
def test_share_of_failures_opens_it_if_the_window_has_enough_attempts(times: int) -> None:
    one = breaker(consecutive_failures=0)
    for number in range(times):
        (fail if number % 2 else succeed)(one, number / 10)
    assert one.state_at(2.0) == ("open" if times == 20 else "closed")
    if times == 20:
        assert one.cause == f"10 of 20 attempts failed within 30 s (last: {DOWN})"


def test_attempts_before_the_window_do_not_count() -> None:
    one = breaker(consecutive_failures=0)
    fail(one, 0.0, 19)
    assert one.counts(0.0) == WindowCounts(19, 19)
    assert one.counts(26.0) == WindowCounts(19, 19)
    assert one.counts(31.0) == WindowCounts(0, 0)
    fail(one, 31.0)
    assert one.state_at(31.0) == "closed"
    assert one.counts(1e9) == WindowCounts(0, 0)


def test_share_of_slow_attempts_opens_it() -> None:
    one = breaker(slow_call_s=5.0, slow_call_rate=0.5, min_attempts=4)
    succeed(one, 0.0, 2)
    assert succeed(one, 1.0, 2, first_ms=5100.0) == [False, True]
    assert one.cause == "2 of 4 attempts took longer than 5 s"
    assert Breaker().succeed(0, 1e6, 0.0) is False, "by default, no attempt is slow"


def test_open_time_doubles_with_each_failed_probe_up_to_its_maximum_with_jitter() -> None:
    one, now_s, times = breaker(open_s=10.0, max_open_s=60.0), 0.0, []
    fail(one, now_s, 3)
    for _ in range(6):
        times.append(one.open_until_s - now_s)
        now_s = one.open_until_s
        assert fail(one, now_s) == [False], "it has not been closed"
    assert times[0] == 10.0
    for time_s, full_s in zip(times[1:], (20.0, 40.0, 60.0, 60.0, 60.0), strict=True):
        assert 0.8 * full_s <= time_s <= full_s
    assert len(set(times)) == len(times)
    succeed(one, one.open_until_s)
    assert one.state_at(now_s) == "closed"
    fail(one, 1e4, 3)
    assert one.open_until_s == 1e4 + 10.0, "a success also ends the doubling"


def test_success_closes_it_and_forgets_the_window() -> None:
    one = breaker(min_attempts=4)
    fail(one, 0.0, 3)
    probe = one.begin(10.0)
    assert (
        one.unavailable_reason(11.0) == f"circuit half-open after 3 failures in a row ({DOWN}), a probe is in progress"
    )
    assert one.succeed(probe, 100.0, 12.0)
    assert (one.state_at(12.0), one.unavailable_reason(12.0), one.counts(12.0)) == ("closed", "", WindowCounts(0, 0))
    assert (one.openings, one.probes, one.closings) == (1, 1, 1)
    assert fail(one, 13.0, 2) == [False, False]


def test_success_of_an_attempt_made_as_a_last_resort_closes_it_too() -> None:
    one = breaker()
    fail(one, 0.0, 3)
    assert succeed(one, 1.0) == [True]


def test_attempts_that_began_in_an_earlier_period_change_nothing() -> None:
    one = breaker()
    early = [one.begin(0.0) for _ in range(5)]
    fail(one, 0.0, 3)
    assert one.succeed(early[0], 100.0, 1.0) is False
    assert one.fail(early[1], DOWN, 1.0) is False
    assert one.open_until_s == 10.0
    succeed(one, 10.0)
    assert [one.fail(ticket, DOWN, 11.0) for ticket in early[2:]] == [False] * 3
    assert one.state_at(11.0) == "closed"


def test_neutral_end_of_a_probe_makes_room_for_the_next_one() -> None:
    one = breaker()
    fail(one, 0.0, 3)
    probe = one.begin(10.0)
    assert not one.is_available(10.0)
    one.release(probe)
    assert one.is_available(10.0)
    assert one.state_at(10.0) == "half_open"


def test_probe_that_takes_very_long_gives_up_its_place() -> None:
    one = breaker(max_open_s=60.0)
    fail(one, 0.0, 3)
    one.begin(10.0)
    assert (one.is_available(69.9), one.is_available(70.0)) == (False, True)


def test_retry_after_and_open_time_do_not_shorten_each_other() -> None:
    one = breaker()
    fail(one, 0.0, 3)
    one.defer(5.0, 0.0)
    assert one.available_at_s == 10.0
    one.defer(30.0, 1.0)
    one.defer(2.0, 2.0)
    assert (one.available_at_s, one.is_available(30.9), one.is_available(31.0)) == (31.0, False, True)
    assert one.unavailable_reason(12.0) == "asked not to be called for another 19 s"
    one.defer(1e9, 0.0)
    assert one.retry_at_s == 3600.0


def test_disabled_breaker_never_opens_but_respects_retry_after() -> None:
    one = breaker(is_enabled=False)
    assert not any(fail(one, 0.0, 100))
    one.defer(5.0, 0.0)
    assert (one.is_available(4.9), one.is_available(5.0)) == (False, True)
    other = breaker()
    fail(other, 0.0, 3)
    other.apply(BreakerPolicy(is_enabled=False))
    assert other.is_available(0.0)


EVENTS = st.lists(
    st.tuples(st.sampled_from(["begin", "succeed", "fail", "neutral", "defer"]), st.floats(0, 8), st.integers(0, 9)),
    max_size=80,
)
POLICIES = st.builds(
    BreakerPolicy,
    consecutive_failures=st.integers(0, 4),
    error_rate=st.sampled_from([0.0, 0.3, 1.0]),
    min_attempts=st.integers(1, 6),
    open_s=st.floats(1, 20),
    max_open_s=st.just(1e6),
    half_open_probes=st.integers(1, 3),
)


def replay(policy: BreakerPolicy, events: list[tuple[str, float, int]], check: Callable[..., None]) -> list[Any]:
    """Let attempts begin and end as the events say, then end the rest. Each begins and ends once."""
    one, now_s, running, history = Breaker(policy, random.Random(3)), 0.0, [], []
    for kind, step_s, number in [*events, *[("neutral", 0.0, 0)] * len(events)]:
        now_s += step_s
        if kind == "begin" or (not running and kind != "defer"):
            running.append(one.begin(now_s))
        elif kind == "defer":
            before = one.available_at_s
            one.defer(step_s, now_s)
            assert one.available_at_s >= before
        else:
            ticket = running.pop(number % len(running))
            if kind == "succeed":
                one.succeed(ticket, step_s, now_s)
            elif kind == "fail":
                one.fail(ticket, DOWN, now_s)
            else:
                one.release(ticket)
        check(one, now_s, running)
        history.append((one.state_at(now_s), one.available_at_s, one.cause))
    return history


@given(POLICIES, EVENTS)
def test_never_more_probes_in_flight_than_allowed(policy: BreakerPolicy, events: list[tuple[str, float, int]]) -> None:
    def check(one: Breaker, now_s: float, running: list[int]) -> None:
        current = max(running, default=0) >> 1
        probes = [ticket for ticket in running if ticket & 1 and ticket >> 1 == current]
        assert len(probes) <= policy.half_open_probes
        counts = one.counts(now_s)
        assert 0 <= counts.failures <= counts.attempts
        assert (one.state_at(now_s) == "closed") == (one.cause == "")
        assert one.closings <= one.openings <= one.closings + 1

    replay(policy, events, check)


@given(POLICIES, EVENTS)
def test_is_deterministic(policy: BreakerPolicy, events: list[tuple[str, float, int]]) -> None:
    assert replay(policy, events, lambda *_: None) == replay(policy, events, lambda *_: None)


@given(POLICIES, EVENTS)
def test_never_opens_without_a_failure_of_the_deployment(
    policy: BreakerPolicy, events: list[tuple[str, float, int]]
) -> None:
    harmless = [("neutral" if kind == "fail" else kind, step_s, number) for kind, step_s, number in events]

    def check(one: Breaker, now_s: float, _: list[int]) -> None:
        assert one.state_at(now_s) == "closed"

    replay(policy, harmless, check)
