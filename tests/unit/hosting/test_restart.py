from hypothesis import given
from hypothesis import strategies as st

from intellirouter.hosting.restart import RestartPolicy


def policy() -> RestartPolicy:
    return RestartPolicy(base_s=0.5, max_s=30.0, stable_s=300.0)


def test_crashes_back_off_up_to_a_limit_and_never_give_up() -> None:
    tested, now, delays = policy(), 0.0, []
    for _ in range(12):
        delays.append(tested.record_crash(now))
        now += delays[-1] + 1  # the worker runs for a second
    assert delays == [0.5, 1, 2, 4, 8, 16, 30, 30, 30, 30, 30, 30]
    assert tested.crashes == 12


def test_a_worker_that_has_run_long_enough_has_recovered() -> None:
    tested = policy()
    assert [tested.record_crash(at) for at in (0, 10, 20)] == [0.5, 1, 2]
    assert tested.record_crash(22 + 300) == 0.5
    assert tested.crashes == 1
    assert tested.record_crash(322.5 + 299) == 1


def test_outages_back_off_without_giving_up() -> None:
    tested = policy()
    assert [tested.record_outage() for _ in range(9)] == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    tested.reset_outages()
    assert tested.record_outage() == 0.5


@given(st.lists(st.floats(0, 1000), min_size=1, max_size=200))
def test_delays_are_within_the_limits(runs_s: list[float]) -> None:
    tested, now = policy(), 0.0
    for run_s in runs_s:
        delay_s = tested.record_crash(now)
        assert 0.5 <= delay_s <= 30
        now += delay_s + run_s
