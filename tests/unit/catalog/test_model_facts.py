"""What lists say about a model: for a pool, what every member has."""

from typing import Any

import pytest

from intellirouter.catalog import ModelFacts, ProviderLists
from intellirouter.catalog.model_facts import facts_of
from intellirouter.core import Deployment, Price, UpstreamAddress


def member(name: str = "a", **members: Any) -> Deployment:
    values: dict[str, Any] = {"provider": "p", "vendor": "v", "upstream_model": "m", **members}
    return Deployment(name=name, address=UpstreamAddress(base_url=""), **values)


@pytest.mark.parametrize(
    ("sizes", "shared"), [((128_000, 8_000), 8_000), ((None, 8_000), 8_000), ((None, None), None), ((5,), 5)]
)
def test_the_context_of_a_pool_is_the_smallest(sizes: tuple[int | None, ...], shared: int | None) -> None:
    pool = tuple(member(context_tokens=size) for size in sizes)
    assert facts_of("m", "model", pool).context_tokens == shared


@pytest.mark.parametrize(
    ("sets", "shared"),
    [
        (({"chat", "tools", "vision"}, {"chat", "tools"}), {"chat", "tools"}),
        (({"chat"}, {"embeddings"}), set()),
        ((None, {"chat"}), {"chat"}),
        ((None, None), None),
    ],
)
def test_the_capabilities_of_a_pool_are_those_of_every_member(sets: tuple[Any, ...], shared: set[str] | None) -> None:
    pool = tuple(member(capabilities=None if each is None else frozenset(each)) for each in sets)
    assert facts_of("m", "model", pool).capabilities == shared


@pytest.mark.parametrize(
    ("sets", "shared"),
    [(({"chat", "embeddings"}, {"chat"}), {"chat"}), ((None, {"chat"}), None), ((frozenset({"chat"}),), {"chat"})],
)
def test_the_operations_of_a_pool_are_those_of_every_member(sets: tuple[Any, ...], shared: set[str] | None) -> None:
    pool = tuple(member(operations=None if each is None else frozenset(each)) for each in sets)
    assert facts_of("m", "model", pool).operations == shared


def test_a_single_deployment_belongs_to_its_provider() -> None:
    price = Price(input=1, output=2)
    facts = facts_of("p/m", "deployment", (member(vendor="host", price=price),))
    assert (facts.owner, facts.is_local, facts.price) == ("p", True, price)
    assert facts_of("m", "model", (member(vendor="host"), member())).owner == "intellirouter"
    assert not facts_of("m", "model", (member(vendor="host"), member())).is_local


def test_lists_are_kept_by_provider() -> None:
    lists = ProviderLists()
    lists.replace("p", [ModelFacts(name="p/a"), ModelFacts(name="p/b"), ModelFacts(name="p/a", context_tokens=1)])
    lists.replace("q", [ModelFacts(name="q/a")])
    assert [each.name for each in lists.of(["q", "p", "x"], lambda name: name != "p/b")] == ["q/a", "p/a"]
    assert lists.find("p", "p/a") == ModelFacts(name="p/a", context_tokens=1)
    assert (lists.find("p", "q/a"), lists.find("x", "x/a")) == (None, None)
    assert (lists.count("p"), lists.count("x")) == (2, 0)
    lists.remove("p")
    lists.remove("p")
    assert lists.count("p") == 0
