"""The reason for the deployment that was called last."""

from intellirouter.core import Attempt, AttemptKind, Decision, reason_of

DECISION = Decision(
    model="m", strategy="priority", reason="priority 1; 1 more to try", order=("a", "b"), pool_size=1, candidates=()
)


def attempt(deployment: str, kind: AttemptKind, outcome: str) -> Attempt:
    return Attempt(deployment=deployment, kind=kind, started_ms=0.0, outcome=outcome)


def test_the_first_attempt_has_the_reason_of_the_decision() -> None:
    assert reason_of(DECISION, []) == DECISION.reason
    assert reason_of(DECISION, [attempt("a", "first", "ok")]) == DECISION.reason


def test_a_retry_names_the_failure() -> None:
    attempts = [attempt("a", "first", "rate_limited"), attempt("a", "retry", "ok")]
    assert reason_of(DECISION, attempts) == "retry on a after a failed (rate_limited)"


def test_a_fallback_names_who_failed_and_why() -> None:
    attempts = [
        attempt("a", "first", "upstream_timeout"),
        attempt("c", "fallback", "rate_limited"),
        attempt("a", "retry", "upstream_unavailable"),
        attempt("a", "retry", "upstream_unavailable"),
        attempt("b", "fallback", "ok"),
    ]
    assert reason_of(DECISION, attempts) == (
        "fallback on b after a failed (upstream_timeout, upstream_unavailable); c failed (rate_limited)"
    )
