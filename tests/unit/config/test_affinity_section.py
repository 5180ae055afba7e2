"""The settings of affinity: modes, inheritance, and those that have no effect."""

from typing import Any

import pytest

from intellirouter.config import ConfigError
from intellirouter.core import AffinityPolicy

BASE = """
providers: {fake: {vendor: fake}, two: {vendor: groq, credentials: ["env:A", "env:B"]}}
deployments:
  a: {provider: fake, model: echo}
  b: {provider: fake, model: echo}
  t: {provider: two, model: x}
"""
ENVIRONMENT = {"A": "gsk-a", "B": "gsk-b"}


def test_it_is_on_by_default(compile_text: Any) -> None:
    runtime = compile_text(BASE + "models: {m: {deployments: [a, b]}}", environ=ENVIRONMENT)
    assert runtime.models["m"].affinity == runtime.default_affinity == AffinityPolicy()


@pytest.mark.parametrize(
    ("default", "own", "expected"),
    [
        ("off", "", None),
        ("{mode: off}", "", None),
        ("session", "", AffinityPolicy(recognizes_prompts=False)),
        ("auto", "off", None),
        ("off", "auto", AffinityPolicy()),
        ("{ttl_s: 60}", "{max_extra_load: 0.5}", AffinityPolicy(ttl_s=60.0, max_extra_load=0.5)),
        ("{ttl_s: 60, mode: session}", "{ttl_s: 3600}", AffinityPolicy(recognizes_prompts=False, ttl_s=3600.0)),
        ("{ttl_s: 60}", "session", AffinityPolicy(recognizes_prompts=False, ttl_s=60.0)),
        ("'off'", "true", AffinityPolicy()),
    ],
)
def test_nearest_setting_applies(compile_text: Any, default: str, own: str, expected: AffinityPolicy | None) -> None:
    own = f", affinity: {own}" if own else ""
    text = f"{BASE}defaults: {{affinity: {default}}}\nmodels: {{m: {{deployments: [a, b], strategy: cost{own}}}}}"
    assert compile_text(text, environ=ENVIRONMENT).models["m"].affinity == expected


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("sticky", "affinity"),
        ("{ttl_s: 0}", "ttl_s"),
        ("{max_extra_load: -1}", "max_extra_load"),
        ("{modes: off}", "mode"),
    ],
)
def test_invalid_settings_are_refused(compile_text: Any, value: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compile_text(f"{BASE}defaults: {{affinity: {value}}}", environ=ENVIRONMENT)
    assert any(message in str(problem) for problem in caught.value.problems)


@pytest.mark.parametrize(
    ("model", "warning"),
    [
        ("{deployments: [a], affinity: auto}", "the model has one deployment with one credential"),
        ("{deployments: [a, b], affinity: {ttl_s: 9}}", "the strategy priority has a fixed order"),
        ("{deployments: [a, b], strategy: cost, affinity: auto}", ""),
        ("{deployments: [t], affinity: auto}", ""),
        ("{deployments: [a], affinity: off}", ""),
        ("{deployments: [a]}", ""),
    ],
)
def test_model_without_a_choice_gets_a_warning(compile_text: Any, model: str, warning: str) -> None:
    warnings = [
        each
        for each in compile_text(f"{BASE}models: {{m: {model}}}", environ=ENVIRONMENT).warnings
        if "affinity" in each
    ]
    assert [warning in each for each in warnings] == ([True] if warning else [])
