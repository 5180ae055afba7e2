"""The retry policy of background work: which errors are retried, and how long it waits."""

import random

import pytest

from intellirouter.core import errors
from intellirouter.resilience import Backoff, RetryPolicy

RNG = random.Random(1)
POLICY = RetryPolicy(max_tries=6, backoff=Backoff(0.001, 0.002), max_wait_s=300.0)


@pytest.mark.parametrize(
    ("error", "is_retried"),
    [
        (errors.UpstreamRateLimited("x"), True),
        (errors.UpstreamDisconnected("x"), True),
        (errors.AllAttemptsFailed("x"), True),
        (errors.ModelLoading("x"), True),
        (errors.Overloaded("x"), True),
        (errors.Refused("x"), True),
        (errors.NoEligibleDeployment("x"), True),
        (errors.UpstreamQuotaExhausted("x"), False),
        (errors.UpstreamAuthFailed("x"), False),
        (errors.InvalidRequest("x"), False),
        (errors.InternalError("x"), False),
    ],
)
def test_only_transient_errors_are_retried(error: errors.GatewayError, is_retried: bool) -> None:
    assert (POLICY.wait_s(error, 1, RNG) is not None) == is_retried
    assert (POLICY.wait_s(error, 5, RNG) is not None) == is_retried
    assert POLICY.wait_s(error, 6, RNG) is None


def test_wait_follows_retry_after_up_to_a_maximum() -> None:
    assert POLICY.wait_s(errors.UpstreamRateLimited("x", retry_after_s=7.0), 1, RNG) == 7.0
    assert POLICY.wait_s(errors.UpstreamRateLimited("x", retry_after_s=9e9), 1, RNG) == 300.0
    wait_s = POLICY.wait_s(errors.UpstreamRateLimited("x"), 1, RNG)
    assert wait_s is not None
    assert 0.0005 <= wait_s <= 0.001


def test_wait_grows_with_each_try() -> None:
    policy = RetryPolicy(max_tries=9, backoff=Backoff(1.0, 8.0), max_wait_s=300.0)
    waits = [policy.wait_s(errors.UpstreamTimeout("x"), tries, RNG) or 0.0 for tries in range(1, 6)]
    assert all(low <= wait <= 2 * low for low, wait in zip((0.5, 1.0, 2.0, 4.0, 4.0), waits, strict=True))
