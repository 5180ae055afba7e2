"""The order that each strategy returns, and how it distributes requests."""

import math
import random
from collections import Counter
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intellirouter.catalog import HealthBoard
from intellirouter.core import Deployment, Price
from intellirouter.routing.strategies import STRATEGIES, RoutingContext, StrategyRow
from tests.support.routing.routes import call, decide, deployment, fail, router, succeed, target

streamed = pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])


def first_of(one: Any, model: Any, now_s: float = 0.0, **members: Any) -> str:
    return str(decide(one, call(**members), model, now_s).order[0])


def weighted_pool(*weights: float) -> tuple[Deployment, ...]:
    return tuple(deployment(f"d{place}", weight=weight) for place, weight in enumerate(weights))


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda row: row.name)
@given(count=st.integers(1, 6), turn=st.integers(0, 1000), seed=st.integers())
def test_every_deployment_is_scored_once_with_a_reason(strategy: StrategyRow, count: int, turn: int, seed: int) -> None:
    pool = [deployment(f"d{place}") for place in range(count)]
    board = HealthBoard()
    context = RoutingContext(
        call=call(),
        health={each.name: board.of(each.name) for each in pool},
        turn=turn,
        rng=random.Random(seed),
        now_s=0.0,
        input_tokens=10,
    )
    scored = strategy.score(pool, context)
    assert [each.deployment for each in scored] == pool
    assert all(each.reason for each in scored)
    assert not any(math.isnan(each.score) for each in scored)


def test_round_robin_rotates() -> None:
    one, model = router(), target("a b c", (), "round_robin")
    decisions = [decide(one, call(), model, 0.0) for _ in range(6)]
    assert ["".join(each.order) for each in decisions] == ["abc", "bca", "cab"] * 2
    assert [each.reason for each in decisions[1].candidates] == ["turn 1 of 3", "turn 2 of 3", "turn 3 of 3"]


def test_round_robin_shares_evenly_while_one_is_failing() -> None:
    board = HealthBoard()
    fail(board, "b", times=3)
    one, model = router(board), target("a b c", (), "round_robin")
    assert Counter(first_of(one, model) for _ in range(100)) == {"a": 50, "c": 50}


def test_round_robin_counts_each_model_separately() -> None:
    one = router()
    first = target("a b", (), "round_robin")
    second = msgspec.structs.replace(first, model="n")
    assert [first_of(one, each) for each in (first, second, first, second)] == ["a", "a", "b", "b"]


@pytest.mark.parametrize("weights", [(1.0, 1.0), (2.0, 1.0), (5.0, 3.0, 2.0), (0.1, 0.9), (1e6, 1e6, 2e6)])
def test_weighted_distributes_by_weight(weights: tuple[float, ...]) -> None:
    one, model = router(), target(weighted_pool(*weights), (), "weighted")
    tries = 6000
    seen = Counter(first_of(one, model) for _ in range(tries))
    chi_square = sum(
        (seen[f"d{place}"] - expected) ** 2 / expected
        for place, weight in enumerate(weights)
        if (expected := tries * weight / sum(weights))
    )
    assert chi_square < 13.8  # one in a thousand for two degrees of freedom; the seed is fixed


def test_weighted_orders_all_deployments_at_random() -> None:
    one, model = router(), target("a b c", (), "weighted")
    orders = Counter("".join(decide(one, call(), model, 0.0).order) for _ in range(6000))
    assert len(orders) == 6
    assert all(850 < count < 1150 for count in orders.values())


def test_weight_of_zero_is_tried_last() -> None:
    one, model = router(), target(weighted_pool(0.0, 1.0), (), "weighted")
    for _ in range(50):
        decision = decide(one, call(), model, 0.0)
        assert decision.order == ("d1", "d0")
        assert decision.candidates[1].score is None
    without_weights = target(weighted_pool(0.0, 0.0), (), "weighted")
    assert set(decide(one, call(), without_weights, 0.0).order) == {"d0", "d1"}


def test_reason_of_weighted_is_the_share() -> None:
    decision = decide(router(), call(), target(weighted_pool(0.5, 1.0), (), "weighted"), 0.0)
    assert {each.deployment: each.reason for each in decision.candidates} == {
        "d0": "weight 0.5 of 1.5",
        "d1": "weight 1 of 1.5",
    }


def test_least_busy_prefers_fewest_requests_in_flight() -> None:
    board = HealthBoard()
    for name, in_flight in (("a", 3), ("b", 1), ("c", 2)):
        board.of(name).in_flight = in_flight
    decision = decide(router(board), call(), target("a b c", (), "least_busy"), 0.0)
    assert decision.order == ("b", "c", "a")
    assert decision.candidates[0].reason == "1 in flight"


def test_least_busy_counts_in_flight_per_weight() -> None:
    board = HealthBoard()
    board.of("d0").in_flight = 5
    board.of("d1").in_flight = 2
    assert first_of(router(board), target(weighted_pool(3.0, 1.0), (), "least_busy")) == "d0"
    assert first_of(router(board), target(weighted_pool(0.0, 1.0), (), "least_busy")) == "d1"
    board.of("d0").in_flight, board.of("d1").in_flight = 3, 0
    one, model = router(board), target(weighted_pool(3.0, 1.0), (), "least_busy")
    assert {first_of(one, model) for _ in range(50)} == {"d1"}, "only ties are broken at random"
    board.of("d1").in_flight = 1000
    assert first_of(one, target(weighted_pool(0.0, 1.0), (), "least_busy")) == "d1", "weight 0 is the last resort"


def test_least_busy_distributes_evenly() -> None:
    one, model = router(), target("a b c", (), "least_busy")
    seen = Counter(first_of(one, model) for _ in range(3000))
    assert all(900 < seen[name] < 1100 for name in "abc")


@streamed
def test_power_of_two_compares_latency_times_requests_in_flight_of_two_random_deployments(is_stream: bool) -> None:
    board = HealthBoard()
    for name, latency_ms in (("slow", 300.0), ("fast", 100.0), ("unknown", None)):
        if latency_ms is not None:
            succeed(board, name, latency_ms=latency_ms, first_token_ms=latency_ms)
    one, model = router(board), target("slow fast unknown", (), "power_of_two")
    seen = Counter(first_of(one, model, is_stream=is_stream) for _ in range(3000))
    assert seen["slow"] == 0, "it is the worse one of every pair"
    assert 1800 < seen["fast"] < 2200
    board.of("fast").in_flight = 3
    assert Counter(first_of(one, model, is_stream=is_stream) for _ in range(300)).most_common(1)[0][0] == "unknown"
    decision = decide(one, call(is_stream=is_stream), target("slow fast", (), "power_of_two"), 0.0)
    assert [each.reason for each in decision.candidates] == [
        "0 in flight, 300 ms, success rate 100%",
        "3 in flight, 100 ms, success rate 100%",
    ]


def test_power_of_two_tries_the_best_of_the_others_after_the_two() -> None:
    board = HealthBoard()
    for number, name in enumerate("abcd"):
        succeed(board, name, latency_ms=100.0 * (number + 1))
    one, model = router(board), target("a b c d", (), "power_of_two")
    for _ in range(100):
        decision = decide(one, call(), model, 0.0)
        assert list(decision.order[:2]) == sorted(decision.order[:2])
        assert list(decision.order[2:]) == sorted(decision.order[2:])
        assert [each.reason.endswith("not drawn") for each in decision.candidates] == [False, False, True, True]


def test_power_of_two_counts_in_flight_per_weight() -> None:
    board = HealthBoard()
    board.of("d0").in_flight = 5
    board.of("d1").in_flight = 2
    assert first_of(router(board), target(weighted_pool(3.0, 1.0), (), "power_of_two")) == "d0"


@streamed
def test_latency_prefers_the_lowest_latency_or_time_to_first_token(is_stream: bool) -> None:
    board = HealthBoard()
    succeed(board, "a", latency_ms=100.0, first_token_ms=90.0)
    succeed(board, "b", latency_ms=900.0, first_token_ms=10.0)
    decision = decide(router(board), call(is_stream=is_stream), target("a b", (), "latency"), 0.0)
    assert decision.order[0] == ("b" if is_stream else "a")
    reason = "10 ms, success rate 100%" if is_stream else "100 ms, success rate 100%"
    assert decision.candidates[0].reason == reason


@streamed
def test_latency_measures_unknown_deployments_with_one_request_at_a_time(is_stream: bool) -> None:
    board = HealthBoard()
    succeed(board, "a", latency_ms=0.5, first_token_ms=0.5)
    one, model = router(board), target("a b", (), "latency")
    first = decide(one, call(is_stream=is_stream), model, 0.0).candidates[0]
    assert (first.deployment, first.reason) == ("b", "not measured yet")
    ticket = board.of("b").begin(0.0)
    decision = decide(one, call(is_stream=is_stream), model, 0.0)
    assert decision.order == ("a", "b")
    assert decision.candidates[1].score is None
    board.of("b").succeed(ticket, 0.4, 0.4, 0.0)
    assert first_of(one, model, is_stream=is_stream) == "b"


@streamed
def test_latency_measures_again_after_a_failed_measurement(is_stream: bool) -> None:
    board = HealthBoard()
    succeed(board, "a")
    fail(board, "b")
    one, model = router(board), target("a b", (), "latency")
    assert first_of(one, model, now_s=5.0, is_stream=is_stream) == "a"
    assert first_of(one, model, now_s=11.0, is_stream=is_stream) == "b"


@streamed
@pytest.mark.parametrize("strategy", ["least_busy", "power_of_two", "latency"])
def test_fast_failing_deployment_is_avoided(strategy: str, is_stream: bool) -> None:
    board = HealthBoard()
    one, model = router(board), target("good bad", (), strategy)
    succeed(board, "bad", latency_ms=50.0, first_token_ms=5.0)
    now_s, taken = 0.0, Counter[str]()
    for _ in range(300):
        now_s += 0.1
        name = first_of(one, model, now_s=now_s, is_stream=is_stream)
        taken[name] += 1
        if name == "good":
            succeed(board, "good", latency_ms=80.0, first_token_ms=8.0)
        else:
            fail(board, "bad", now_s=now_s)
    assert taken["bad"] < 30


@streamed
@pytest.mark.parametrize("strategy", ["least_busy", "power_of_two", "latency"])
def test_recovered_deployment_is_used_again(strategy: str, is_stream: bool) -> None:
    board = HealthBoard()
    for name in "ab":
        succeed(board, name, latency_ms=100.0, first_token_ms=10.0)
    fail(board, "a", times=20)
    one, model = router(board), target("a b", (), strategy)
    assert {first_of(one, model, now_s=20.0, is_stream=is_stream) for _ in range(50)} == {"b"}
    board.of("b").in_flight = 1
    later = {first_of(one, model, now_s=300.0, is_stream=is_stream) for _ in range(50)}
    assert later == ({"b"} if strategy == "latency" else {"a"})
    succeed(board, "b", latency_ms=110.0, first_token_ms=11.0)
    assert first_of(one, model, now_s=300.0, is_stream=is_stream) == "a"


def price(usd_in: int, usd_out: int) -> Price:
    return Price(input=usd_in * 10**6, output=usd_out * 10**6)


def test_cost_prefers_the_cheapest_and_tries_unknown_prices_last() -> None:
    pool = (
        deployment("unknown"),
        deployment("dear", price=price(10, 30)),
        deployment("cheap", price=price(1, 2)),
        deployment("free", price=price(0, 0)),
    )
    decision = decide(router(), call(size_bytes=4000, max_output_tokens=100), target(pool, (), "cost"), 0.0)
    assert decision.order == ("free", "cheap", "dear", "unknown")
    assert [each.reason for each in decision.candidates] == [
        "about $0.000000",
        "about $0.001200",
        "about $0.013000",
        "price unknown",
    ]
    assert decision.candidates[-1].score is None


def test_cost_depends_on_input_and_output_size() -> None:
    pool = (deployment("talker", price=price(10, 1)), deployment("reader", price=price(1, 10)))
    one, model = router(), target(pool, (), "cost")
    assert first_of(one, model, size_bytes=40, max_output_tokens=1000) == "talker"
    assert first_of(one, model, size_bytes=40_000, max_output_tokens=10) == "reader"
    assert first_of(one, model, size_bytes=4) == "talker"  # an answer of usual length is assumed


def test_cost_accepts_very_large_requests() -> None:
    pool = (deployment("a", price=price(10, 1)), deployment("b"))
    assert first_of(router(), target(pool, (), "cost"), max_output_tokens=2**53) == "a"
