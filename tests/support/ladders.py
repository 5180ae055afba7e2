"""Models with a degradation ladder, for tests of the pipeline in memory."""

from msgspec import structs

from intellirouter.catalog import LadderStep, ResolvedModel
from intellirouter.core import DegradationStep, RefusalPolicy


def with_ladder(model: ResolvedModel, *steps: DegradationStep | tuple[DegradationStep, ResolvedModel]) -> ResolvedModel:
    """Return the model with these steps. A step that names a model comes with it."""
    ladder = []
    for each in steps:
        step, target = (each, model) if isinstance(each, DegradationStep) else each
        calls = step.model is not None or step.max_input_tokens is not None
        limited = structs.replace(
            target,
            max_attempts=model.max_attempts,
            request_timeout_s=model.request_timeout_s,
            max_cost_microusd=model.max_cost_microusd,
        )
        ladder.append(LadderStep(step, limited if calls else None))
    return structs.replace(model, degradation=tuple(ladder))


def to_model(target: ResolvedModel, max_input_tokens: int | None = None) -> tuple[DegradationStep, ResolvedModel]:
    """Return the step to a model, which is called `small`."""
    step = DegradationStep(model="small", max_input_tokens=max_input_tokens)
    return step, structs.replace(target, model="small")


def shorten(max_input_tokens: int) -> DegradationStep:
    return DegradationStep(max_input_tokens=max_input_tokens)


def stale(stale_s: float) -> DegradationStep:
    return DegradationStep(stale_s=stale_s)


def refuse(message: str = "Not now.", *, is_answer: bool = False, status: int = 503) -> DegradationStep:
    return DegradationStep(refusal=RefusalPolicy(message=message, is_answer=is_answer, status=status))
