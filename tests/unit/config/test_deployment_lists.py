"""Lists of deployments in models: names, patterns, fallbacks and their causes."""

import pytest

MODELS = """\
providers: {p: {vendor: fake}, q: {vendor: fake, models: "*"}, r: {vendor: fake}}
deployments: {b: {provider: p, model: bb}, a: {provider: q, model: aa}, c: {provider: p, model: cc}}
models:
"""


@pytest.mark.parametrize(
    ("lists", "deployments", "fallbacks"),
    [
        ('deployments: ["*"]', "bac", ""),
        ('deployments: [c, "*"]', "cba", ""),
        ('deployments: ["p/*"], fallbacks: ["*"]', "bc", "a"),
        ("deployments: [a], fallbacks: [a, c]", "a", "c"),
        ("deployments: [p/cc, c, q/aa]", "ca", ""),
    ],
)
def test_lists_of_deployments_expand_in_file_order(compile_text, lists, deployments, fallbacks):
    model = compile_text(f"{MODELS}  m: {{{lists}}}\n").models["m"]
    assert model.deployments == tuple(deployments)
    assert model.fallbacks == tuple(fallbacks)


def test_fallbacks_may_be_limited_to_causes(compile_text):
    entries = "c, {deployment: q/*, on: [timeout, rate_limit]}, {deployment: q/aa, on: [error]}"
    model = compile_text(f"{MODELS}  m: {{deployments: [b], fallbacks: [{entries}]}}\n").models["m"]
    assert model.fallbacks == ("c", "a")
    assert model.fallback_causes == {"a": {"timeout", "rate_limit", "error"}}


def test_fallback_that_is_also_named_without_causes_is_tried_for_all(compile_text):
    entries = "{deployment: a, on: [timeout]}, a"
    model = compile_text(f"{MODELS}  m: {{deployments: [b], fallbacks: [{entries}]}}\n").models["m"]
    assert (model.fallbacks, model.fallback_causes) == (("a",), {})


@pytest.mark.parametrize(
    ("entry", "path", "message"),
    [
        ("{deployment: a, on: [slow]}", "models.m.fallbacks[0].on[0]", "timeout"),
        ("{deployment: a, when: [timeout]}", "models.m.fallbacks[0].when", "Unknown"),
        ("{on: [timeout]}", "models.m.fallbacks[0].deployment", "required"),
        ("7", "models.m.fallbacks[0]", ""),
    ],
)
def test_wrong_entry_of_a_fallback(compile_problems, entry, path, message):
    (problem,) = compile_problems(f"{MODELS}  m: {{deployments: [b], fallbacks: [{entry}]}}\n")
    assert problem.path == path
    assert message in f"{problem.message} {problem.hint}"


def test_list_may_name_any_model_of_a_wildcard_provider(compile_text):
    runtime = compile_text(f"{MODELS}  m: {{deployments: [q/new-1], fallbacks: [b]}}\n")
    assert runtime.models["m"].deployments == ("q/new-1",)
    spec = runtime.deployments["q/new-1"]
    assert (spec.provider, spec.model, spec.timeouts) == ("q", "new-1", runtime.providers["q"].timeouts)


@pytest.mark.parametrize(
    ("entry", "message", "hint"),
    [
        ("x1", "Unknown deployment `x1`.", "Known deployments are `b`, `a`, `c`."),
        ("p/zz", "Unknown deployment `p/zz`.", 'Set `providers.p.models: "*"`'),
        ("zz/zz", "Unknown deployment `zz/zz`.", "Known deployments are `b`, `a`, `c`."),
        ("'r/*'", "No deployment uses the provider `r`.", "r/MODEL"),
        ("n", "`n` is a model, not a deployment.", "takes deployments"),
    ],
)
def test_unknown_deployment_in_a_model(compile_problems, entry, message, hint):
    (problem,) = compile_problems(
        f"{MODELS}  n: {{deployments: [a]}}\n  m: {{deployments: [a], fallbacks: [b, {entry}]}}\n"
    )
    assert problem.path == "models.m.fallbacks[1]"
    assert message in problem.message
    assert hint in problem.hint
    assert problem.origin.endswith("config.yaml:5")


def test_star_without_deployments_is_an_error(compile_problems):
    assert "`*` matches no deployment." in compile_problems('models: {m: {deployments: ["*"]}}')[0].message


def test_model_hides_deployment_of_the_same_name_with_a_warning_unless_it_uses_it(compile_text):
    runtime = compile_text(f"{MODELS}  a: {{deployments: [b]}}\n  c: {{deployments: [c, b]}}\n")
    assert runtime.models["a"].deployments == ("b",)
    (warning,) = [each for each in runtime.warnings if each.startswith("models.")]
    assert warning.startswith("models.a: The model hides the deployment")
