"""Warnings about configurations that are valid, but hardly what the operator wants."""

from pathlib import Path

import pytest

from intellirouter.config import ConfigError
from intellirouter.roles import check

START = """\
providers:
  lab: {vendor: openai-compatible, base_url: "http://127.0.0.1:9/v1", credentials: []}
  any: {vendor: openai-compatible, base_url: "http://127.0.0.1:9/v1", credentials: [], models: "*"}
  local: {vendor: host}
deployments:
  a: {provider: lab, model: one}
  b: {provider: lab, model: two, price: {input_per_1m_usd: 1, output_per_1m_usd: 1}}
"""


def warnings(tmp_path: Path, text: str, start: str = START) -> list[str]:
    path = tmp_path / "gateway.yaml"
    path.write_text(start + text)
    return list(check(path, resolves_secrets=False).warnings)


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("", ""),
        ("models: {m: {deployments: [b], fallbacks: [a]}}", ""),
        ("models: {m: {deployments: [a], fallbacks: [b, a]}}", "models.m.fallbacks: `a` is a deployment of the model"),
        ("models: {m: {deployments: [b], strategy: cost}}", ""),
        ("models: {m: {deployments: [a], strategy: cost}}", ""),
        ("models: {m: {deployments: [a, b], strategy: cost}}", "models.m.strategy: The price of `a` is unknown"),
        ("models: {m: {deployments: [a, b, any/x], strategy: cost}}", "The prices of `a`, `any/x` are unknown, so"),
        ("models: {m: {deployments: [a, any/x], strategy: cost}}", "`cost` keeps the order of the list."),
        ('keys: [{key: "env:K", models: [a, "any/*", "an*", "any/gpt-?", "*", "[ab]"]}]', ""),
        ('keys: [{key: "env:K", name: k, models: ["gpt-*"]}]', "The pattern `gpt-*` of the key `k` matches no model."),
        ('keys: [{key: "env:K", name: k, models: ["lab/x"]}]', "The pattern `lab/x` of the key `k` matches no model."),
        ("  c: {provider: local, artifact: bundled:smollm2-135m}", ""),
        (
            "  c: {provider: local, artifact: bundled:big}",
            "c.artifact: There is no bundled model `bundled:big`",
        ),
        (
            "  c: {provider: local, artifact: /no/such.gguf}",
            "c.artifact: The file /no/such.gguf does not exist.",
        ),
    ],
)
def test_advice(tmp_path: Path, text: str, warning: str) -> None:
    found = warnings(tmp_path, text)
    assert [each for each in found if warning in each] == found
    assert len(found) == (1 if warning else 0)


FAKE = """\
providers:
  lab: {vendor: openai-compatible, base_url: "http://127.0.0.1:9/v1", credentials: []}
  any: {vendor: openai-compatible, base_url: "http://127.0.0.1:9/v1", credentials: [], models: "*"}
  magic: {vendor: fake}
deployments:
  a: {provider: lab, model: one}
  b: {provider: lab, model: two}
"""


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("  any/gpt: {provider: any, model: gpt}", ""),
        (
            "  any/gpt: {provider: lab, model: gpt-mini}",
            "hides the model `gpt` of the provider `any`, and serves `gpt-mini` of `lab` instead. Rename it.",
        ),
        ("  any/gpt: {provider: any, model: gpt-mini}", "and serves `gpt-mini` of `any` instead. Rename it."),
        ("  lab/one: {provider: lab, model: two}", "deployments.lab/one: The deployment hides the model `one` of the"),
        ("  lab/three: {provider: lab, model: four}", ""),
        ("  nobody/one: {provider: lab, model: one}", ""),
        ("  magic/echo: {provider: magic, model: slow}", "deployments.magic/echo: The deployment hides the model"),
        ("models: {any/gpt: {deployments: [a]}}", ""),
        ("models: {lab/one: {deployments: [b]}}", "models.lab/one: The model hides the model `one` of the provider"),
        ("models: {lab/one: {deployments: [b], fallbacks: [a]}}", ""),
        ("models: {m: {deployments: [a, b]}}", ""),
        ("models: {m: {deployments: [a, a]}}", "models.m.deployments: The list names the deployment `a` more than"),
        ("models: {m: {deployments: [a, b, lab/one]}}", "m.deployments: The list names the deployment `a` more than"),
        ("models: {m: {deployments: [any/x, any/x]}}", "m.deployments: The list names the deployment `any/x` more"),
        ("models: {m: {deployments: [a], fallbacks: [b, b]}}", "models.m.fallbacks: The list names the deployment `b`"),
        ("models: {m: {deployments: [a, lab/*]}}", ""),
        ('models: {m: {deployments: ["*", a]}}', ""),
        ("models: {m: {deployments: [a], fallbacks: [magic/echo, magic/slow-20, magic/fake/lorem]}}", ""),
        (
            "models: {m: {deployments: [a], fallbacks: [magic/ecco]}}",
            "The vendor `fake` has no model `ecco`, so its requests fail with status 404. Did you mean `echo`?",
        ),
        ("  c: {provider: magic, model: gpt-4o}", "The vendor `fake` has no model `gpt-4o`, so its requests fail with"),
    ],
)
def test_advice_about_names(tmp_path: Path, text: str, warning: str) -> None:
    found = warnings(tmp_path, text, FAKE)
    assert [each for each in found if warning in each] == found
    assert len(found) == (1 if warning else 0)


@pytest.mark.parametrize(
    ("text", "way"),
    [
        ("", "run `intellirouter init`"),
        ("# nothing yet\n", "run `intellirouter init`"),
        ("server: {port: 9000}\n", "run `intellirouter init`"),
        ("providers: {o: {vendor: openai}}\n", 'set `models: "*"` in a provider'),
        ("providers: {local: {vendor: host}}\n", "Add a deployment"),
    ],
)
def test_configuration_without_models_is_a_warning(tmp_path: Path, text: str, way: str) -> None:
    [warning] = warnings(tmp_path, text, start="")
    assert warning.startswith("deployments: The configuration offers no model, so every request for one is rejected")
    assert way in warning


@pytest.mark.parametrize("end", ["/v1/chat/completions", "/v1/messages", "/api/chat"])
def test_a_base_url_that_is_an_endpoint(tmp_path: Path, end: str) -> None:
    start = START.replace("127.0.0.1:9/v1", f"127.0.0.1:9{end}", 1)
    [warning] = warnings(tmp_path, "", start)
    assert warning.startswith("providers.lab.base_url: The URL ends in /")


BROKEN = """\
server: {port: 99999}
providers:
  lab: {vendor: openai, credential: "env:NO_SUCH_VARIABLE"}
  odd: {vendr: x}
deployments:
  a: {provider: lab, model: one}
  b: {provider: odd, model: one}
  c: {provider: lob, model: one}
models:
  m: {deployments: [a, z]}
"""


@pytest.mark.parametrize("resolves_secrets", [True, False])
def test_problems_of_form_and_of_names_are_reported_together(tmp_path: Path, resolves_secrets: bool) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(BROKEN)
    with pytest.raises(ConfigError) as caught:
        check(path, resolves_secrets=resolves_secrets)
    paths = {problem.path for problem in caught.value.problems}
    expected = {
        "server.port",
        "providers.odd.vendr",
        "providers.odd.vendor",
        "deployments.c.provider",
        "models.m.deployments[1]",
    }
    assert paths == expected | ({"providers.lab.credential"} if resolves_secrets else set())
