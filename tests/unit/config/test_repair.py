"""Problems that are found in the same pass as invalid settings, and complaints that must not follow from them."""

from collections.abc import Callable
from typing import Any

import pytest

from intellirouter.config import InvalidConfig, SecretSources, compile_partly
from tests.unit.config.conftest import STRATEGIES, VENDORS


@pytest.fixture
def paths_of(load: Callable[..., Any]) -> Callable[[str], list[str]]:
    """Return the paths of all problems of a configuration: those of its form, then those of its references."""

    def paths(text: str) -> list[str]:
        problems = []
        try:
            loaded = load(text)
        except InvalidConfig as error:
            loaded, problems = error.valid_part, error.problems
        _, more = compile_partly(loaded.config, VENDORS, STRATEGIES, SecretSources({}), loaded.origins)
        return [each.path for each in (*problems, *more)]

    return paths


OLLAMA = "providers: {p: {vendor: ollama}}\n"


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        # A provider that has a problem is still known to its deployments.
        ("providers: {p: {vendor: nope}}\ndeployments: {d: {provider: p, model: m}}", ["providers.p.vendor"]),
        ("providers: {p: 5}\ndeployments: {d: {provider: p, model: m}}", ["providers.p"]),
        ("providers: {p: {}}\ndeployments: {d: {provider: p, model: m}}", ["providers.p.vendor"]),
        (
            "providers: {p: {vendr: ollama}}\ndeployments: {d: {provider: p, model: m}}",
            ["providers.p.vendor", "providers.p.vendr"],
        ),
        ("providers: {'a b': {vendor: ollama}}\ndeployments: {d: {provider: a b, model: m}}", ['providers."a b"']),
        ("providers: []\ndeployments: {d: {provider: p, model: m}}", ["providers"]),
        # So is a deployment to the models, and a tenant to its keys.
        (OLLAMA + "deployments: {d: {provider: p}}\nmodels: {m: {deployments: [d]}}", ["deployments.d.model"]),
        (OLLAMA + "deployments: {d: 5}\nmodels: {m: {deployments: [d]}}", ["deployments.d"]),
        (OLLAMA + "deployments: 5\nmodels: {m: {deployments: [d, '*', 'p/x', 'p/*']}}", ["deployments"]),
        (
            "tenants: {t: {budget: {window: 5, odd: 1}}}\nkeys: [{key: 'sha256:" + "a" * 64 + "', tenant: t}]",
            ["tenants.t.budget.usd", "tenants.t.budget.window", "tenants.t.budget.odd"],
        ),
        ("tenants: {t: {tier: 5}}\nkeys: [{key: 'sha256:" + "a" * 64 + "', tenant: t}]", ["tenants.t.tier"]),
        ("tenants: {t: 5}\nkeys: [{key: 'sha256:" + "a" * 64 + "', tenant: t}]", ["tenants.t"]),
        # The models of a provider may be known if other problems are solved.
        ("providers: {p: {vendor: nope}}\nmodels: {m: {deployments: [p/x]}}", ["providers.p.vendor"]),
        ("providers: {p: {vendor: ollama, models: 5}}\nmodels: {m: {deployments: [p/x]}}", ["providers.p.models"]),
        (
            OLLAMA + "deployments: {d: {provider: q, model: m}}\nmodels: {m: {deployments: ['p/*', p/m]}}",
            ["deployments.d.provider"],
        ),
        (
            OLLAMA + "deployments: {d: {provider: p, model: 5}}\nmodels: {m: {deployments: [p/x]}}",
            ["deployments.d.model"],
        ),
        # A setting that is removed because it is invalid is not missed as well.
        ("providers: {p: {vendor: openai, credential: hunter2}}", ["providers.p.credential"]),
        ("providers: {p: {vendor: openai, credentials: [hunter2]}}", ["providers.p.credentials[0]"]),
        ("providers: {p: {vendor: openai, api_key: hunter2}}", ["providers.p.api_key"]),
        ("providers: {p: {vendor: openai-compatible, baseurl: 'http://h'}}", ["providers.p.baseurl"]),
        ("providers: {p: {vendor: openai-compatible, base_url: 'ftp://h'}}", ["providers.p.base_url"]),
    ],
)
def test_a_problem_causes_no_follow_up_complaint(paths_of, text: str, paths: list[str]) -> None:
    assert paths_of(text) == paths


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        (
            "providers: {p: {vendor: nope, credential: 'env:NONE', ca_file: /none}}",
            ["providers.p.vendor", "providers.p.ca_file", "providers.p.credential"],
        ),
        (
            "providers: {p: {vendor: openai, retries: 99}}\ndeployments: {d: {provider: p}}",
            ["providers.p.retries", "providers.p.credential", "deployments.d.model"],
        ),
        (
            "providers: {p: {vendor: nope}}\ndeployments: {d: {provider: p}}",
            ["providers.p.vendor", "deployments.d.model"],
        ),
        ("deployments: {d: {provider: q}}", ["deployments.d.provider", "deployments.d.model"]),
        ("deployments: {'d d': {provider: q, model: m}}", ['deployments."d d"', 'deployments."d d".provider']),
        (
            OLLAMA + "deployments: {d: {provider: q, model: m, weight: -1, price: {input_per_1m_usd: x}}}",
            [
                "deployments.d.weight",
                "deployments.d.price.input_per_1m_usd",
                "deployments.d.price.output_per_1m_usd",
                "deployments.d.provider",
            ],
        ),
        (
            OLLAMA + "models: {m: {deployments: [none, 5, p/x], strategy: fast, retries: 99}}",
            ["models.m.deployments[1]", "models.m.retries", "models.m.deployments[0]", "models.m.deployments[2]",
             "models.m.strategy"],
        ),
        (
            OLLAMA + "deployments: {d: {provider: p, price: {input_per_1m_usd: x, odd: 1}}}",
            [
                "deployments.d.price.input_per_1m_usd",
                "deployments.d.price.output_per_1m_usd",
                "deployments.d.price.odd",
                "deployments.d.model",
            ],
        ),
        ("models: {m: {strategy: fast}}", ["models.m.deployments", "models.m.strategy"]),
        (
            "keys: [{key: 'env:NONE', tenant: t, grants: [boss]}, 5, {tenant: u}, {tenant: v, key: 'env:NONE'}]",
            ["keys[0].grants[0]", "keys[1]", "keys[2].key", "keys[0].tenant", "keys[0].key", "keys[2].tenant",
             "keys[3].tenant", "keys[3].key"],
        ),
    ],
)  # fmt: skip
def test_a_problem_hides_no_other_problem(paths_of, text: str, paths: list[str]) -> None:
    assert paths_of(text) == paths


def test_origins_of_further_problems_are_known(load) -> None:
    with pytest.raises(InvalidConfig) as caught:
        load("providers:\n  'a b':\n    vendor: nope\n    retries: 99\n")
    loaded = caught.value.valid_part
    assert loaded is not None
    _, (problem,) = compile_partly(loaded.config, VENDORS, STRATEGIES, SecretSources({}), loaded.origins)
    assert problem.path == 'providers."a b".vendor'
    assert problem.origin.endswith("config.yaml:3")
