from hypothesis import given
from hypothesis import strategies as st

from intellirouter.hosting.restart import RestartPolicy


def policy(crash_limit: int = 3) -> RestartPolicy:
    return RestartPolicy(base_s=0.5, max_s=30.0, crash_limit=crash_limit, window_s=300.0)


def test_consecutive_crashes_back_off_and_then_give_up() -> None:
    tested = policy()
    assert [tested.record_crash(0), tested.record_crash(10), tested.record_crash(20)] == [0.5, 1.0, None]


def test_crashes_outside_the_window_are_forgotten() -> None:
    tested = policy()
    assert [tested.record_crash(at) for at in (0, 301, 602, 903, 904)] == [0.5, 0.5, 0.5, 0.5, 1.0]
    assert tested.record_crash(905) is None


def test_outages_back_off_without_giving_up() -> None:
    tested = policy()
    assert [tested.record_outage() for _ in range(9)] == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    tested.reset_outages()
    assert tested.record_outage() == 0.5


@given(st.lists(st.floats(0, 1000), min_size=1, max_size=50), st.integers(1, 5))
def test_crashes_within_a_window_are_limited(gaps: list[float], limit: int) -> None:
    tested, now, times = policy(limit), 0.0, []
    for gap in gaps:
        now += gap
        times.append(now)
        delay = tested.record_crash(now)
        recent = [at for at in times if now - at <= 300]
        assert (delay is None) == (len(recent) >= limit)
        if delay is None:
            break
        assert 0.5 <= delay <= 30
