"""Decisions while circuits are open: probes, reasons, panic, outliers, and pools without any available deployment."""

import pytest
from msgspec import structs

from intellirouter.catalog import HealthBoard, ResolvedModel
from intellirouter.core import PoolPolicy
from intellirouter.routing import STRATEGIES
from tests.support.routing.routes import call, decide, fail, router, succeed, target

ALL = pytest.mark.parametrize("strategy", sorted(row.name for row in STRATEGIES))
OPEN = "circuit open after 3 failures in a row (upstream_timeout)"


def with_policy(model: ResolvedModel, **settings: float) -> ResolvedModel:
    return structs.replace(model, pool_policy=structs.replace(PoolPolicy(), **settings))


def mix(board: HealthBoard, name: str, failures: int, successes: int) -> None:
    """Let attempts fail, spread over the others so that the circuit stays closed."""
    for number in range(failures + successes):
        if number * failures // (failures + successes) < (number + 1) * failures // (failures + successes):
            fail(board, name)
        else:
            succeed(board, name)


def test_reason_names_who_is_unavailable_and_why_when_another_one_answers() -> None:
    board = HealthBoard()
    fail(board, "a", times=3)
    decision = decide(router(board), call(), target("a b", "f"), 3.0)
    assert decision.reason == f"priority 1; a: {OPEN}, 7 s left; 2 more to try"
    assert [each.verdict for each in decision.candidates] == ["chosen", "fallback", "eligible"]
    assert decision.candidates[2].reason == f"{OPEN}, 7 s left, tried last"
    only_fallback = decide(router(board), call(), target("a", "f"), 3.0)
    assert only_fallback.reason == f"fallback; a: {OPEN}, 7 s left; 1 more to try"
    assert not only_fallback.is_last_resort


@ALL
def test_probe_is_made_by_one_real_request_at_a_time(strategy: str) -> None:
    board = HealthBoard()
    for name in "ab":
        succeed(board, name)
    fail(board, "a", times=3)
    one, model = router(board), target("a b", "", strategy)
    due = decide(one, call(), model, 10.0)
    assert due.pool_size == 2, "the probe is due"
    (probe,) = [each.reason for each in due.candidates if each.deployment == "a"]
    assert probe.endswith(", probe after 3 failures in a row (upstream_timeout)")
    ticket = board.of("a").begin(10.0)
    during = decide(one, call(), model, 10.0)
    assert (during.order, during.pool_size) == (("b", "a"), 1)
    assert "circuit half-open after 3 failures in a row (upstream_timeout), a probe is in progress" in during.reason
    board.of("a").end_neutrally(ticket)
    assert decide(one, call(), model, 10.0).pool_size == 2
    ticket = board.of("a").begin(10.0)
    board.of("a").fail(ticket, "upstream_timeout", 10.0)
    assert decide(one, call(), model, 10.0).order == ("b", "a")
    ticket = board.of("a").begin(30.0)
    assert board.of("a").succeed(ticket, 1.0, 1.0, 30.0)
    assert decide(one, call(), model, 30.0).pool_size == 2


@ALL
def test_without_an_available_deployment_the_first_to_recover_is_first_and_all_are_retried(strategy: str) -> None:
    board = HealthBoard()
    fail(board, "a", times=3, now_s=2.0)
    fail(board, "b", times=3, now_s=0.0)
    board.of("f").defer(5.0, 0.0)
    decision = decide(router(board), call(), target("a b", "f", strategy), 3.0)
    assert (decision.order, decision.pool_size, decision.is_last_resort) == (("f", "b", "a"), 3, True)
    assert decision.reason == "asked not to be called for another 2 s, but no other is available; 2 more to try"
    assert not decide(router(board), call(), target("a b", "f", strategy), 5.0).is_last_resort


@ALL
def test_open_circuits_are_ignored_if_most_of_the_pool_is_open(strategy: str) -> None:
    board = HealthBoard()
    for name in "ab":
        fail(board, name, times=3)
    succeed(board, "c")
    board.of("d").defer(60.0, 0.0)
    model = target("a b c d", "f", strategy)
    assert decide(router(board), call(), with_policy(model, panic_threshold=0.75), 1.0).order[0] == "c"
    panic = decide(router(board), call(), with_policy(model, panic_threshold=0.7), 1.0)
    assert set(panic.order[:3]) == {"a", "b", "c"}
    assert panic.order[3:] == ("f", "d"), "Retry-After is respected nevertheless"
    assert panic.pool_size == 3
    assert "; 3 of 4 deployments are unavailable, so open circuits are ignored; d: asked not to be" in panic.reason


def test_deployment_that_fails_much_more_often_than_the_others_is_tried_after_them() -> None:
    board, model = HealthBoard(), target("a b c", "f")
    mix(board, "a", 10, 14)
    for name in "bc":
        mix(board, name, 1, 19)
    decision = decide(router(board), call(), model, 1.0)
    assert (decision.order, decision.pool_size) == (("b", "c", "a", "f"), 3)
    assert decision.candidates[2].reason == "priority 1, success rate 58%, 95% for the others, tried after them"
    assert decide(router(board), call(), with_policy(model, outlier_gap=1), 1.0).order[0] == "a"
    assert decide(router(board), call(), with_policy(model, outlier_min_attempts=25), 1.0).order[0] == "a"
    assert decide(router(board), call(), model, 40.0).order[0] == "a", "the window has passed"


def test_pool_of_one_and_pools_without_traffic_have_no_outliers() -> None:
    board = HealthBoard()
    mix(board, "a", 8, 16)
    assert decide(router(board), call(), target("a", "f"), 1.0).order == ("a", "f")
    assert decide(router(board), call(), target("a b", "f"), 1.0).order == ("a", "b", "f")


def test_decision_is_reused_again_after_a_failure_has_lost_its_effect() -> None:
    board = HealthBoard()
    one, model = router(board), target("a b")
    fail(board, "a")
    first = decide(one, call(), model, 1.0)
    assert decide(one, call(), model, 2.0) is not first, "a decision may depend on the failure"
    for _ in range(30):
        succeed(board, "a", now_s=3.0)
    again = decide(one, call(), model, 4.0)
    assert decide(one, call(), model, 5.0) is again
    fail(board, "a", now_s=6.0)
    assert decide(one, call(), model, 7.0) is not again
    later = decide(one, call(), model, 600.0)
    assert decide(one, call(), model, 601.0) is later, "without any traffic, time is enough"
