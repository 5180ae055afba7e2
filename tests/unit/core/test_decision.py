"""The reason for the deployment that was called last."""

from intellirouter.core import HEDGE_LOST, Attempt, AttemptKind, Decision, reason_of

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


def test_wait_for_a_slot_is_part_of_the_reason() -> None:
    first = attempt("b", "first", "ok")
    first.queued_ms = 119.6
    assert reason_of(DECISION, [first]) == f"{DECISION.reason}; queued 120 ms for a slot of b"
    failed, second = attempt("a", "first", "rate_limited"), attempt("b", "next", "ok")
    second.queued_ms = 5.0
    assert reason_of(DECISION, [failed, second]) == (
        "next deployment b after a failed (rate_limited); queued 5 ms for a slot of b"
    )
    failed.queued_ms, failed.outcome = 7.0, HEDGE_LOST
    lost = attempt("b", "hedge", HEDGE_LOST)
    won = attempt("a", "first", "ok")
    won.queued_ms = 7.0
    assert reason_of(DECISION, [won, lost]) == (
        f"{DECISION.reason}; queued 7 ms for a slot of a; the hedge on b after {lost.started_ms:.0f} ms was slower"
    )
