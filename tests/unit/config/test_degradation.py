"""Degradation ladders and the limit of cost in the configuration."""

from collections.abc import Callable
from typing import Any

import pytest

from intellirouter.config import ConfigError, Runtime
from intellirouter.core import DegradationStep, RefusalPolicy

CompileText = Callable[..., Runtime]

BASE = """
providers: {fake: {vendor: magic}}
deployments: {a: {provider: fake, model: echo}, s: {provider: fake, model: lorem}}
"""


def with_steps(steps: str, more: str = "", of_model: str = "") -> str:
    model = f"{{deployments: [a], {of_model}degradation: {steps}}}"
    return f"{BASE}{more}\nmodels: {{small: {{deployments: [s]}}, m: {model}}}"


def test_steps_of_all_kinds(compile_text: CompileText) -> None:
    runtime = compile_text(
        with_steps(
            "[{shorten_to_tokens: 4000}, {model: small, shorten_to_tokens: 900}, {model: small}, {stale_s: 3600}, "
            "{refuse: {message: 'Sorry.', as_answer: true}}]",
            of_model="cache: exact, ",
        )
    )
    steps = runtime.models["m"].degradation
    assert steps == (
        DegradationStep(max_input_tokens=4000),
        DegradationStep(model="small", max_input_tokens=900),
        DegradationStep(model="small"),
        DegradationStep(stale_s=3600.0),
        DegradationStep(refusal=RefusalPolicy(message="Sorry.", is_answer=True)),
    )
    assert [each.label for each in steps] == ["shorten", "model small, shorten", "model small", "stale", "refuse"]
    assert runtime.warnings == ()
    assert (runtime.cache.stale_if_error_s, runtime.cache.kept_stale_s) == (0.0, 3600.0)
    assert runtime.models["small"].degradation == ()


def test_refusal_has_a_message_and_a_status_by_default(compile_text: CompileText) -> None:
    (step,) = compile_text(with_steps("[{refuse: {}}]")).models["m"].degradation
    assert step.refusal is not None
    assert (step.refusal.status, step.refusal.is_answer) == (503, False)
    assert step.refusal.message.startswith("This model is not available")


@pytest.mark.parametrize(
    ("steps", "path", "message"),
    [
        ("[{}]", "models.m.degradation[0]", "The step does nothing."),
        ("[{model: small, stale_s: 5}]", "models.m.degradation[0]", "The step has several kinds."),
        ("[{stale_s: 5, refuse: {}}]", "models.m.degradation[0]", "The step has several kinds."),
        ("[{refuse: {}}, {stale_s: 5}]", "models.m.degradation[0].refuse", "No step can follow a refusal."),
        ("[{model: m}]", "models.m.degradation[0].model", "A step must name another model."),
        ("[{model: smal}]", "models.m.degradation[0].model", "Unknown model `smal`."),
        ("[{model: s}]", "models.m.degradation[0].model", "`s` is a deployment, not a model."),
    ],
)
def test_steps_that_cannot_work_are_problems(compile_text: CompileText, steps: str, path: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compile_text(with_steps(steps))
    (problem,) = caught.value.problems
    assert (problem.path, problem.message) == (path, message)
    assert problem.hint


def test_unknown_model_gets_a_suggestion(compile_text: CompileText) -> None:
    with pytest.raises(ConfigError, match="Did you mean `small`"):
        compile_text(with_steps("[{model: smal}]"))


@pytest.mark.parametrize("steps", ["[{shorten_to_tokens: 0}]", "[{stale_s: 0}]", "[{refuse: {status: 200}}]", "{}"])
def test_invalid_values_are_refused(compile_text: CompileText, steps: str) -> None:
    with pytest.raises(ConfigError):
        compile_text(with_steps(steps))


@pytest.mark.parametrize(
    ("steps", "path", "text"),
    [
        ("[{stale_s: 5}]", "models.m.degradation[0].stale_s", "`cache` is off for the model"),
        ("[{model: small}, {model: small}]", "models.m.degradation[1]", "an earlier one is the same"),
        (
            "[{refuse: {as_answer: true, status: 529}}]",
            "models.m.degradation[0].refuse.status",
            "because of `as_answer`",
        ),
    ],
)
def test_steps_without_effect_are_warnings(compile_text: CompileText, steps: str, path: str, text: str) -> None:
    (warning,) = compile_text(with_steps(steps)).warnings
    assert warning.startswith(f"{path}: ")
    assert text in warning


@pytest.mark.parametrize(
    ("more", "of_model", "count"),
    [
        ("defaults: {cache: exact}", "", 0),
        ("tenants: {default: {cache: exact}}", "", 0),
        ("defaults: {cache: exact}", "cache: off, ", 1),
    ],
)
def test_stale_answers_need_a_cache(compile_text: CompileText, more: str, of_model: str, count: int) -> None:
    warnings = compile_text(with_steps("[{stale_s: 5}]", more, of_model)).warnings
    assert sum("stale_s" in each for each in warnings) == count


@pytest.mark.parametrize(
    ("defaults", "of_model", "expected"),
    [("", "", None), ("max_cost_usd: 0.5", "", 500_000), ("max_cost_usd: 0.5", "max_cost_usd: 0.02, ", 20_000)],
)
def test_limit_of_cost_is_that_of_the_model_or_the_default(
    compile_text: CompileText, defaults: str, of_model: str, expected: int | None
) -> None:
    runtime = compile_text(with_steps("[]", f"defaults: {{{defaults}}}", of_model))
    assert runtime.models["m"].max_cost_microusd == expected
    default: Any = runtime.default_max_cost_microusd
    assert default == (500_000 if defaults else None)


def test_limit_of_cost_is_not_zero(compile_text: CompileText) -> None:
    with pytest.raises(ConfigError):
        compile_text(with_steps("[]", of_model="max_cost_usd: 0, "))
