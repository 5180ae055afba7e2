"""Health from a deployment's own traffic: what it learns, forgets and bounds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intellirouter.catalog import DeploymentHealth, HealthBoard
from intellirouter.core import DEFAULT_BREAKER, BreakerPolicy, ConcurrencyPolicy, QueuePolicy, SlotPolicy


def failed(times: int, at_s: float = 0.0) -> DeploymentHealth:
    health = DeploymentHealth()
    for _ in range(times):
        health.fail(health.begin(at_s), "upstream_timeout", at_s)
    return health


def test_new_deployment_is_healthy_and_has_no_latency() -> None:
    health = DeploymentHealth()
    assert (health.success_rate, health.latency_ms, health.first_token_ms) == (1.0, None, None)
    assert (health.attempts, health.failures, health.in_flight, health.last_error) == (0, 0, 0, None)
    assert health.is_available(0.0)
    assert not health.has_just_failed(0.0)


def test_latency_is_a_moving_average_of_successes() -> None:
    health = DeploymentHealth()
    for latency_ms in (100.0, 200.0):
        health.succeed(health.begin(0.0), latency_ms / 10, latency_ms, 0.0)
    assert (health.latency_ms, health.first_token_ms) == (pytest.approx(120.0), pytest.approx(12.0))
    assert (health.attempts, health.in_flight, health.success_rate) == (2, 0, 1.0)


def test_fast_failure_does_not_change_the_latency() -> None:
    health = failed(1, at_s=4.0)
    assert (health.latency_ms, health.first_token_ms) == (None, None)
    assert (health.failures, health.last_error, health.last_failure_s) == (1, "upstream_timeout", 4.0)
    assert health.success_rate == pytest.approx(0.8)


def test_attempts_that_the_client_ended_do_not_count() -> None:
    health = failed(2)
    ticket = health.begin(0.0)
    assert health.in_flight == 1
    health.end_neutrally(ticket)
    assert (health.in_flight, health.failures_in_a_row, health.attempts) == (0, 2, 3)


@pytest.mark.parametrize(
    ("times", "after_s", "is_failing"),
    [(2, 0.0, False), (3, 0.0, True), (3, 9.9, True), (3, 10.0, False), (9, 10.0, False)],
)
def test_three_failures_in_a_row_are_an_outage_for_ten_seconds(times: int, after_s: float, is_failing: bool) -> None:
    assert failed(times, at_s=100.0).is_available(100.0 + after_s) is not is_failing


def test_success_ends_an_outage() -> None:
    health = failed(5)
    health.succeed(health.begin(0.0), 1.0, 1.0, 0.0)
    assert health.is_available(0.0)
    assert not health.has_just_failed(0.0)
    assert 0 < health.success_rate < 1


def test_the_success_rate_recovers_by_half_every_thirty_seconds() -> None:
    health = failed(1, at_s=100.0)
    rates = [health.success_rate_at(100.0 + age_s) for age_s in (-5.0, 0.0, 30.0, 60.0, 1e6)]
    assert rates == pytest.approx([0.8, 0.8, 0.9, 0.95, 1.0])
    assert DeploymentHealth().success_rate_at(1e6) == 1.0


@given(st.lists(st.tuples(st.sampled_from(["succeed", "fail", "neutral"]), st.floats(0, 1e6)), max_size=30))
def test_statistics_stay_within_their_bounds(events: list[tuple[str, float]]) -> None:
    health, now_s = DeploymentHealth(), 0.0
    for kind, number in events:
        now_s += number / 1e5
        ticket = health.begin(now_s)
        if kind == "succeed":
            health.succeed(ticket, number / 2, number, now_s)
        elif kind == "fail":
            health.fail(ticket, "x", now_s)
        else:
            health.end_neutrally(ticket)
        assert 0.0 <= health.success_rate <= health.success_rate_at(now_s + 1) <= 1.0
    assert health.in_flight == 0
    assert health.attempts == len(events)
    measured = [number for kind, number in events if kind == "succeed"]
    if measured:
        assert health.latency_ms is not None
        assert min(measured) - 1e-6 <= health.latency_ms <= max(measured) + 1e-6


def test_board_has_one_entry_per_deployment_name() -> None:
    board = HealthBoard()
    assert board.of("a") is board.of("a")
    assert board.of("a") is not board.of("b")


def test_reload_drops_removed_deployments_and_keeps_the_others() -> None:
    board = HealthBoard()
    kept, gone = board.of("a"), board.of("b")
    board.apply({"a": DEFAULT_BREAKER})
    assert board.of("a") is kept
    assert board.of("b") is not gone


def test_number_of_wildcard_names_is_bounded() -> None:
    board = HealthBoard()
    configured, busy = board.of("configured"), board.of("p/busy")
    board.apply(dict.fromkeys(["configured", "p/busy"], DEFAULT_BREAKER))
    board.apply({"configured": DEFAULT_BREAKER})
    busy = board.of("p/busy")
    busy.begin(0.0)
    for number in range(10_000):
        board.of(f"p/{number}")
    assert len(board._health) <= 2049
    assert board.of("configured") is configured
    assert board.of("p/busy") is busy


def test_deployment_is_deferred_until_its_retry_after_has_passed_even_if_it_succeeds_before() -> None:
    health = DeploymentHealth()
    health.defer(10.0, 5.0)
    health.defer(2.0, 6.0)
    assert (health.is_available(14.9), health.is_available(15.0)) == (False, True)
    health.succeed(health.begin(6.0), 1.0, 2.0, 6.0)
    assert not health.is_available(14.9)
    assert health.breaker.state_at(14.9) == "closed"
    assert health.is_available(15.0)


def test_deferral_is_limited_to_an_hour() -> None:
    health = DeploymentHealth()
    health.defer(1e9, 5.0)
    assert (health.is_available(3604.9), health.is_available(3605.0)) == (False, True)


def test_recent_success_rate_is_successes_over_the_last_hundred_attempts() -> None:
    health = DeploymentHealth()
    assert (health.recent_successes, health.recent_attempts) == (0, 0)
    for number in range(4):
        ticket = health.begin(1.0)
        if number == 1:
            health.fail(ticket, "upstream_unavailable", 1.0)
        elif number == 2:
            health.end_neutrally(ticket)
        else:
            health.succeed(ticket, 1.0, 1.0, 1.0)
    assert (health.recent_successes, health.recent_attempts) == (2, 3)
    for _ in range(100):
        health.fail(health.begin(1.0), "upstream_unavailable", 1.0)
    assert (health.recent_successes, health.recent_attempts) == (0, 100)


def test_reload_keeps_the_state_of_circuits_and_applies_their_new_settings() -> None:
    board = HealthBoard()
    board.apply(dict.fromkeys("ab", DEFAULT_BREAKER))
    for name in "ab":
        health = board.of(name)
        for _ in range(3):
            health.fail(health.begin(0.0), "upstream_timeout", 0.0)
    board.apply({"a": BreakerPolicy(open_s=50.0), "b": BreakerPolicy(is_enabled=False)}, BreakerPolicy(open_s=7.0))
    assert (board.of("a").breaker.state_at(9.0), board.of("b").breaker.state_at(9.0)) == ("open", "closed")
    health = board.of("a")
    health.fail(health.begin(10.0), "upstream_timeout", 10.0)
    assert 60.0 - 12.0 <= health.breaker.open_until_s - 10.0 <= 60.0, "twice 50 s, 60 s at most"
    wildcard = board.of("p/any")
    for _ in range(3):
        wildcard.fail(wildcard.begin(0.0), "upstream_timeout", 0.0)
    assert wildcard.breaker.open_until_s == 7.0
    assert [name for name, _ in board.opened_breakers()] == ["a", "b"], "names of wildcards come from clients"
    assert sorted(name for name, _ in board.suspects()) == ["a", "b", "p/any"]


def test_flag_of_the_healthy_path_is_set_by_a_failure_and_cleared_by_successes_or_time() -> None:
    health = DeploymentHealth()
    assert not health.is_suspect
    health.fail(health.begin(0.0), "upstream_timeout", 0.0)
    assert health.affects_decisions(0.0)
    for _ in range(20):
        health.succeed(health.begin(1.0), 1.0, 1.0, 1.0)
    assert (health.is_suspect, health.success_rate, health.failures_in_a_row) == (False, 1.0, 0)
    health.defer(5.0, 2.0)
    assert (health.affects_decisions(6.9), health.affects_decisions(7.0)) == (True, False)
    health.fail(health.begin(8.0), "upstream_timeout", 8.0)
    assert health.affects_decisions(30.0)
    assert not health.affects_decisions(300.0)


def limit(most: int) -> SlotPolicy:
    return SlotPolicy(concurrency=ConcurrencyPolicy(max=most), queue=QueuePolicy())


def test_limits_apply_to_configured_deployments_and_the_default_to_wildcards() -> None:
    board = HealthBoard()
    before = board.of("a")
    board.apply({"a": DEFAULT_BREAKER, "b": DEFAULT_BREAKER})
    board.apply_limits({"a": limit(3)}, limit(7), 0.0)
    assert [(name, slots.limit and slots.limit.value) for name, slots in board.limited()] == [("a", 3)]
    assert board.of("a") is before
    assert board.of("b").slots is None
    wildcard = board.of("p/x").slots
    assert wildcard is not None
    assert wildcard.limit is not None
    assert wildcard.limit.value == 7
    board.apply_limits({}, None, 1.0)
    assert [board.of(name).slots for name in ("a", "p/x")] == [None, None]


def test_new_limit_counts_the_requests_in_flight() -> None:
    board = HealthBoard()
    board.apply({"a": DEFAULT_BREAKER})
    board.of("a").begin(0.0)
    board.apply_limits({"a": limit(1)}, None, 0.0)
    slots = board.of("a").slots
    assert slots is not None
    assert (slots.held, slots.is_full) == (1, True)


def test_removed_deployment_is_kept_as_long_as_requests_have_slots() -> None:
    board = HealthBoard()
    board.apply({"a": DEFAULT_BREAKER})
    board.apply_limits({"a": limit(1)}, None, 0.0)
    health = board.of("a")
    assert health.slots is not None
    health.slots.take("t", 0.0)
    for _ in range(2):
        board.apply({})
        board.apply_limits({}, None, 0.0)
        assert board.of("a") is health
    assert list(board.limited()) == []
    health.slots.release("t", 1.0)
    board.apply({})
    assert board.of("a") is not health


def test_closed_queues_stay_closed_for_deployments_that_are_called_later() -> None:
    board = HealthBoard()
    board.apply({"a": DEFAULT_BREAKER, "b": DEFAULT_BREAKER})
    board.apply_limits({"a": limit(1), "b": limit(1)}, None, 0.0)
    first = board.of("a").slots
    board.close_queues()
    second = board.of("b").slots
    assert first is not None
    assert second is not None
    assert (first.is_closed, second.is_closed) == (True, True)
