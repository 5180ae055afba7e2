"""Compiles the degradation ladders of models, and finds steps that cannot work or have no effect."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Final

from intellirouter.config.degradation_section import DegradationStep as StepEntry
from intellirouter.config.problems import Suggestions, quoted
from intellirouter.config.schema import Config
from intellirouter.config.tree import Path
from intellirouter.core import DegradationStep, RefusalPolicy

_Report = Callable[[Path, str, str], None]
"""Takes the path of a problem, its message and its hint."""
_KINDS: Final = "Set `model`, `shorten_to_tokens`, `stale_s` or `refuse`."


def compile_ladder(config: Config, name: str, report: _Report, suggestions: Suggestions) -> tuple[DegradationStep, ...]:
    """Return the steps of a model. Reports those that cannot work."""
    steps: list[DegradationStep] = []
    entries = config.models[name].degradation
    for index, entry in enumerate(entries):
        path = ("models", name, "degradation", index)
        calls = entry.model is not None or entry.shorten_to_tokens is not None
        if calls + (entry.stale_s is not None) + (entry.refuse is not None) != 1:
            message = "The step has several kinds." if entry.model_fields_set else "The step does nothing."
            report(path, message, f"{_KINDS} Only the first two can be combined.")
            continue
        if entry.refuse is not None and index + 1 < len(entries):
            report((*path, "refuse"), "No step can follow a refusal.", "Move it to the end.")
        if entry.model is not None:
            _check_model(config, name, entry.model, (*path, "model"), report, suggestions)
        steps.append(_step(entry))
    return tuple(steps)


def microusd(amount_usd: Decimal | None) -> int | None:
    """Return an amount in micro-USD, rounded; None for None."""
    return None if amount_usd is None else round(amount_usd * 1_000_000)


def unused_steps(config: Config) -> Iterator[tuple[Path, str]]:
    """Yield path and message of each step that has no effect."""
    for name, entry in config.models.items():
        seen: set[DegradationStep] = set()
        for index, each in enumerate(entry.degradation):
            path = ("models", name, "degradation", index)
            if each.stale_s is not None and not _is_cached(config, name):
                yield (*path, "stale_s"), "This step has no effect, because `cache` is off for the model."
            if each.refuse is not None and each.refuse.as_answer and "status" in each.refuse.model_fields_set:
                text = "It only applies to requests that cannot be answered in words, because of `as_answer`."
                yield (*path, "refuse", "status"), text
            if (step := _step(each)) in seen:
                yield path, "This step has no effect, because an earlier one is the same."
            seen.add(step)


def _step(entry: StepEntry) -> DegradationStep:
    refusal = entry.refuse
    return DegradationStep(
        model=entry.model,
        max_input_tokens=entry.shorten_to_tokens,
        stale_s=entry.stale_s,
        refusal=None
        if refusal is None
        else RefusalPolicy(message=refusal.message, is_answer=refusal.as_answer, status=refusal.status),
    )


def _check_model(config: Config, name: str, model: str, path: Path, report: _Report, suggestions: Suggestions) -> None:
    if model == name:
        report(path, "A step must name another model.", "Use `shorten_to_tokens` to call the same one again.")
    elif model not in config.models and not config.is_invalid("models"):
        if model in config.deployments:
            report(path, f"{quoted(model)} is a deployment, not a model.", "Add it to `fallbacks` instead.")
            return
        hint = suggestions.suggestion(model, [each for each in config.models if each != name], "models")
        report(path, f"Unknown model {quoted(model)}.", hint or "Add it under `models`.")


def _is_cached(config: Config, name: str) -> bool:
    """Return whether some requests for a model can use the cache."""
    if (mode := config.models[name].cache) is not None:
        return mode != "off"
    return config.defaults.cache != "off" or any(each.cache not in {None, "off"} for each in config.tenants.values())
