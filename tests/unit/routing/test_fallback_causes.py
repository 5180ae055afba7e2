"""Fallbacks that are tried for some causes only: where they stand when no deployment of the pool can be tried."""

import pytest
from msgspec import structs

from intellirouter.catalog import HealthBoard, ResolvedModel
from intellirouter.core import FallbackCause, errors
from tests.support.routing.routes import call, decide, deployment, fail, router, target

LIMITS: dict[str, frozenset[FallbackCause]] = {
    "f": frozenset({"timeout"}),
    "g": frozenset({"context_length"}),
    "h": frozenset({"unavailable"}),
}


def limited(model: ResolvedModel) -> ResolvedModel:
    return structs.replace(model, fallback_causes=LIMITS)


def test_available_pool_comes_first_and_the_reasons_name_the_causes() -> None:
    decision = decide(router(), call(), limited(target("a", "f g x")), 0.0)
    assert decision.order == ("a", "f", "g", "x")
    assert [each.reason for each in decision.candidates[1:]] == [
        "fallback for timeout",
        "fallback for context_length",
        "fallback",
    ]


def test_fallback_for_the_cause_of_an_open_circuit_takes_the_place_of_the_pool() -> None:
    board = HealthBoard()
    fail(board, "a", 3)
    decision = decide(router(board), call(), limited(target("a", "f g h")), 1.0)
    assert decision.order == ("f", "h", "a", "g")
    assert (decision.pool_size, decision.is_last_resort) == (3, False)


def test_fallback_for_rate_limits_is_tried_while_retry_after_lasts() -> None:
    board = HealthBoard()
    board.of("a").defer(30.0, 0.0)
    model = structs.replace(target("a", "f g"), fallback_causes={"f": frozenset({"rate_limit"}), "g": LIMITS["g"]})
    assert decide(router(board), call(), model, 1.0).order == ("f", "a", "g")


def test_unavailable_pool_is_the_last_resort_if_no_fallback_is_for_it() -> None:
    board = HealthBoard()
    fail(board, "a", 3)
    decision = decide(router(board), call(), limited(target("a", "g")), 1.0)
    assert decision.order == ("a", "g")
    assert (decision.pool_size, decision.is_last_resort) == (1, True)


def test_request_that_is_too_long_for_the_pool_goes_to_the_fallback_for_that() -> None:
    pool = (deployment("a", context_tokens=10),)
    decision = decide(router(), call(100_000), limited(target(pool, "f g")), 0.0)
    assert decision.order == ("g", "f")


def test_fallback_for_another_cause_does_not_serve_what_the_pool_cannot() -> None:
    pool = (deployment("a", context_tokens=10),)
    with pytest.raises(errors.NoEligibleDeployment) as caught:
        decide(router(), call(100_000), limited(target(pool, "f")), 0.0)
    assert caught.value.message.endswith("; f is a fallback for timeout only.")
    assert caught.value.code == "context_length_exceeded"
