"""Decisions: verdict and reason of every candidate, failing deployments, and the reuse of decisions."""

import random
import re
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from intellirouter.catalog import HealthBoard
from intellirouter.core import EMPTY_CONTEXT, Candidate, Deployment, errors
from intellirouter.routing import STRATEGIES, Router, StrategyRow
from intellirouter.routing.strategies import RoutingContext, Scored
from tests.support.dialects.standard import ENDPOINTS
from tests.support.routing.routes import call, decide, deployment, fail, router, succeed, target

OPEN = "circuit open after 3 failures in a row (upstream_timeout), 9 s left"
ALL = pytest.mark.parametrize("strategy", sorted(row.name for row in STRATEGIES))


def order(*arguments: Any, at_s: float = 0.0, on: HealthBoard | None = None, **members: Any) -> str:
    return " ".join(decide(router(on), call(**members), target(*arguments), at_s).order)


def test_pool_comes_before_the_fallbacks_in_configured_order() -> None:
    decision = decide(router(), call(), target("a b", "f g"), 0.0)
    assert decision.order == ("a", "b", "f", "g")
    assert (decision.model, decision.strategy, decision.pool_size) == ("m", "priority", 2)
    assert decision.candidates == (
        Candidate("a", "p", "up-a", "chosen", "priority 1", 0.0),
        Candidate("b", "p", "up-b", "eligible", "priority 2", 1.0),
        Candidate("f", "p", "up-f", "fallback", "fallback"),
        Candidate("g", "p", "up-g", "fallback", "fallback"),
    )
    assert decision.reason == "priority 1; 3 more to try"


def test_reason_of_a_single_candidate_mentions_no_others() -> None:
    assert decide(router(), call(), target("a"), 0.0).reason == "priority 1"


def test_unknown_strategy_keeps_the_configured_order() -> None:
    assert order("a b", "", "no-such-strategy") == "a b"


@pytest.mark.parametrize(
    ("members", "needed", "reason"),
    [
        (
            {"capabilities": frozenset({"tools"})},
            {"needs": frozenset({"tools", "vision", "audio"})},
            "does not support audio, vision",
        ),
        ({"capabilities": frozenset()}, {"needs": frozenset({"tools"})}, "does not support tools"),
        ({"capabilities": frozenset({"embeddings"})}, {}, "does not support chat"),
        (
            {"capabilities": frozenset({"chat"})},
            {"operation": "embeddings", "needs": frozenset({"embeddings"})},
            "does not support embeddings",
        ),
        (
            {"context_tokens": 100},
            {"size_bytes": 804},
            "has a context of 100 tokens, but the request needs about 201",
        ),
        (
            {"context_tokens": 100},
            {"max_output_tokens": 191},
            "has a context of 100 tokens, but the request needs about 201",
        ),
    ],
)
def test_unsuitable_deployment_is_excluded_with_a_reason(
    members: dict[str, Any], needed: dict[str, Any], reason: str
) -> None:
    pool = (deployment("poor", **members), deployment("able"))
    decision = decide(router(), call(**needed), target(pool, "f"), 0.0)
    assert decision.order == ("able", "f")
    assert decision.candidates[-1] == Candidate("poor", "p", "up-poor", "excluded", reason)
    with pytest.raises(errors.NoEligibleDeployment, match=re.escape(reason)) as caught:
        decide(router(), call(**needed), target(pool[:1]), 0.0)
    is_too_long = "has a context" in reason
    code = "context_length_exceeded" if is_too_long else "no_eligible_deployment"  # clients shorten the conversation
    assert (caught.value.status, caught.value.code, caught.value.hint) == (400, code, "")
    assert caught.value.type == "invalid_request_error"


def test_error_for_a_request_that_is_too_long_for_a_local_model_names_the_setting() -> None:
    pool = (deployment("a", context_tokens=10), deployment("b", context_tokens=10, artifact="file:/w.gguf"))
    with pytest.raises(errors.NoEligibleDeployment, match="b has a context of 10 tokens") as caught:
        decide(router(), call(size_bytes=400), target(pool), 0.0)
    assert caught.value.code == "context_length_exceeded"
    assert "host.context_tokens" in caught.value.hint
    with pytest.raises(errors.NoEligibleDeployment) as mixed:
        decide(
            router(),
            call(size_bytes=400, needs=frozenset({"tools"})),
            target(
                (
                    deployment("a", capabilities=frozenset()),
                    pool[1],
                )
            ),
            0.0,
        )
    assert mixed.value.code == "no_eligible_deployment"


def test_bytes_of_images_and_audio_do_not_count_towards_the_context() -> None:
    body = b'{"text":"see","url":"data:image/png;base64,' + b"iVBORw0K" * 100_000 + b'"}'
    small = target((deployment("small", context_tokens=2000),))
    one = structs.replace(call(), body=body)
    assert decide(router(), one, small, 0.0).order == ("small",)
    fits = 2 * 2000 - one.estimated_input_tokens()
    assert decide(router(), structs.replace(one, max_output_tokens=fits), small, 0.0).order == ("small",)
    with pytest.raises(errors.NoEligibleDeployment, match="needs about 4001"):
        decide(router(), structs.replace(one, max_output_tokens=fits + 1), small, 0.0)
    assert decide(router(), call(operation="audio", size_bytes=800_000), small, 0.0).order == ("small",)
    with pytest.raises(errors.NoEligibleDeployment, match="has a context of 2000 tokens"):
        decide(router(), structs.replace(call(), body=b"words " * 100_000), small, 0.0)


def test_tokens_that_an_edit_adds_count_towards_the_context() -> None:
    small = target((deployment("small", context_tokens=100),))
    assert decide(router(), call(size_bytes=400, added_tokens=100), small, 0.0).order == ("small",)
    assert decide(router(), call(size_bytes=1200, added_tokens=-100), small, 0.0).order == ("small",)
    with pytest.raises(errors.NoEligibleDeployment, match="needs about 201"):
        decide(router(), call(size_bytes=400, added_tokens=101), small, 0.0)


def test_error_lists_the_reason_of_every_deployment() -> None:
    pool = (deployment("a", capabilities=frozenset()), deployment("b", context_tokens=1))
    with pytest.raises(errors.NoEligibleDeployment) as caught:
        decide(router(), call(needs=frozenset({"tools"})), target(pool), 0.0)
    assert caught.value.message == (
        "No deployment of the model 'm' can serve this request: a does not support tools; "
        "b has a context of 1 tokens, but the request needs about 10."
    )


@pytest.mark.parametrize(
    ("members", "needed"),
    [
        ({}, {"needs": frozenset({"tools"}), "size_bytes": 1_000_000, "max_output_tokens": 10**9}),
        ({"capabilities": frozenset({"tools", "vision"})}, {"needs": frozenset({"tools"})}),
        ({"capabilities": frozenset({"embeddings", "chat"})}, {}),
        ({"capabilities": frozenset({"embeddings"})}, {"operation": "embeddings", "needs": frozenset({"embeddings"})}),
        ({"context_tokens": 100}, {"size_bytes": 800}),
    ],
)
def test_unknown_or_sufficient_properties_do_not_exclude(members: dict[str, Any], needed: dict[str, Any]) -> None:
    assert decide(router(), call(**needed), target((deployment("a", **members),)), 0.0).order == ("a",)


def test_excluded_fallbacks_are_candidates_too() -> None:
    fallbacks = (deployment("f", capabilities=frozenset()), deployment("g"))
    decision = decide(router(), call(needs=frozenset({"tools"})), target("a", fallbacks), 0.0)
    assert decision.order == ("a", "g")
    assert decision.candidates[-1].verdict == "excluded"


def test_fallbacks_serve_when_the_whole_pool_is_excluded() -> None:
    pool = (deployment("a", capabilities=frozenset()),)
    decision = decide(router(), call(needs=frozenset({"tools"})), target(pool, "f g"), 0.0)
    assert (decision.order, decision.pool_size) == (("f", "g"), 0)
    assert decision.candidates[0].verdict == "chosen"


@ALL
def test_failing_deployments_are_tried_last_but_not_excluded(strategy: str) -> None:
    board = HealthBoard()
    for name in "abc":
        succeed(board, name)
    fail(board, "a", times=3)
    decision = decide(router(board), call(), target("a b c", "f", strategy), 1.0)
    assert set(decision.order[:2]) == {"b", "c"}
    assert decision.order[2:] == ("f", "a")
    assert decision.pool_size == 2
    assert decision.candidates[-1] == Candidate("a", "p", "up-a", "eligible", f"{OPEN}, tried last")


@ALL
def test_when_all_are_failing_all_are_still_tried(strategy: str) -> None:
    board = HealthBoard()
    for name in "abc":
        fail(board, name, times=5)
    decision = decide(router(board), call(), target("a b c", (), strategy), 1.0)
    assert decision.order == ("a", "b", "c")
    assert decision.pool_size == 3, "an outage must not take away the retries"
    assert decision.candidates[0].verdict == "chosen"
    assert decision.reason == f"{OPEN}, but no other is available; 2 more to try"


@ALL
def test_fallbacks_are_first_while_the_whole_pool_is_failing_and_all_are_retried(strategy: str) -> None:
    board = HealthBoard()
    fail(board, "a", times=3)
    decision = decide(router(board), call(), target("a", "f", strategy), 1.0)
    assert (decision.order, decision.pool_size) == (("f", "a"), 2)


@ALL
def test_deployment_is_tried_last_until_its_retry_after_has_passed(strategy: str) -> None:
    board = HealthBoard()
    for name in "ab":
        succeed(board, name)
    one, model = router(board), target("a b", "f g", strategy)
    assert decide(one, call(), model, 0.0).pool_size == 2
    board.of("a").defer(12.0, 0.0)
    board.of("f").defer(30.0, 0.0)
    decision = decide(one, call(), model, 2.0)
    assert (decision.order, decision.pool_size) == (("b", "g", "a", "f"), 1)
    assert decision.candidates[2].reason == "asked not to be called for another 10 s, tried last"
    later = decide(one, call(), model, 12.0)
    assert (set(later.order[:2]), later.order[2:], later.pool_size) == ({"a", "b"}, ("g", "f"), 2)
    assert decide(one, call(), model, 30.0).order[2:] == ("f", "g")


def test_lone_deployment_is_called_before_its_retry_after_has_passed() -> None:
    board = HealthBoard()
    board.of("a").defer(12.0, 0.0)
    decision = decide(router(board), call(), target("a"), 2.0)
    assert (decision.order, decision.pool_size) == (("a",), 1)


@ALL
def test_failing_deployment_returns_to_the_pool_after_a_while(strategy: str) -> None:
    board = HealthBoard()
    fail(board, "a", times=3)
    one = router(board)
    assert decide(one, call(), target("a b", (), strategy), 9.9).pool_size == 1
    assert decide(one, call(), target("a b", (), strategy), 10.0).pool_size == 2


def test_two_failures_do_not_make_a_deployment_failing() -> None:
    board = HealthBoard()
    fail(board, "a", times=2)
    assert order("a b", on=board) == "a b"


@ALL
@given(pool=st.integers(1, 5), others=st.integers(0, 3), failures=st.lists(st.integers(0, 5), min_size=8, max_size=8))
def test_every_candidate_is_in_the_order_once(strategy: str, pool: int, others: int, failures: list[int]) -> None:
    names, board = "abcdefgh", HealthBoard()
    for name, times in zip(names, failures, strict=True):
        fail(board, name, times)
    model = target(" ".join(names[:pool]), " ".join(names[pool : pool + others]), strategy)
    decision = decide(router(board), call(), model, 5.0)
    assert sorted(decision.order) == sorted(names[: pool + others])
    assert [each.deployment for each in decision.candidates] == list(decision.order)
    assert [each.verdict for each in decision.candidates].count("chosen") == 1
    assert decision.candidates[0].verdict == "chosen"
    scores = [each.score for each in decision.candidates[: decision.pool_size] if each.score is not None]
    assert scores == sorted(scores)


@pytest.mark.parametrize(("pool", "strategy"), [("a b", "priority"), ("a", "priority")])
def test_static_decision_is_reused_until_an_attempt_fails(pool: str, strategy: str) -> None:
    board = HealthBoard()
    one, model = router(board), target(pool, "f", strategy)
    first = decide(one, call(), model, 0.0)
    assert decide(one, call(size_bytes=9000, max_output_tokens=50), model, 5.0) is first
    fail(board, "a")
    again = decide(one, call(), model, 6.0)
    assert again is not first
    assert again == first
    fail(board, "a", times=2, now_s=6.0)
    assert decide(one, call(), model, 7.0).order[-1] == "a"
    succeed(board, "a")
    assert decide(one, call(), model, 8.0).order[0] == "a"


@pytest.mark.parametrize("strategy", [row.name for row in STRATEGIES if not row.is_static])
def test_decision_of_a_dynamic_strategy_is_not_reused(strategy: str) -> None:
    one, model = router(), target("a", "", strategy)
    assert decide(one, call(), model, 0.0) is not decide(one, call(), model, 0.0)


def test_decision_is_reused_for_its_own_model_only() -> None:
    one = router()
    assert decide(one, call(), target("a"), 0.0).order == ("a",)
    assert decide(one, call(), target("b"), 0.0).order == ("b",)


def test_decision_is_not_reused_for_a_call_with_other_needs() -> None:
    one = router()
    model = target((deployment("a", context_tokens=100, capabilities=frozenset()), deployment("b")))
    assert decide(one, call(), model, 0.0).order == ("a", "b")
    assert decide(one, call(needs=frozenset({"tools"})), model, 0.0).order == ("b",)
    assert decide(one, call(size_bytes=10_000), model, 0.0).order == ("b",)
    assert decide(one, call(max_output_tokens=1000), model, 0.0).order == ("b",)
    assert decide(one, call(), model, 0.0).order == ("a", "b")


def test_decision_is_reused_for_requests_that_fit_into_every_context() -> None:
    one, model = router(), target((deployment("a", context_tokens=1000), deployment("b", context_tokens=100)), "f")
    first = decide(one, call(), model, 0.0)
    for fitting in (
        {"size_bytes": 400},
        {"size_bytes": 200, "max_output_tokens": 50},
        {"size_bytes": 200, "added_tokens": 50},
        {"size_bytes": 440, "added_tokens": -10},
    ):
        assert decide(one, call(**fitting), model, 0.0) is first
    for larger in (
        {"size_bytes": 401},
        {"size_bytes": 200, "max_output_tokens": 51},
        {"size_bytes": 200, "added_tokens": 51},
    ):
        again = decide(one, call(**larger), model, 0.0)
        assert again == first, "a little more than the context size excludes no deployment, because it is an estimate"
        assert again is not first


def test_decision_about_a_request_that_the_gateway_answers_is_not_reused_for_others() -> None:
    """A request of Ollama's dialect without messages only loads the model. No upstream is called for it."""
    chat = ENDPOINTS["ollama_chat"]
    model = target((deployment("speech", dialects=("openai_media",)),))
    loads = chat.decode_request(b'{"model":"m"}', EMPTY_CONTEXT)
    one = router()
    assert one.decide(chat, loads, model, 0.0).order == ("speech",)
    with pytest.raises(errors.NoEligibleDeployment):
        one.decide(
            chat,
            chat.decode_request(b'{"model":"m","messages":[{"role":"user","content":"hi"}]}', EMPTY_CONTEXT),
            model,
            0.0,
        )


def test_decision_about_embeddings_is_not_reused_for_chat() -> None:
    one, model = router(), target((deployment("e", capabilities=frozenset({"embeddings"})),))
    embeddings = call(operation="embeddings", needs=frozenset({"embeddings"}))
    assert decide(one, embeddings, model, 0.0).order == ("e",)
    with pytest.raises(errors.NoEligibleDeployment):
        decide(one, call(), model, 0.0)


def test_number_of_reused_decisions_is_limited() -> None:
    one = router()
    for number in range(5000):
        decide(one, call(), msgspec.structs.replace(target("a"), model=f"m{number}"), 0.0)
    assert 0 < len(one._memo) <= 2048


def test_round_robin_continues_after_a_reload() -> None:
    turns: dict[str, int] = {}
    model = target("a b c", (), "round_robin")
    rows = {row.name: row for row in STRATEGIES}
    firsts = [
        decide(Router(rows, HealthBoard(), random.Random(1), turns), call(), model, 0.0).order[0] for _ in range(4)
    ]
    assert firsts == ["a", "b", "c", "a"], "a reload makes a new router"


def test_strategy_scores_the_healthy_deployments_of_the_pool() -> None:
    seen: list[tuple[str, ...]] = []

    def last_first(deployments: Sequence[Deployment], context: RoutingContext) -> list[Scored]:
        assert set(context.health) == {each.name for each in deployments}
        seen.append(tuple(each.name for each in deployments))
        return [Scored(each, -float(place), "because") for place, each in enumerate(deployments)]

    board = HealthBoard()
    row = StrategyRow(name="last_first", score=last_first)
    one = Router({row.name: row}, board, random.Random(1))
    model = target("a b c", "f", row.name)
    fail(board, "b", times=3)
    assert decide(one, call(), model, 1.0).order == ("c", "a", "f", "b")
    for name in "ac":
        fail(board, name, times=3)
    assert decide(one, call(), model, 1.0).order == ("f", "a", "b", "c")
    assert seen == [("a", "c")], "a strategy is not called without deployments"
