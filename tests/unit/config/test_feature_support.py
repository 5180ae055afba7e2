import pytest

from intellirouter.config import compile_config, setting_docs
from tests.unit.config.conftest import STRATEGIES

DEPLOYMENT = """\
providers: {p: {vendor: fake}}
deployments: {a: {provider: p, model: x}}
"""


@pytest.mark.parametrize(
    ("strategy", "hint"),
    [
        ("coast", "Did you mean `cost`?"),
        ("adaptiv", "Did you mean `adaptive`?"),
        ("zzz", f"Known strategies are {', '.join(f'`{name}`' for name in STRATEGIES)}."),
    ],
)
def test_unknown_strategy_gets_a_suggestion(compile_problems, strategy, hint):
    (problem,) = compile_problems(f"{DEPLOYMENT}models: {{m: {{deployments: [a], strategy: {strategy}}}}}\n")
    assert problem.path == "models.m.strategy"
    assert problem.message == f"Unknown strategy `{strategy}`."
    assert problem.hint == hint
    assert problem.origin.endswith("config.yaml:3")


def test_available_strategies_are_those_of_the_caller(load, vendors):
    loaded = load(
        "providers: {p: {vendor: fake}}\ndeployments: {d: {provider: p, model: x}}\n"
        "models: {m: {deployments: [d], strategy: adaptive}}\n"
    )
    runtime = compile_config(loaded.config, vendors=vendors, strategies=("priority", "adaptive"), environ={})
    assert runtime.models["m"].strategy == "adaptive"
    assert runtime.warnings == ()


def test_role_that_is_not_available_is_refused(compile_problems):
    (problem,) = compile_problems("server: {role: router}")
    assert problem.path == "server.role"
    assert problem.message == "The role `router` is not available in this version."
    assert problem.origin.endswith("config.yaml:1")


def test_settings_without_effect_are_warnings(compile_text):
    text = """\
defaults: {cache: semantic}
providers: {p: {vendor: fake}}
deployments: {d: {provider: p, model: x, cache: off}}
models:
  a: {deployments: [d], strategy: adaptive, target_quality: 0.9, timeouts: {idle_s: 1}}
  b: {deployments: [d], strategy: latency}
tenants: {t: {tier: pro, budget: {usd: 5}}}
keys: [{key: "env:K", tenant: t, limits: {concurrency: 1}}]
"""
    runtime = compile_text(text, environ={"K": "k"})
    assert runtime.models["a"].strategy == "priority"
    assert runtime.models["b"].strategy == "latency"
    assert runtime.server.role == "monolith"
    assert [warning.partition(": ")[0] for warning in runtime.warnings] == [
        "defaults.cache",
        "models.a.strategy",
        "models.a.target_quality",
        "models.a.timeouts",
        "tenants.t.tier",
        "tenants.t.budget",
        "keys[0].limits",
    ]
    assert (
        "models.a.strategy: The strategy `adaptive` is not available in this version. `priority` is used instead."
        in (runtime.warnings)
    )


def test_settings_without_effect_are_marked_in_the_reference():
    notes = {doc.path: doc.note or doc.description for doc in setting_docs()}
    for path in (
        "models.NAME.timeouts.idle_s",
        "models.NAME.target_quality",
        "tenants.NAME.budget.usd",
    ):
        assert "in this version" in notes[path]
    for path in ("defaults.cache", "tenants.NAME.cache"):
        assert "`semantic` has no effect here" in notes[path]
    assert "semantic" in notes["models.NAME.cache"]
    assert "in this version" not in notes["providers.NAME.timeouts.idle_s"]
