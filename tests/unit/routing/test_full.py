"""Decisions while deployments are at their concurrency limit: they are tried after those with a free slot."""

import pytest

from intellirouter.catalog import HealthBoard
from intellirouter.core import DEFAULT_BREAKER, ConcurrencyPolicy, QueuePolicy, SlotPolicy
from intellirouter.resilience import Waiter
from intellirouter.routing import STRATEGIES, Affinity
from tests.support.dialects.standard import ENDPOINTS
from tests.support.routing.routes import call, decide, fail, router, succeed, target

ALL = pytest.mark.parametrize("strategy", sorted(row.name for row in STRATEGIES))


def limited(**limits: int) -> HealthBoard:
    board = HealthBoard()
    board.apply(dict.fromkeys("abcf", DEFAULT_BREAKER))
    policies = {
        name: SlotPolicy(concurrency=ConcurrencyPolicy(max=limit), queue=QueuePolicy())
        for name, limit in limits.items()
    }
    board.apply_limits(policies, None, 0.0)
    return board


def fill(board: HealthBoard, names: str, *, waiting: int = 0) -> None:
    for name in names:
        slots = board.of(name).slots
        assert slots is not None
        while slots.take("t", 0.0):
            pass
        for _ in range(waiting):
            Waiter("t", "normal", lambda: None).join([slots], 10.0, 0.0)


@ALL
def test_full_deployment_is_tried_after_the_others(strategy: str) -> None:
    board = limited(a=2, b=1)
    one, model = router(board), target("a b", "f", strategy)
    assert set(decide(one, call(), model, 0.0).order[:2]) == {"a", "b"}
    fill(board, "a")
    for _ in range(5):
        decision = decide(one, call(), model, 0.0)
        assert (decision.order, decision.pool_size) == (("b", "a", "f"), 2)
        assert "; a: at its limit of 2; 2 more to try" in decision.reason
        assert decision.candidates[1].reason.endswith(", at its limit of 2")
    slots = board.of("a").slots
    assert slots is not None
    slots.release("t", 1.0)
    assert "limit" not in decide(one, call(), model, 1.0).reason


def test_if_all_are_full_the_usual_order_applies_and_the_reason_names_them() -> None:
    board = limited(a=2, b=1)
    fill(board, "ab", waiting=3)
    decision = decide(router(board), call(), target("a b", "f"), 0.0)
    assert decision.order == ("a", "b", "f")
    assert decision.reason == (
        "priority 1, at its limit of 2, 3 waiting; b: at its limit of 1, 3 waiting; 2 more to try"
    )


def test_outliers_with_free_slots_are_tried_before_full_deployments() -> None:
    board = limited(a=1)
    for number in range(60):
        (fail if number % 5 in {1, 3} else succeed)(board, "b")
        succeed(board, "c")
        succeed(board, "a")
    fill(board, "a")
    assert decide(router(board), call(), target("a b c"), 0.0).order == ("c", "b", "a")


def test_decision_that_is_remembered_is_not_used_while_a_deployment_is_full() -> None:
    board = limited(a=1)
    one, model = router(board), target("a b")
    assert decide(one, call(), model, 0.0) is decide(one, call(), model, 0.0)
    fill(board, "a")
    assert decide(one, call(), model, 0.0).order == ("b", "a")


@pytest.mark.parametrize("strategy", sorted(row.name for row in STRATEGIES if row.stickiness is not None))
def test_full_deployment_loses_the_session(strategy: str) -> None:
    board = limited(a=2, b=1)
    for name in "ab":
        succeed(board, name)
    one, model = router(board), target("a b", "f", strategy)
    affinity = Affinity(kind="session", key=b"k", home="a", age_s=1.0)
    endpoint = ENDPOINTS["openai_chat"]
    assert one.decide(endpoint, call(), model, 0.0, affinity).order[0] == "a"
    fill(board, "a")
    decision = one.decide(endpoint, call(), model, 0.0, affinity)
    assert (decision.order[0], decision.affinity_broken) == ("b", "at its limit of 2")
    assert "affinity to a broken: at its limit of 2" in decision.reason
