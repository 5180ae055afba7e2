"""Degradation ladders of models: what the steps call, and with which limits."""

from typing import Any

from intellirouter.catalog import ResolvedModel
from intellirouter.config import ModelSpec
from intellirouter.core import DegradationStep, HedgingPolicy, RefusalPolicy, Timeouts
from tests.unit.catalog.test_catalog import catalog, spec

TO_SMALL = DegradationStep(model="small")
TO_TINY = DegradationStep(model="tiny")
SHORTEN = DegradationStep(max_input_tokens=900)
STALE = DegradationStep(stale_s=60.0)
REFUSE = DegradationStep(refusal=RefusalPolicy(message="No."))
DEPLOYMENTS = (
    spec("a", timeouts=Timeouts(total_s=10.0)),
    spec("s", timeouts=Timeouts(total_s=20.0)),
    spec("t", timeouts=Timeouts(total_s=40.0)),
)


def model_of(*steps: DegradationStep, **members: Any) -> ResolvedModel:
    models = (
        ModelSpec(name="m", deployments=("a",), degradation=steps, **members),
        ModelSpec(
            name="small", deployments=("s",), fallbacks=("t",), retries=5, degradation=(TO_TINY,), max_attempts=9
        ),
        ModelSpec(name="tiny", deployments=("t",), hedging=HedgingPolicy()),
    )
    found = catalog(*DEPLOYMENTS, models=models).resolve("m")
    assert found is not None
    return found


def test_model_without_a_ladder_reserves_nothing() -> None:
    resolved = model_of()
    assert (resolved.degradation, resolved.reserved_s, resolved.request_timeout_s) == ((), 0.0, 10.0)


def test_step_has_the_deployments_of_its_model_and_the_limits_of_the_requested_one() -> None:
    resolved = model_of(TO_SMALL, max_attempts=4, max_cost_microusd=7, request_timeout_s=30.0, hedging=HedgingPolicy())
    (rung,) = resolved.degradation
    target = rung.resolved
    assert target is not None
    assert (target.model, [each.name for each in target.pool], [each.name for each in target.fallbacks]) == (
        "small",
        ["s"],
        ["t"],
    )
    assert (target.retries, target.max_attempts, target.max_cost_microusd, target.request_timeout_s) == (5, 4, 7, 30.0)
    assert (target.hedging, target.degradation) == (None, ())


def test_time_is_reserved_for_the_steps_that_follow() -> None:
    resolved = model_of(TO_SMALL, SHORTEN, TO_TINY, STALE, REFUSE)
    assert (resolved.request_timeout_s, resolved.reserved_s) == (110.0, 100.0)
    reserved = [each.resolved and each.resolved.reserved_s for each in resolved.degradation]
    assert reserved == [40.0, 40.0, 0.0, None, None]


def test_shortened_conversation_goes_to_the_model_itself() -> None:
    (rung,) = model_of(SHORTEN).degradation
    assert rung.resolved is not None
    assert (rung.resolved.model, [each.name for each in rung.resolved.pool]) == ("m", ["a"])
