"""Names and what stands behind them."""

from typing import Any

import pytest

from intellirouter.catalog import Catalog, PriceEntry, ResolvedModel, profile_of
from intellirouter.config import DeploymentSpec, ModelSpec, ProviderSpec, Runtime, ServerSpec, StoreSpec
from intellirouter.core import UNKNOWN_PROFILE, Price, Secret, Timeouts, VendorRow

LISTED = Price(input=5, output=6, version="list")
STATED = Price(input=1, output=2)
VENDORS = {
    row.name: row
    for row in (
        VendorRow(name="acme", title="Acme", base_url="https://acme.example/v1", price_provider="acme"),
        VendorRow(name="own", title="Own", base_url="http://127.0.0.1:1/v1", is_free=True, price_provider="acme"),
        VendorRow(name="fake", title="Fake", transport="fake", dialects=("other",)),
    )
}


class Prices:
    def lookup(self, price_provider: str, model: str) -> PriceEntry | None:
        if (price_provider, model) == ("acme", "listed"):
            can = frozenset({"chat", "vision"})
            return PriceEntry(model_id="listed", price=LISTED, context_tokens=1000, capabilities=can)
        if (price_provider, model) == ("acme", "unpriced"):
            return PriceEntry(model_id="unpriced", price=None, context_tokens=None)
        return None


def spec(name: str, provider: str = "main", model: str = "listed", **members: Any) -> DeploymentSpec:
    return DeploymentSpec(name=name, provider=provider, model=model, **members)


def catalog(*specs: DeploymentSpec, models: tuple[ModelSpec, ...] = (), **provider: Any) -> Catalog:
    providers = {
        "main": ProviderSpec(name="main", vendor="acme", **provider),
        "open": ProviderSpec(name="open", vendor="acme", allows_any_model=True, timeouts=Timeouts(total_s=9)),
        "home": ProviderSpec(name="home", vendor="own"),
        "magic": ProviderSpec(name="magic", vendor="fake", allows_any_model=True),
    }
    runtime = Runtime(
        server=ServerSpec(),
        auth_required=False,
        store=StoreSpec(url="sqlite://", spool_dir="spool"),
        providers=providers,
        deployments={each.name: each for each in specs},
        models={each.name: each for each in models},
        default_retries=5,
    )
    return Catalog(runtime, VENDORS, Prices())


def found(names: Catalog, model: str) -> ResolvedModel:
    target = names.resolve(model)
    assert target is not None
    return target


def test_model_resolves_to_its_pool_and_fallbacks() -> None:
    model = ModelSpec(name="chat", deployments=("b", "a"), fallbacks=("c",), strategy="cost", retries=1)
    names = catalog(spec("a"), spec("b"), spec("c"), models=(model,))
    target = found(names, "chat")
    assert (target.model, target.kind, target.strategy, target.retries) == ("chat", "model", "cost", 1)
    assert [each.name for each in target.pool] == ["b", "a"]
    assert [each.name for each in target.fallbacks] == ["c"]
    assert target.by_name == {each.name: each for each in (*target.pool, *target.fallbacks)}
    assert target.pool[1] is names.deployments["a"]


@pytest.mark.parametrize(("retries", "expected"), [(None, 5), (0, 0), (3, 3)])
def test_deployment_can_be_called_by_its_name(retries: int | None, expected: int) -> None:
    target = found(catalog(spec("a", retries=retries)), "a")
    assert (target.kind, target.strategy, target.retries, target.fallbacks) == ("deployment", "priority", expected, ())
    assert list(target.by_name) == ["a"]


def test_deployment_can_be_called_as_provider_and_model() -> None:
    target = found(catalog(spec("a")), "main/listed")
    assert (target.model, target.kind) == ("main/listed", "deployment")
    assert target.pool[0].name == "a"


def test_models_precede_deployments_which_precede_provider_and_model() -> None:
    names = catalog(
        spec("x", model="one"),
        spec("y"),
        spec("main/one", model="two"),
        models=(ModelSpec(name="x", deployments=("y",)),),
    )
    assert found(names, "x").pool[0].name == "y"
    assert found(names, "main/one").pool[0].name == "main/one"
    assert list(names.resolved_models) == ["x", "y", "main/one", "main/listed", "main/two"]


def test_first_of_two_deployments_of_an_upstream_model_has_its_name() -> None:
    assert found(catalog(spec("a"), spec("b")), "main/listed").pool[0].name == "a"


def test_wildcard_provider_accepts_any_model() -> None:
    names = catalog()
    target = found(names, "open/some/model:1")
    assert (target.model, target.kind, target.retries) == ("open/some/model:1", "wildcard", 5)
    deployment = target.pool[0]
    assert (deployment.name, deployment.provider, deployment.upstream_model) == (
        "open/some/model:1",
        "open",
        "some/model:1",
    )
    assert deployment.timeouts.total_s == 9
    assert found(names, "open/some/model:1") is target
    assert "open/some/model:1" not in names.resolved_models
    assert found(names, "magic/echo").pool[0].dialects == ("other",)
    assert names.wildcard_providers == ("open", "magic")


@pytest.mark.parametrize("model", ["", "nothing", "open", "open/", "/x", "main/other", "nobody/x", "OPEN/x"])
def test_unknown_name_resolves_to_none(model: str) -> None:
    assert catalog(spec("a")).resolve(model) is None


def test_cached_wildcards_are_bounded_and_the_oldest_is_dropped_first() -> None:
    names = catalog()
    first, second = found(names, "open/first"), found(names, "open/second")
    for number in range(1023):
        found(names, f"open/{number}")
    assert found(names, "open/second") is second
    assert found(names, "open/first") is not first
    assert len(names._wildcards) == 1024


@pytest.mark.parametrize(
    ("made", "price", "context_tokens"),
    [
        (spec("d"), LISTED, 1000),
        (spec("d", price=STATED, context_tokens=7), STATED, 7),
        (spec("d", model="unpriced"), None, None),
        (spec("d", model="new"), None, None),
        (spec("d", provider="magic"), None, None),
    ],
)
def test_price_and_context_come_from_the_configuration_or_the_list(
    made: DeploymentSpec, price: Price | None, context_tokens: int | None
) -> None:
    deployment = catalog(made).deployments["d"]
    assert (deployment.price, deployment.context_tokens) == (price, context_tokens)


def test_models_on_own_hardware_are_free_whatever_the_list_contains() -> None:
    price = catalog(spec("d", provider="home")).deployments["d"].price
    assert price is not None
    assert (price.input, price.output, price.version) == (0, 0, "own hardware")
    assert catalog(spec("d", provider="home", price=STATED)).deployments["d"].price == STATED


def test_deployment_contains_what_its_attempts_need() -> None:
    made = spec(
        "d", weight=2.0, region="eu", capabilities=frozenset({"tools"}), timeouts=Timeouts(connect_s=1), artifact="w"
    )
    deployment = catalog(
        made,
        base_url="http://proxy/v1",
        uds="/run/x.sock",
        credentials=(Secret("s"),),
        headers=(("a", "b"),),
        ca_file="ca.pem",
        max_connections=3,
    ).deployments["d"]
    assert (deployment.vendor, deployment.weight, deployment.region, deployment.artifact) == ("acme", 2.0, "eu", "w")
    assert (deployment.capabilities, deployment.timeouts.connect_s) == ({"tools"}, 1)
    assert (deployment.credentials, deployment.max_connections) == ((Secret("s"),), 3)
    endpoint = deployment.address
    assert (endpoint.base_url, endpoint.uds, endpoint.ca_file) == ("http://proxy/v1", "/run/x.sock", "ca.pem")
    assert endpoint.headers == (("a", "b"),)


def test_address_is_that_of_the_provider_or_of_the_vendor() -> None:
    assert catalog(spec("d")).deployments["d"].address.base_url == "https://acme.example/v1"
    assert catalog(spec("d", provider="magic")).deployments["d"].address.base_url == ""


@pytest.mark.parametrize(
    ("provider", "base_url", "dialects"),
    [
        ({}, "https://acme.example/v1", ("openai_chat",)),
        ({"dialect": "anthropic_messages"}, "https://acme.example", ("anthropic_messages",)),
        ({"dialect": "ollama", "base_url": "http://box:11434/v1"}, "http://box:11434", ("ollama",)),
        ({"dialect": "ollama", "base_url": "http://box:11434"}, "http://box:11434", ("ollama",)),
        ({"dialect": "gemini", "base_url": "https://g/v1beta/openai"}, "https://g/v1beta", ("gemini",)),
        ({"dialect": "openai_responses"}, "https://acme.example/v1", ("openai_responses",)),
    ],
)
def test_address_ends_where_the_paths_of_the_dialect_start(
    provider: dict[str, Any], base_url: str, dialects: tuple[str, ...]
) -> None:
    deployment = catalog(spec("a"), **provider).deployments["a"]
    assert (deployment.address.base_url, deployment.dialects) == (base_url, dialects)


def test_every_deployment_has_the_profile_of_its_model() -> None:
    names = catalog(spec("a", model="gemini-2.5-pro"), dialect="gemini", allows_any_model=True)
    assert names.deployments["a"].profile == profile_of(("gemini",), "acme", "gemini-2.5-pro")
    assert names.deployments["a"].profile.min_reasoning_tokens == 128
    assert found(names, "main/gemini-3-pro").pool[0].profile.reasoning == "level"
    assert names.endpoint_of("main").profile == UNKNOWN_PROFILE


def test_provider_overrides_the_auth_scheme_and_the_region_of_its_vendor() -> None:
    stated = catalog(spec("a"), spec("b", region="eu"), auth="api-key", region="us").deployments
    assert (stated["a"].auth, stated["a"].region, stated["b"].region) == ("api-key", "us", "eu")
    plain = catalog(spec("a")).deployments["a"]
    assert (plain.auth, plain.region, plain.operations) == ("bearer", None, None)


def test_capabilities_come_from_the_list_unless_they_are_configured() -> None:
    made = catalog(
        DeploymentSpec(name="a", provider="main", model="listed"),
        DeploymentSpec(name="b", provider="main", model="listed", capabilities=frozenset({"chat"})),
        DeploymentSpec(name="c", provider="main", model="unpriced"),
        DeploymentSpec(name="d", provider="main", model="nobody-knows"),
    ).deployments
    assert [made[name].capabilities for name in "abcd"] == [{"chat", "vision"}, {"chat"}, None, None]


def listing(*names: str) -> Catalog:
    """Return a catalog whose provider `open` has listed these models."""
    models = ModelSpec(name="m", deployments=("small", "own"))
    own = catalog(spec("small", context_tokens=10), spec("own", "open", "own"), models=(models,))
    lists = own._lists
    lists.replace("open", [own.describe("open", name, size) for name, size in zip(names, (None, 7), strict=False)])
    return own


def test_lists_contain_configured_names_and_those_that_a_wildcard_provider_has_listed() -> None:
    names = listing("listed", "other")
    found = names.listed_models(lambda _: True)
    assert [each.name for each in found] == [
        "m",
        "small",
        "own",
        "main/listed",
        "open/own",
        "open/listed",
        "open/other",
    ]
    by_name = {each.name: each for each in found}
    assert by_name["m"].context_tokens == 10
    assert (by_name["open/listed"].context_tokens, by_name["open/listed"].price) == (1000, LISTED)
    assert (by_name["open/other"].context_tokens, by_name["open/other"].owner) == (7, "open")


def test_lists_contain_a_configured_name_once() -> None:
    assert [each.name for each in listing("own").listed_models(lambda name: "/" in name)] == ["main/listed", "open/own"]


def test_lists_contain_only_what_the_caller_may_use() -> None:
    found = listing("listed", "other").listed_models(lambda name: name.startswith("open/l"))
    assert [each.name for each in found] == ["open/listed"]


@pytest.mark.parametrize(
    ("name", "size"), [("m", 10), ("open/other", 7), ("open/listed", 1000), ("open/unlisted", None), ("open/own", None)]
)
def test_a_single_name_has_the_facts_of_the_list(name: str, size: int | None) -> None:
    facts = listing("listed", "other").facts_of(name)
    assert facts is not None
    assert (facts.name, facts.context_tokens) == (name, size)


def test_a_name_that_stands_for_nothing_has_no_facts() -> None:
    names = listing("listed")
    names._lists.replace("gone", [names.describe("open", "x", None)])
    assert names.facts_of("main/unlisted") is None
    assert names.facts_of("gone/x") is None
