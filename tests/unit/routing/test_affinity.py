"""Affinity in decisions: who serves a session, in each strategy, and why not the one that served it last."""

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from intellirouter.catalog import HealthBoard
from intellirouter.core import Decision, Deployment, Price
from intellirouter.routing import STRATEGIES, Affinity, Router
from tests.support.dialects.standard import ENDPOINTS
from tests.support.routing.routes import call, deployment, fail, router, succeed, target

FREE_ORDER = ("round_robin", "weighted")
LOAD = ("least_busy", "power_of_two", "latency")
STICKY = (*FREE_ORDER, *LOAD, "cost")
PRICE = Price(input=3_000_000, output=15_000_000, cache_read=300_000)


def at(home: str = "", **members: Any) -> Affinity:
    return Affinity(**{"kind": "session", "key": b"k", "home": home, "age_s": 42.0 if home else 0.0, **members})


def decide(strategy: str, affinity: Affinity | None, *, on: HealthBoard | None = None, **members: Any) -> Decision:
    pool = members.get("pool", "a b c d")
    model = target(pool, members.get("fallbacks", ()), strategy)
    model = structs.replace(model, pool_policy=members.get("policy", model.pool_policy))
    by: Router = members.get("by") or router(on)
    one = members.get("call") or call(size_bytes=8000)
    return by.decide(ENDPOINTS["openai_chat"], one, model, members.get("at_s", 0.0), affinity)


def busy(**in_flight: int) -> HealthBoard:
    board = HealthBoard()
    for name in "abcd":
        succeed(board, name)
        for _ in range(in_flight.get(name, 0)):
            board.of(name).begin(0.0)
    return board


@pytest.mark.parametrize("strategy", STICKY)
@pytest.mark.parametrize("home", "abcd")
def test_session_stays_where_it_was_served(strategy: str, home: str) -> None:
    by = router(busy())
    for _ in range(8):
        decision = decide(strategy, at(home), by=by)
        assert decision.order[0] == home
        assert sorted(decision.order) == list("abcd")
        assert f"session affinity: served by {home} 42 s ago" in decision.reason
        assert decision.affinity_broken == ""


def test_priority_never_changes_and_still_reuses_decisions() -> None:
    by = router()
    first = decide("priority", None, by=by)
    model = target("a b c d")
    one = by.decide(ENDPOINTS["openai_chat"], call(), model, 0.0, at("d"))
    two = by.decide(ENDPOINTS["openai_chat"], call(), model, 0.0, at("c"))
    assert first.order == one.order == tuple("abcd")
    assert one is two
    assert (one.affinity_broken, one.reason) == ("", "priority 1; 3 more to try")


@pytest.mark.parametrize("strategy", FREE_ORDER)
def test_new_session_is_placed_by_its_hash_in_every_process(strategy: str) -> None:
    placed = {}
    for seed in range(5):
        by = Router({row.name: row for row in STRATEGIES}, HealthBoard(), random.Random(seed))
        for number in range(20):
            key = b"%d" % number
            first = decide(strategy, at(key=key), by=by).order[0]
            assert placed.setdefault(key, first) == first
    assert len(set(placed.values())) > 1
    assert "by the hash of the session" in decide(strategy, at()).reason
    assert "by the hash of the prompt" in decide(strategy, at(kind="prompt")).reason


@pytest.mark.parametrize("strategy", FREE_ORDER)
@given(key=st.binary(min_size=1, max_size=16), gone=st.sampled_from("abcd"))
def test_if_a_deployment_leaves_only_its_sessions_move(strategy: str, key: bytes, gone: str) -> None:
    before = decide(strategy, at(key=key)).order
    after = decide(strategy, at(key=key), pool=" ".join(set("abcd") - {gone})).order
    assert list(after) == [each for each in before if each != gone]


def test_new_sessions_of_a_weighted_pool_follow_the_weights() -> None:
    pool = (deployment("light", weight=1.0), deployment("heavy", weight=3.0))
    counts = Counter(decide("weighted", at(key=b"%d" % number), pool=pool).order[0] for number in range(600))
    assert counts["heavy"] / counts["light"] == pytest.approx(3.0, rel=0.25)


def test_requests_without_a_session_still_take_turns() -> None:
    by = router()
    model = target("a b", strategy="round_robin")
    firsts = []
    for _ in range(4):
        by.decide(ENDPOINTS["openai_chat"], call(), model, 0.0, at("a"))
        firsts.append(by.decide(ENDPOINTS["openai_chat"], call(), model, 0.0).order[0])
    assert firsts == ["a", "b", "a", "b"]


@pytest.mark.parametrize("strategy", FREE_ORDER)
def test_busy_deployment_loses_the_session(strategy: str) -> None:
    calm = decide(strategy, at("b"), on=busy(b=4))
    assert calm.order[0] == "b"
    decision = decide(strategy, at("b"), on=busy(b=5))
    assert decision.order[0] != "b"
    assert decision.order[-1] == "b"
    assert decision.affinity_broken == f"{decision.order[0]} is preferred nevertheless"
    assert "but busy: 5 in flight" in next(each.reason for each in decision.candidates if each.deployment == "b")
    spread = decide(strategy, at("b"), on=busy(a=5, b=5, c=5, d=5))
    assert spread.order[0] == "b"


@pytest.mark.parametrize(
    ("in_flight", "extra", "stays"), [(1, 1.0, True), (2, 1.0, False), (2, 2.0, True), (1, 0.0, False), (0, 0.0, True)]
)
def test_least_busy_tolerates_the_configured_load(in_flight: int, extra: float, stays: bool) -> None:
    decision = decide("least_busy", at("c", max_extra_load=extra), on=busy(c=in_flight))
    assert (decision.order[0] == "c") is stays
    assert bool(decision.affinity_broken) is not stays


def test_power_of_two_always_compares_the_deployment_of_the_session() -> None:
    by = router(busy(c=1))
    assert {decide("power_of_two", at("c"), by=by).order[0] for _ in range(30)} == {"c"}
    by = router(busy(c=9))
    assert "c" not in {decide("power_of_two", at("c"), by=by).order[0] for _ in range(30)}


def test_latency_tolerates_slower_deployments_and_measures_no_new_ones_with_sessions() -> None:
    board = HealthBoard()
    succeed(board, "a", latency_ms=190.0)
    succeed(board, "b", latency_ms=100.0)
    assert decide("latency", at("a"), on=board, pool="a b c").order == ("a", "b", "c")
    assert decide("latency", at(), on=board, pool="a b c").order[0] == "c"
    succeed(board, "a", latency_ms=1000.0)
    assert decide("latency", at("a"), on=board, pool="a b").order[0] == "b"


def priced(name: str, usd_per_1m: int, cache_read: int | None = None) -> Deployment:
    price = Price(input=usd_per_1m * 1_000_000, output=0, cache_read=cache_read)
    return deployment(name, price=price)


def test_cost_counts_exactly_what_the_cache_saves() -> None:
    home = priced("home", 10, cache_read=1_000_000)  # 10 and 1 USD per million
    body = structs.replace(
        call(), body=b"word " * 8_000, max_output_tokens=1
    )  # 10,000 tokens: 0.1 USD without the cache
    decision = decide("cost", at("home", cached_tokens=9_000), pool=(priced("other", 3), home), call=body)
    assert decision.order[0] == "home"
    chosen = decision.candidates[0]
    assert chosen.score == 100_000 - 81_000
    assert "saves about $0.081000" in chosen.reason
    decision = decide("cost", at("home", cached_tokens=7_000), pool=(priced("other", 3), home), call=body)
    assert decision.order[0] == "other"
    assert decision.affinity_lost_microusd == 63_000
    note = "affinity to home broken: other is preferred nevertheless (about 0.063000 USD of cached input lost)"
    assert note in decision.reason


def test_cost_without_a_price_for_cached_input_saves_nothing() -> None:
    pool = (priced("other", 3), priced("home", 3))
    decision = decide("cost", at("home", cached_tokens=9_000), pool=pool)
    assert decision.order[0] == "home"  # both cost the same
    decision = decide("cost", at("home", cached_tokens=9_000), pool=(priced("other", 2), priced("home", 3)))
    assert (decision.order[0], decision.affinity_lost_microusd) == ("other", 0)
    assert decision.reason.endswith("affinity to home broken: other is preferred nevertheless")


@pytest.mark.parametrize("strategy", STICKY)
def test_open_circuit_breaks_the_affinity_and_the_reason_says_so(strategy: str) -> None:
    board = busy()
    fail(board, "b", times=3, now_s=1.0)
    pool = tuple(deployment(name, price=PRICE) for name in "abcd")
    decision = decide(strategy, at("b", cached_tokens=1000), on=board, at_s=2.0, pool=pool)
    assert decision.order[0] != "b"
    assert decision.order[-1] == "b"
    cause = "circuit open after 3 failures in a row (upstream_timeout), 9 s left"
    assert (decision.affinity_broken, decision.affinity_lost_microusd) == (cause, 2_700)
    assert f"affinity to b broken: {cause} (about 0.002700 USD of cached input lost)" in decision.reason


def test_deployment_that_asked_to_be_left_alone_loses_the_session() -> None:
    board = busy()
    board.of("b").defer(30.0, 0.0)
    decision = decide("round_robin", at("b"), on=board, at_s=1.0)
    assert decision.order[0] != "b"
    assert decision.affinity_broken == "asked not to be called for another 29 s"


def test_excluded_and_removed_deployments_and_fallbacks_lose_the_session() -> None:
    pool = (deployment("a"), deployment("b", context_tokens=100))
    decision = decide("round_robin", at("b"), pool=pool)
    assert decision.order == ("a",)
    assert decision.affinity_broken.startswith("has a context of 100 tokens")
    assert decide("round_robin", at("gone")).affinity_broken == "it is no longer a deployment of the model"
    decision = decide("round_robin", at("f"), fallbacks="f")
    assert (decision.order[-1], decision.affinity_broken) == ("f", "it is only a fallback")


def test_outlier_loses_the_session() -> None:
    board = busy()
    for number in range(40):
        for name in "abcd":
            if name == "b" and number % 2:
                fail(board, name)
            else:
                succeed(board, name)
    decision = decide("round_robin", at("b"), on=board)
    assert decision.order[-1] == "b"
    assert "tried after them" in decision.affinity_broken


def test_outage_of_all_deployments_is_not_reported_as_broken_affinity() -> None:
    board = busy()
    for name in "ab":
        fail(board, name, times=3)
    decision = decide("round_robin", at("b"), on=board, pool="a b")
    assert (decision.is_last_resort, decision.affinity_broken) == (True, "")


@pytest.mark.parametrize("strategy", STICKY)
def test_turns_of_many_sessions_stay_and_the_load_is_spread(strategy: str) -> None:
    """A simulated pool of four, 200 sessions of ten turns, interleaved at random, up to eight requests in flight."""
    rng, board = random.Random(3), busy()
    pool = tuple(deployment(name, price=PRICE) for name in "abcd")
    model, by = target(pool, strategy=strategy), Router({row.name: row for row in STRATEGIES}, board, rng)
    homes: dict[bytes, str] = {}
    served, stayed, turns = Counter[str](), 0, 0
    running: list[tuple[str, int]] = []
    sessions = [b"%d" % number for number in range(200) for _ in range(10)]
    rng.shuffle(sessions)
    for key in sessions:
        home = homes.get(key, "")
        affinity = at(home, key=key, cached_tokens=2000 if home else 0)
        first = by.decide(ENDPOINTS["openai_chat"], call(size_bytes=8000), model, 0.0, affinity).order[0]
        running.append((first, board.of(first).begin(0.0)))
        if len(running) > 8:
            name, ticket = running.pop(0)
            board.of(name).succeed(ticket, 10.0, 100.0, 0.0)
        turns += bool(home)
        stayed += first == home
        served[first] += 1
        homes[key] = first
    least = {"latency": 0.0, "cost": 0.0}.get(strategy, 0.15)  # these two have a favourite among equals
    at_least = 0.8 if strategy in {"least_busy", "power_of_two"} else 0.95  # these two move sessions for the load
    assert stayed / turns >= at_least, (stayed, turns)
    assert all(served[name] >= least * len(sessions) for name in "abcd"), served
