"""Which streams are continued, and by whom."""

import pytest

from intellirouter.core import HEDGE_LOST, Attempt, FallbackCause, errors
from intellirouter.resilience import continuation_order, may_be_continued


def attempts(*outcomes: tuple[str, str]) -> list[Attempt]:
    return [Attempt(deployment=name, kind="first", started_ms=0.0, outcome=outcome) for name, outcome in outcomes]


@pytest.mark.parametrize(
    ("made", "broken", "order"),
    [
        ([("a", "upstream_disconnected")], "a", ["b", "c", "a"]),
        ([("a", "upstream_unavailable"), ("b", "upstream_timeout")], "b", ["c", "b"]),
        ([("a", "upstream_timeout"), ("b", HEDGE_LOST)], "a", ["b", "c", "a"]),
        ([("a", HEDGE_LOST), ("b", "upstream_timeout")], "b", ["a", "c", "b"]),
        ([(name, "upstream_timeout") for name in "abc"], "c", ["c"]),
    ],
)
def test_others_are_asked_before_the_deployment_that_has_broken_off(
    made: list[tuple[str, str]], broken: str, order: list[str]
) -> None:
    assert continuation_order("abc", attempts(*made), broken, "timeout", {}) == order


def test_fallbacks_are_asked_for_their_causes_only() -> None:
    causes: dict[str, frozenset[FallbackCause]] = {"b": frozenset({"rate_limit"}), "c": frozenset({"timeout", "error"})}
    made = attempts(("a", "upstream_timeout"))
    assert continuation_order("abc", made, "a", "timeout", causes) == ["c", "a"]
    assert continuation_order("abc", made, "a", "rate_limit", causes) == ["b", "a"]


@pytest.mark.parametrize(
    ("error", "is_continued"),
    [
        (errors.UpstreamDisconnected("x"), True),
        (errors.UpstreamTimeout("x"), True),
        (errors.UpstreamUnavailable("x"), True),
        (errors.UpstreamRateLimited("x"), True),
        (errors.UpstreamMalformed("x"), True),
        (errors.HostError("x"), True),
        (errors.UpstreamOutputInvalid("x"), False),
        (errors.UpstreamAnswerTooLarge("x"), False),
        (errors.UpstreamRejected("x"), False),
        (errors.AnswerBufferFull("x"), False),
        (errors.InternalError("x"), False),
    ],
)
def test_only_failures_that_another_attempt_can_avoid_are_continued(
    error: errors.GatewayError, is_continued: bool
) -> None:
    assert may_be_continued(error) is is_continued
