"""The measured precision, and when the cache may be used."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intellirouter.cache.semantic.precision import MonitorState, PrecisionMonitor, PrecisionTarget, wilson_lower_bound


def monitor(**members: float) -> PrecisionMonitor:
    return PrecisionMonitor(PrecisionTarget(**members))  # type: ignore[arg-type]


def record(measured: PrecisionMonitor, verdicts: str, now_s: float = 0.0) -> None:
    """`+` is a right hit, `-` is a wrong one."""
    for verdict in verdicts:
        measured.record(is_right=verdict == "+", now_s=now_s)


def test_the_bound_is_below_the_share_and_grows_with_evidence() -> None:
    assert wilson_lower_bound(0, 0, 1.645) == 0.0
    assert wilson_lower_bound(10, 10, 1.645) == pytest.approx(0.787, abs=0.001)
    assert wilson_lower_bound(95, 100, 1.96) == pytest.approx(0.888, abs=0.001)
    assert wilson_lower_bound(100, 100, 1.645) > wilson_lower_bound(50, 50, 1.645)


@given(st.integers(1, 500), st.data())
def test_the_bound_is_a_share_below_the_measured_one(trials: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, trials))
    assert 0 <= round(wilson_lower_bound(successes, trials, 1.645), 12) <= successes / trials + 1e-12


def test_nothing_is_served_before_enough_hits_were_right() -> None:
    measured = monitor(precision=0.9)
    assert measured.state is MonitorState.VERIFYING
    assert measured.precision is None
    record(measured, "+" * 24)
    assert not measured.may_serve()
    assert measured.is_verified(2**32 - 1)
    record(measured, "+")
    assert measured.may_serve()
    assert measured.precision == 1.0
    assert measured.verified == 25


def test_a_share_of_the_served_hits_is_verified() -> None:
    measured = monitor(precision=0.9, verified_share=0.25)
    record(measured, "+" * 25)
    draws = range(0, 2**32, 2**32 // 1000)
    assert sum(map(measured.is_verified, draws)) == pytest.approx(250, abs=2)


def test_serving_stops_at_once_when_the_bound_falls_and_starts_again_with_evidence() -> None:
    measured = monitor(precision=0.9)
    record(measured, "+" * 25)
    record(measured, "-")
    assert measured.state is MonitorState.VERIFYING
    record(measured, "+" * 30)
    assert measured.may_serve()


def test_a_cache_that_cannot_reach_the_target_pauses_and_is_tried_again() -> None:
    measured = monitor(precision=0.9, pause_s=60)
    record(measured, "+" * 5 + "-" * 5, now_s=100)
    assert measured.state is MonitorState.PAUSED
    assert not measured.is_in_use(159.9)
    assert not measured.may_serve()
    assert measured.resumes_in_s(150) == 10
    record(measured, "+" * 50, now_s=159.9)
    assert measured.verified == 0
    assert measured.is_in_use(160)
    assert measured.state is MonitorState.VERIFYING
    assert measured.resumes_in_s(160) == 0


def test_each_pause_is_longer_up_to_a_limit_until_the_cache_is_good_again() -> None:
    measured = monitor(precision=0.9, window=50, pause_s=60, max_pause_s=150)
    now_s, pauses = 0.0, []
    for _ in range(3):
        record(measured, "-" * 10, now_s)
        pauses.append(measured.resumes_in_s(now_s))
        now_s += pauses[-1]
    assert pauses == [60, 120, 150]
    record(measured, "+" * 60, now_s)
    record(measured, "-" * 20, now_s)
    assert measured.resumes_in_s(now_s) == 60


def test_a_full_window_below_the_target_pauses() -> None:
    measured = monitor(precision=0.9, window=40)
    record(measured, ("+" * 19 + "-") * 2)
    assert measured.state is MonitorState.PAUSED


def test_only_the_latest_hits_count() -> None:
    measured = monitor(precision=0.5, window=10)
    record(measured, "-+++++++++" + "+" * 20)
    assert measured.verified == 10
    assert measured.precision == 1.0


@given(st.lists(st.booleans(), max_size=300), st.integers(30, 100))
def test_hits_are_only_served_while_the_bound_reaches_the_target(verdicts: list[bool], window: int) -> None:
    measured = monitor(precision=0.9, window=window)
    for at, is_right in enumerate(verdicts):
        measured.record(is_right=is_right, now_s=float(at))
        assert measured.verified <= window
        assert measured.may_serve() == (measured.verified > 0 and measured.lower_bound >= 0.9)


@pytest.mark.parametrize("members", [{"precision": 1.0}, {"verified_share": 0.0}, {"precision": 0.99, "window": 50}])
def test_impossible_targets_are_rejected(members: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"\.$"):
        monitor(**members)
