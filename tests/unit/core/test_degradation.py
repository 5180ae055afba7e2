"""Steps of a degradation ladder: their labels, their results, and the reasons that headers and records show."""

import pytest

from intellirouter.core import Attempt, Decision, Degradation, DegradationStep, RefusalPolicy, StepResult

DECISION = Decision("m", "priority", "priority 1", ("a",), 1, ())
SMALL = DegradationStep(model="small")
STALE = DegradationStep(stale_s=60.0)


def attempts(*outcomes: str) -> list[Attempt]:
    found = [Attempt(deployment="a", kind="retry", started_ms=0.0, outcome=each) for each in outcomes]
    return [*found, Attempt(deployment="s", kind="degraded", started_ms=0.0, outcome="ok")]


@pytest.mark.parametrize(
    ("step", "label"),
    [
        (SMALL, "model small"),
        (DegradationStep(max_input_tokens=5), "shorten"),
        (DegradationStep(model="small", max_input_tokens=5), "model small, shorten"),
        (STALE, "stale"),
        (DegradationStep(refusal=RefusalPolicy(message="No.")), "refuse"),
    ],
)
def test_labels(step: DegradationStep, label: str) -> None:
    assert step.label == label


def test_results_are_those_of_all_steps_in_order() -> None:
    state = Degradation(cause="overloaded")
    state.begin(SMALL)
    state.give_up("failed", "small is down.")
    assert state.results() == (StepResult(step="model small", outcome="failed", reason="small is down."),)
    state.begin(STALE)
    assert state.results()[1:] == (StepResult(step="stale", outcome="taken"),)


def test_reason_of_a_called_model_contains_the_attempts_before() -> None:
    state = Degradation(cause="all_attempts_failed")
    state.begin(SMALL)
    assert state.reason(DECISION, attempts("upstream_timeout", "overloaded")) == (
        "degraded to model small after all_attempts_failed: s after a failed (upstream_timeout, overloaded)"
    )
    assert state.reason(DECISION, attempts()) == "degraded to model small after all_attempts_failed: priority 1"


def test_reason_of_other_steps_contains_all_failures() -> None:
    state = Degradation(cause="overloaded")
    state.begin(STALE)
    failed = attempts("overloaded")[:1]
    assert state.reason(DECISION, failed) == "degraded to stale after overloaded: a failed (overloaded)"
    assert state.reason(None, []) == "degraded to stale after overloaded"


def test_reason_without_a_step_is_that_of_the_attempts() -> None:
    state = Degradation(cause="overloaded")
    assert state.reason(DECISION, []) == "priority 1"
    assert state.reason(None, []) == ""
