"""Which failures lead to the degradation ladder, and what stops its steps from calling models."""

import pytest

from intellirouter.core import errors
from intellirouter.resilience import Spent, cost_note, is_too_long, may_call_again, may_step_down, model_obstacle


def rejected(code: str) -> errors.GatewayError:
    return errors.UpstreamRejected("no", code=code)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (errors.UpstreamUnavailable("x"), True),
        (errors.UpstreamTimeout("x"), True),
        (errors.UpstreamRateLimited("x"), True),
        (errors.UpstreamAuthFailed("x"), True),
        (errors.UpstreamModelMissing("x"), True),
        (errors.UpstreamMalformed("x"), True),
        (errors.UpstreamAnswerUnusable("x"), True),
        (errors.AllAttemptsFailed("x"), True),
        (errors.ModelLoading("x"), True),
        (errors.Overloaded("x"), True),
        (errors.AnswerBufferFull("x"), True),
        (rejected("context_length_exceeded"), True),
        (rejected("request_too_large"), True),
        (errors.NoEligibleDeployment("x", code="context_length_exceeded"), True),
        (errors.NoEligibleDeployment("x"), False),
        (rejected("content_policy_violation"), False),
        (rejected("invalid_value"), False),
        (errors.UnsupportedFeature("x"), False),
        (errors.InvalidRequest("x"), False),
        (errors.NotCached("x"), False),
        (errors.InternalError("x"), False),
    ],
)
def test_failures_that_lead_to_the_ladder(error: errors.GatewayError, expected: bool) -> None:
    assert may_step_down(error) is expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (errors.UpstreamUnavailable("x"), True),
        (errors.UpstreamAuthFailed("x"), True),
        (errors.Overloaded("x"), True),
        (errors.NoEligibleDeployment("x", code="context_length_exceeded"), True),
        (errors.UpstreamAnswerUnusable("x"), False),
        (errors.AnswerBufferFull("x"), False),
    ],
)
def test_failures_after_which_another_model_may_be_called(error: errors.GatewayError, expected: bool) -> None:
    assert may_call_again(error) is expected


def test_requests_that_are_too_long() -> None:
    assert is_too_long(rejected("context_length_exceeded"))
    assert is_too_long(rejected("request_too_large"))
    assert not is_too_long(rejected("content_filter"))


def spent(attempts: int = 1, left_s: float = 5.0, cost: int = 0, max_cost: int | None = None) -> Spent:
    return Spent(attempts=attempts, max_attempts=3, left_s=left_s, cost_microusd=cost, max_cost_microusd=max_cost)


@pytest.mark.parametrize(
    ("budget", "obstacle"),
    [
        (spent(), None),
        (spent(attempts=2, left_s=0.1, cost=9, max_cost=10), None),
        (spent(cost=0, max_cost=0), None),
        (spent(cost=10**9), None),
        (spent(attempts=3), "The limit of 3 attempts (max_attempts) has been reached."),
        (spent(left_s=0.0), "The time of the request (request_timeout_s) is over."),
        (spent(cost=10, max_cost=10), cost_note(spent(cost=10, max_cost=10))),
    ],
)
def test_budget_of_attempts_time_and_money(budget: Spent, obstacle: str | None) -> None:
    assert budget.obstacle == obstacle


def test_note_about_the_cost_has_both_amounts() -> None:
    assert cost_note(spent(cost=12_000, max_cost=10_000)) == (
        "No further attempt was made, because the attempts have cost 0.012000 USD, and the limit is 0.010000 USD "
        "(max_cost_usd)."
    )


def test_results_that_depend_on_their_model() -> None:
    assert model_obstacle("chat") is None
    assert model_obstacle("embeddings") is not None
    assert model_obstacle("count_tokens") is not None
