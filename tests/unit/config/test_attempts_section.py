"""The settings of attempts, and how they are inherited."""

from typing import Any


def test_limit_of_attempts_inherits(compile_text: Any) -> None:
    runtime = compile_text("""
defaults: {max_attempts: 5}
providers: {fake: {vendor: fake}}
deployments: {a: {provider: fake, model: echo}}
models: {m: {deployments: [a]}, n: {deployments: [a], max_attempts: 1}}
""")
    assert [runtime.models[name].max_attempts for name in "mn"] == [5, 1]
    assert runtime.default_max_attempts == 5
