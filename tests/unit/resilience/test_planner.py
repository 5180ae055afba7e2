"""The attempt planner behaves as DESIGN.md describes: its table, its rounds, its limits."""

import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intellirouter.core import FallbackCause, RetryOrder, errors
from intellirouter.resilience import AttemptPlanner, Backoff, Retries, Step

FOREVER_S = 1e9
ERRORS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, errors.GatewayError) and kind is not errors.GatewayError
]
FINAL = (
    errors.ClientError,
    errors.PolicyError,
    errors.InternalError,
    errors.AnswerBufferFull,
    errors.UpstreamRejected,
    errors.UpstreamAnswerUnusable,
)
PERMANENT = (
    errors.UnsupportedFeature,
    errors.UpstreamAuthFailed,
    errors.UpstreamQuotaExhausted,
    errors.UpstreamModelMissing,
    errors.UpstreamAnswerTooLarge,
    errors.ProxyRefused,
)
TRANSIENT = (
    errors.UpstreamRateLimited,
    errors.UpstreamUnavailable,
    errors.UpstreamConnectFailed,
    errors.UpstreamDisconnected,
    errors.UpstreamTimeout,
    errors.UpstreamMalformed,
    errors.UpstreamOutputInvalid,
    errors.ProxyFailed,
)


def planner(
    order: str,
    pool_size: int | None = None,
    *,
    retries: int = 2,
    retry_order: RetryOrder = "next_first",
    **backoff: float,
) -> AttemptPlanner:
    names = order.split()
    size = len(names) if pool_size is None else pool_size
    rounds = Retries(pool_size=size, retries=retries, order=retry_order, fallbacks=frozenset(names[size:]))
    return AttemptPlanner(names, rounds, Backoff(**backoff), random.Random(7))


OVERFLOW = errors.UpstreamRejected("too long", code="context_length_exceeded")
UNSAFE = errors.UpstreamRejected("unsafe", code="content_policy_violation")
LIMITS: dict[str, frozenset[FallbackCause]] = {
    "long": frozenset({"context_length"}),
    "lenient": frozenset({"content_policy"}),
    "fast": frozenset({"timeout", "rate_limit"}),
}


def limited(pool: str, *, retries: int = 0) -> AttemptPlanner:
    """Return a planner whose fallbacks are tried for their causes only, and one, `any`, for every cause."""
    order = [*pool.split(), *LIMITS, "any"]
    rounds = Retries(pool_size=len(pool.split()), retries=retries, fallbacks=frozenset([*LIMITS, "any"]), causes=LIMITS)
    return AttemptPlanner(order, rounds, Backoff(), random.Random(7))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OVERFLOW, ["fallback long", "fallback any"]),
        (UNSAFE, ["fallback lenient", "fallback any"]),
        (errors.UpstreamTimeout("slow"), ["fallback fast", "fallback any"]),
        (errors.UpstreamRateLimited("busy"), ["fallback fast", "fallback any"]),
        (errors.UpstreamUnavailable("down"), ["fallback any"]),
        (errors.UpstreamRejected("wrong"), []),
    ],
)
def test_fallback_is_tried_for_its_causes_only(error: errors.GatewayError, expected: list[str]) -> None:
    assert names(limited("a"), "a", error) == expected


def test_fallback_is_tried_if_an_earlier_attempt_had_its_cause() -> None:
    plan = limited("a b")
    assert plan.after("a", OVERFLOW, 0.0, FOREVER_S) == Step("b", "next", 0.0)
    assert plan.after("b", errors.UpstreamUnavailable("down"), 0.0, FOREVER_S) == Step("long", "fallback", 0.0)


def test_deployment_that_timed_out_is_retried_if_no_fallback_takes_timeouts() -> None:
    retries = Retries(pool_size=1, retries=1, fallbacks=frozenset({"long"}), causes=LIMITS)
    plan = AttemptPlanner(["a", "long"], retries, Backoff(), random.Random(7))
    assert names(plan, "a", errors.UpstreamTimeout("slow")) == ["retry a"]


def down(retry_after_s: float | None = None) -> errors.GatewayError:
    return errors.UpstreamUnavailable("down", retry_after_s=retry_after_s)


def names(plan: AttemptPlanner, first: str, error: errors.GatewayError | None = None) -> list[str]:
    """Let every attempt fail and return the steps after the first attempt."""
    tried: list[str] = []
    step: Step | None = Step(first, "first", 0.0)
    now_s = 0.0
    while step is not None:
        step = plan.after(step.deployment, error or down(), now_s, FOREVER_S)
        if step is not None:
            now_s += step.wait_s
            tried.append(f"{step.kind} {step.deployment}")
    return tried


@pytest.mark.parametrize("kind", [each for each in ERRORS if issubclass(each, FINAL)])
def test_error_of_client_or_gateway_ends_the_attempts(kind: type[errors.GatewayError]) -> None:
    assert planner("a b c", 2).after("a", kind("no"), 0.0, FOREVER_S) is None


@pytest.mark.parametrize("kind", PERMANENT)
def test_permanent_failure_leads_to_fallbacks_but_not_to_a_retry(kind: type[errors.GatewayError]) -> None:
    assert names(planner("a"), "a", kind("no")) == []
    assert names(planner("a b c", 2), "a", kind("no")) == ["next b", "fallback c"]


@pytest.mark.parametrize("kind", TRANSIENT)
def test_transient_failure_leads_to_retries_and_fallbacks(kind: type[errors.GatewayError]) -> None:
    assert names(planner("a"), "a", kind("no")) == ["retry a", "retry a"]
    steps = ["retry a", "fallback b"]
    if kind is errors.UpstreamTimeout:
        steps.reverse()  # a retry could use up the time of the fallback
    assert names(planner("a b", 1, retries=1), "a", kind("no")) == steps


def test_every_error_class_is_classified() -> None:
    classified = {
        *PERMANENT,
        *TRANSIENT,
        errors.AllAttemptsFailed,
        errors.UpstreamError,
        errors.HostError,
        errors.ModelLoading,
    }
    assert {each for each in ERRORS if not issubclass(each, FINAL)} == classified


def test_order_is_pool_then_retry_rounds_then_fallbacks() -> None:
    assert names(planner("a b c f g", 3, retries=2), "a") == [
        *("next b", "next c"),
        *("retry a", "retry b", "retry c"),
        *("retry a", "retry b", "retry c"),
        *("fallback f", "fallback g"),
    ]


def test_only_a_retry_round_begins_with_a_wait() -> None:
    plan = planner("a b f", 2, retries=1, base_s=2.0)
    steps = [plan.after(name, down(), 0.0, FOREVER_S) for name in "abab"]
    assert [step and step.wait_s > 0 for step in steps] == [False, True, False, False]
    assert plan.after("f", down(), 0.0, FOREVER_S) is None


def test_each_deployment_is_tried_once_without_retries() -> None:
    assert names(planner("a b f", 2, retries=0), "a") == ["next b", "fallback f"]


def test_fallbacks_are_tried_once_each_without_a_pool() -> None:
    assert names(planner("f g h", 0), "f") == ["fallback g", "fallback h"]


def test_permanently_failed_deployment_is_left_out_of_retry_rounds() -> None:
    plan = planner("a b c", 3, retries=1)
    refused = errors.UpstreamAuthFailed("no")
    assert plan.after("a", refused, 0.0, FOREVER_S) == Step("b", "next", 0.0)
    assert plan.after("b", down(), 0.0, FOREVER_S) == Step("c", "next", 0.0)
    step = plan.after("c", refused, 0.0, FOREVER_S)
    assert step is not None
    assert (step.deployment, step.kind) == ("b", "retry")
    assert plan.after("b", down(), 0.0, FOREVER_S) is None


def test_deployment_that_failed_permanently_within_a_round_is_skipped() -> None:
    plan = planner("a b a", 3, retries=0)
    assert plan.after("a", errors.UpstreamAuthFailed("no"), 0.0, FOREVER_S) == Step("b", "next", 0.0)
    assert plan.after("b", down(), 0.0, FOREVER_S) is None
    assert names(planner("a a b", 3, retries=0), "a", errors.UpstreamAuthFailed("no")) == ["next b"]


def test_permanently_failed_deployment_is_skipped_among_fallbacks() -> None:
    assert names(planner("a a b", 1, retries=0), "a", errors.UpstreamAuthFailed("no")) == ["fallback b"]
    assert names(planner("a a", 1, retries=0), "a", errors.UpstreamAuthFailed("no")) == []


def test_retry_waits_for_retry_after() -> None:
    step = planner("a", base_s=1.0).after("a", down(9.0), 100.0, FOREVER_S)
    assert step == Step("a", "retry", 9.0)


def test_retry_waits_for_backoff_if_retry_after_is_shorter() -> None:
    step = planner("a", base_s=4.0).after("a", down(0.1), 100.0, FOREVER_S)
    assert step is not None
    assert 2.0 <= step.wait_s <= 4.0


def test_elapsed_time_counts_towards_retry_after() -> None:
    plan = planner("a b", 2, base_s=1.0)
    assert plan.after("a", down(9.0), 0.0, FOREVER_S) == Step("b", "next", 0.0)
    assert plan.after("b", down(20.0), 8.0, FOREVER_S) == Step("a", "retry", pytest.approx(1.0))
    assert plan.after("a", down(), 20.0, FOREVER_S) == Step("b", "retry", 8.0)


def test_deployments_without_retry_after_come_first_in_a_round() -> None:
    plan = planner("a b c", 3, retries=1, base_s=1.0)
    plan.after("a", down(25.0), 0.0, FOREVER_S)
    plan.after("b", down(), 0.0, FOREVER_S)
    step = plan.after("c", down(), 0.0, FOREVER_S)
    assert step is not None
    assert (step.deployment, step.wait_s <= 1.0) == ("b", True)
    assert plan.after("b", down(), 1.0, FOREVER_S) == Step("c", "retry", 0.0)
    assert plan.after("c", down(), 1.0, FOREVER_S) == Step("a", "retry", 24.0)


def test_retry_after_up_to_the_maximum_allows_a_retry() -> None:
    assert planner("a").after("a", down(30.0), 0.0, FOREVER_S) == Step("a", "retry", 30.0)


def test_retry_after_beyond_the_maximum_prevents_a_retry() -> None:
    assert planner("a").after("a", down(31.0), 0.0, FOREVER_S) is None
    assert planner("a f", 1).after("a", down(31.0), 0.0, FOREVER_S) == Step("f", "fallback", 0.0)


def test_wait_beyond_the_deadline_is_replaced_by_a_fallback() -> None:
    plan = planner("a f", 1, base_s=8.0)
    assert plan.after("a", down(), 0.0, 3.0) == Step("f", "fallback", 0.0)
    assert plan.after("f", down(), 0.0, 3.0) is None


def test_wait_until_exactly_the_deadline_is_replaced_by_a_fallback() -> None:
    assert planner("a f", 1).after("a", down(9.0), 0.0, 9.0) == Step("f", "fallback", 0.0)
    assert planner("a f", 1).after("a", down(9.0), 0.0, 9.001) == Step("a", "retry", 9.0)


@pytest.mark.parametrize("deadline_s", [10.0, 20.0])
def test_wait_within_a_round_beyond_the_deadline_is_replaced_by_a_fallback(deadline_s: float) -> None:
    plan = planner("a b f", 2, retries=1, base_s=1.0)
    plan.after("a", down(), 0.0, deadline_s)
    step = plan.after("b", down(20.0), 0.0, deadline_s)
    assert step is not None
    assert step.deployment == "a"
    assert plan.after("a", down(), 1.0, deadline_s) == Step("f", "fallback", 0.0)


def test_no_step_starts_at_the_deadline() -> None:
    assert planner("a b").after("a", down(), 5.0, 5.0) is None
    assert planner("a b").after("a", down(), 4.999, 5.0) == Step("b", "next", 0.0)


def test_same_deployment_is_retried_first_if_configured() -> None:
    assert names(planner("a b f", 2, retries=2, retry_order="same_first"), "a") == [
        *("retry a", "retry a", "next b", "retry b", "retry b", "fallback f"),
    ]
    refused = errors.UpstreamAuthFailed("no")
    assert names(planner("a b f", 2, retry_order="same_first"), "a", refused) == ["next b", "fallback f"]


def test_retries_of_the_same_deployment_wait_for_backoff_and_retry_after() -> None:
    plan = planner("a b", 2, retries=3, retry_order="same_first", base_s=4.0)
    first = plan.after("a", down(), 0.0, FOREVER_S)
    assert first is not None
    assert 2.0 <= first.wait_s <= 4.0
    assert plan.after("a", down(20.0), 0.0, FOREVER_S) == Step("a", "retry", 20.0)
    assert plan.after("a", down(31.0), 0.0, FOREVER_S) == Step("b", "next", 0.0)
    assert plan.after("b", down(9.0), 0.0, 9.0) is None, "the wait would end at the deadline"


@pytest.mark.parametrize("retry_order", ["next_first", "same_first"])
def test_deployment_that_timed_out_is_not_retried_before_others_had_their_time(retry_order: RetryOrder) -> None:
    hung = errors.UpstreamTimeout("hung")
    plan = planner("a f", 1, retry_order=retry_order)
    assert plan.after("a", hung, 0.0, FOREVER_S) == Step("f", "fallback", 0.0)
    assert names(planner("a", retry_order=retry_order), "a", hung) == ["retry a", "retry a"]
    plan = planner("a f", 1, retry_order=retry_order)
    plan.exclude(["f"])
    step = plan.after("a", hung, 0.0, FOREVER_S)
    assert step is not None
    assert step.kind == "retry", "there is no other deployment"
    connecting = errors.UpstreamTimeout("no connection", code=errors.CONNECT_TIMEOUT)
    step = planner("a f", 1, retry_order=retry_order).after("a", connecting, 0.0, FOREVER_S)
    assert step is not None
    assert step.kind == "retry"


def test_pool_that_timed_out_is_tried_once_more_after_it_was_tried_completely() -> None:
    hung = errors.UpstreamTimeout("hung")
    assert names(planner("a b", 2, retries=1), "a", hung) == ["next b", "retry a", "retry b"]
    assert names(planner("a b f", 2, retries=1), "a", hung) == ["next b", "fallback f", "retry a", "retry b"]
    one = planner("a b", 2, retries=1, retry_order="same_first")
    assert names(one, "a", hung) == ["next b", "retry b"]


@pytest.mark.parametrize("code", ["context_length_exceeded", "content_filter", "content_policy_violation"])
def test_rejection_by_a_limit_of_the_deployment_leads_to_the_next_one(code: str) -> None:
    rejected = errors.UpstreamRejected("no", code=code)
    assert names(planner("a b f", 2), "a", rejected) == ["next b", "fallback f"]
    assert names(planner("a"), "a", rejected) == []
    excluding = planner("a b f", 2)
    excluding.exclude(["b"])
    assert names(excluding, "a", rejected) == ["fallback f"]


@pytest.mark.parametrize("retry", [0, 1, 2, 3, 4, 5, 50, 10_000])
def test_backoff_doubles_up_to_its_maximum_with_a_random_upper_half(retry: int) -> None:
    backoff, rng = Backoff(1.0, 30.0), random.Random(1)
    full = min(30.0, 2.0 ** min(retry, 100))
    waits = [backoff.wait_s(retry, rng) for _ in range(500)]
    assert full * 0.5 <= min(waits) < full * 0.55
    assert full * 0.95 < max(waits) <= full


failures = st.builds(
    lambda kind, wait: kind("no", retry_after_s=wait),
    st.sampled_from([*PERMANENT, *TRANSIENT, errors.UpstreamRejected, errors.ModelLoading]),
    st.none() | st.floats(0, 100),
)


@given(st.data(), st.integers(0, 5), st.integers(0, 5), st.integers(0, 6), st.floats(0, 200))
def test_limits_hold_for_any_failures(data: Any, pool: int, others: int, retries: int, deadline_s: float) -> None:
    order = [f"d{number}" for number in range(pool + others)]
    if not order:
        return
    retry_order = data.draw(st.sampled_from(["next_first", "same_first"]))
    fallbacks = frozenset(order[pool:])
    rounds = Retries(pool_size=pool, retries=retries, order=retry_order, fallbacks=fallbacks)
    plan = AttemptPlanner(order, rounds, Backoff(1.0, 10.0), random.Random(data.draw(st.integers())))
    step: Step | None = Step(order[0], "first", 0.0)
    now_s, tried, excluded, waits_until = 0.0, [order[0]], set(), {}
    while step is not None:
        error = data.draw(failures)
        now_s += data.draw(st.floats(0, 20))
        if not error.retryable:
            excluded.add(step.deployment)
        if error.retry_after_s is not None:
            waits_until[step.deployment] = now_s + error.retry_after_s
        step = plan.after(step.deployment, error, now_s, deadline_s)
        if isinstance(error, errors.UpstreamRejected):
            assert step is None
        if step is None:
            break
        assert now_s + step.wait_s < deadline_s
        assert 0 <= step.wait_s <= 10.0
        assert step.deployment not in excluded
        now_s += step.wait_s
        if step.kind == "retry":
            assert now_s >= waits_until.get(step.deployment, -math.inf) - 1e-6
        untried = "fallback" if step.deployment in fallbacks else "next"
        assert step.kind == ("retry" if step.deployment in tried else untried)
        tried.append(step.deployment)
    assert all(tried.count(name) <= 1 for name in order[pool:])
    assert all(tried.count(name) <= retries + 1 for name in order[:pool])


BUSY = errors.Overloaded("busy")


@pytest.mark.parametrize("retry_order", ["next_first", "same_first"])
def test_after_no_slot_the_untried_deployments_follow_and_the_full_ones_are_not_retried(
    retry_order: RetryOrder,
) -> None:
    plan = planner("a b c f", 3, retry_order=retry_order)
    assert plan.skip(("a", "b"), BUSY, 0.0, FOREVER_S) == Step("c", "next", 0.0)
    assert names(plan, "c", errors.UpstreamAuthFailed("no")) == ["fallback f"]
    assert planner("a b", 2, retry_order=retry_order).skip(("a", "b"), BUSY, 0.0, FOREVER_S) is None


def test_no_slot_at_the_deadline_ends_the_request() -> None:
    assert planner("a f", 1).skip(("a",), BUSY, 5.0, 5.0) is None
    assert planner("a f", 1).skip(("a",), BUSY, 4.9, 5.0) == Step("f", "fallback", 0.0)


def test_no_slot_is_a_cause_for_fallbacks_for_rate_limits() -> None:
    def plan(cause: FallbackCause) -> AttemptPlanner:
        causes = {"f": frozenset([cause])}
        rounds = Retries(pool_size=1, retries=0, fallbacks=frozenset("f"), causes=causes)
        return AttemptPlanner(["a", "f"], rounds, Backoff(), random.Random(7))

    assert plan("rate_limit").skip(("a",), BUSY, 0.0, FOREVER_S) == Step("f", "fallback", 0.0)
    assert plan("timeout").skip(("a",), BUSY, 0.0, FOREVER_S) is None


def test_full_deployments_are_tried_after_the_others_of_their_kind() -> None:
    plan = planner("a b c d f g", 4, retries=0)
    plan.put_last(["b", "d", "f"])
    assert names(plan, "a") == ["next c", "next b", "next d", "fallback g", "fallback f"]


def test_without_a_slot_the_others_are_retried_as_usual() -> None:
    plan = planner("a b", 2, retries=1)
    assert plan.after("a", down(), 0.0, FOREVER_S) == Step("b", "next", 0.0)
    retry = plan.skip(("b",), BUSY, 0.0, FOREVER_S)
    assert retry is not None
    assert (retry.deployment, retry.kind, retry.wait_s > 0) == ("a", "retry", True)
    plan = planner("a b", 2, retries=1)
    plan.after("a", down(), 0.0, FOREVER_S)
    assert plan.skip(("b",), BUSY, 0.0, 0.1) is None
    same = planner("a b c", 3, retries=1, retry_order="same_first")
    assert same.after("a", down(), 0.0, FOREVER_S) == Step("a", "retry", pytest.approx(0.7, abs=0.3))
    assert same.skip(("a",), BUSY, 0.0, FOREVER_S) == Step("b", "next", 0.0)
    assert same.skip(("b", "c"), BUSY, 0.0, FOREVER_S) is None
