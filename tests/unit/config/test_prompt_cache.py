"""Whether requests get prompt-cache marks: defaults, provider, deployment."""


def test_prompt_cache_inherits(compile_text):
    text = """
defaults: {prompt_cache: %s}
providers: {p: {vendor: fake, prompt_cache: off}, q: {vendor: fake}, r: {vendor: fake, prompt_cache: auto}}
deployments:
  a: {provider: p, model: x}
  b: {provider: p, model: x, prompt_cache: auto}
  c: {provider: q, model: x}
  d: {provider: r, model: x, prompt_cache: off}
"""
    for default, expected in (("auto", [False, True, True, False]), ("off", [False, True, False, False])):
        runtime = compile_text(text % default)
        assert [runtime.deployments[name].marks_prompt_cache for name in "abcd"] == expected
        assert [runtime.providers[name].marks_prompt_cache for name in "pqr"] == [False, default == "auto", True]


def test_prompt_cache_of_a_deployment_that_only_a_model_names_is_that_of_its_provider(compile_text):
    text = """
providers: {p: {vendor: fake, models: "*", prompt_cache: off}, q: {vendor: fake, models: "*"}}
models: {m: {deployments: [p/x, q/x]}}
"""
    deployments = compile_text(text).deployments
    assert {name: each.marks_prompt_cache for name, each in deployments.items()} == {"p/x": False, "q/x": True}
