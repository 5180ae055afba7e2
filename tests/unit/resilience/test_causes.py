"""Which rejections lead to another deployment, and to which one."""

import pytest

from intellirouter.core import errors
from intellirouter.resilience import (
    counts_against_deployment,
    fallback_cause,
    is_credential_at_fault,
    is_overload,
    is_rejected_by_deployment,
    may_be_served_elsewhere,
    refusal_status,
    with_same_limit,
)
from tests.support.routing.routes import deployment

OVERFLOW = errors.UpstreamRejected("too long", code="context_length_exceeded")
UNSAFE = errors.UpstreamRejected("unsafe", code="content_filter")


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (OVERFLOW, "context_length"),
        (UNSAFE, "content_policy"),
        (errors.UpstreamRejected("too large", code="request_too_large"), "context_length"),
        (errors.UpstreamTimeout("slow"), "timeout"),
        (errors.UpstreamTimeout("slow", code=errors.CONNECT_TIMEOUT), "timeout"),
        (errors.UpstreamRateLimited("busy"), "rate_limit"),
        (errors.Overloaded("busy"), "rate_limit"),
        (errors.UpstreamAuthFailed("no"), "credential"),
        (errors.UpstreamQuotaExhausted("no"), "credential"),
        (errors.UnsupportedFeature("no"), "unsupported"),
        (errors.UpstreamUnavailable("down"), "error"),
        (errors.UpstreamMalformed("odd"), "error"),
        (errors.ModelLoading("later"), "error"),
    ],
)
def test_every_failure_has_a_cause_for_fallbacks(error: errors.GatewayError, cause: str) -> None:
    assert fallback_cause(error) == cause


def test_only_limits_of_the_deployment_lead_to_another_one() -> None:
    for error in (OVERFLOW, UNSAFE, errors.UpstreamRejected("too large", code="request_too_large")):
        assert may_be_served_elsewhere(error)
        assert is_rejected_by_deployment(error)
    for error in (errors.UpstreamRejected("wrong"), errors.UpstreamRejected("wrong", code="invalid_value")):
        assert not may_be_served_elsewhere(error)
    assert not may_be_served_elsewhere(errors.InvalidRequest("wrong", code="context_length_exceeded"))
    assert may_be_served_elsewhere(errors.UpstreamAuthFailed("no"))
    assert not is_rejected_by_deployment(errors.UpstreamAuthFailed("no", code="content_filter"))


def test_only_errors_about_credential_and_account_are_the_credentials_fault() -> None:
    for kind in (errors.UpstreamAuthFailed, errors.UpstreamQuotaExhausted, errors.UpstreamRateLimited):
        assert is_credential_at_fault(kind("no"))
    for kind in (errors.UpstreamRejected, errors.UpstreamModelMissing, errors.UnsupportedFeature):
        assert not is_credential_at_fault(kind("no"))


def test_only_certain_errors_about_the_credential_start_a_cooldown() -> None:
    explicit = errors.UpstreamAuthFailed("no")
    explicit.is_explicit = True
    assert refusal_status(explicit) == 401
    assert refusal_status(errors.UpstreamAuthFailed("no")) is None
    assert refusal_status(errors.UpstreamQuotaExhausted("empty")) == 402
    assert refusal_status(errors.UpstreamRateLimited("slow")) == 429
    assert refusal_status(errors.UpstreamRejected("wrong")) is None


@pytest.mark.parametrize(
    ("failed_tokens", "others", "same"),
    [
        (8000, {"b": 4000, "c": 8000, "d": 8001, "e": None}, ("b", "c")),
        (None, {"b": 4000}, ()),
    ],
)
def test_context_window_must_be_larger_if_it_is_known(
    failed_tokens: int | None, others: dict[str, int | None], same: tuple[str, ...]
) -> None:
    failed = deployment("a", context_tokens=failed_tokens)
    rest = [deployment(name, context_tokens=tokens) for name, tokens in others.items()]
    assert with_same_limit(OVERFLOW, failed, rest) == same
    assert with_same_limit(UNSAFE, failed, rest) == ()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (errors.UpstreamMalformed("x"), True),
        (errors.UpstreamUnavailable("x"), True),
        (errors.UpstreamOutputInvalid("x"), False),
        (errors.UpstreamRejected("x"), False),
        (errors.UnsupportedFeature("x"), False),
    ],
)
def test_what_a_prompt_can_cause_does_not_count_against_a_deployment(
    error: errors.GatewayError, expected: bool
) -> None:
    assert counts_against_deployment(error) is expected


@pytest.mark.parametrize(
    ("error", "status", "expected"),
    [
        (errors.UpstreamTimeout("slow"), None, True),
        (errors.UpstreamTimeout("slow", code=errors.CONNECT_TIMEOUT), None, False),
        (errors.UpstreamRateLimited("busy"), 429, True),
        (errors.UpstreamRateLimited("busy in 200"), 200, True),
        (errors.UpstreamUnavailable("down"), 503, True),
        (errors.UpstreamUnavailable("down"), 529, True),
        (errors.UpstreamUnavailable("down"), 500, False),
        (errors.UpstreamDisconnected("cut"), None, False),
    ],
)
def test_overloads_are_rate_limits_timeouts_and_their_statuses(
    error: errors.GatewayError, status: int | None, expected: bool
) -> None:
    assert is_overload(error, status) is expected
