"""What lists of models say about a name: for a pool, what every member has. Pure."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from msgspec import Struct

from intellirouter.core import Deployment, Price

LOCAL_VENDOR: Final = "host"


class ModelFacts(Struct, frozen=True, kw_only=True):
    """A name that clients can call, as lists of models describe it."""

    name: str
    owner: str = "intellirouter"
    """The provider of a single deployment; otherwise the gateway."""
    context_tokens: int | None = None
    """None if unknown."""
    capabilities: frozenset[str] | None = None
    """None if unknown."""
    operations: frozenset[str] | None = None
    """None if unknown."""
    price: Price | None = None
    is_local: bool = False
    """All members run on this machine."""


def shared_context_tokens(members: Iterable[Deployment]) -> int | None:
    """Return the context window that every member has. Members of unknown size are ignored, as by the router."""
    return min((each.context_tokens for each in members if each.context_tokens is not None), default=None)


def shared_capabilities(members: Iterable[Deployment]) -> frozenset[str] | None:
    """Return the capabilities that every member has. Members of unknown ability are ignored, as by the router."""
    return _intersection(each.capabilities for each in members if each.capabilities is not None)


def shared_operations(members: Iterable[Deployment]) -> frozenset[str] | None:
    """Return the operations that every member offers; None if one of them is unknown."""
    offered = [each.operations for each in members]
    return None if None in offered else _intersection(each for each in offered if each is not None)


def _intersection(sets: Iterable[frozenset[str]]) -> frozenset[str] | None:
    found = list(sets)
    return found[0].intersection(*found[1:]) if found else None


def facts_of(name: str, kind: str, pool: tuple[Deployment, ...]) -> ModelFacts:
    """Return the facts of a model with this pool. Fallbacks do not count, because they serve only if the pool fails."""
    return ModelFacts(
        name=name,
        owner=pool[0].provider if kind != "model" and pool else "intellirouter",
        context_tokens=shared_context_tokens(pool),
        capabilities=shared_capabilities(pool),
        operations=shared_operations(pool),
        price=pool[0].price if pool else None,
        is_local=all(each.vendor == LOCAL_VENDOR for each in pool),
    )


class ProviderLists:
    """The models that providers with `models: "*"` have listed. Kept when the configuration reloads."""

    def __init__(self) -> None:
        self._by_provider: dict[str, dict[str, ModelFacts]] = {}
        self.reads = 0
        """How often the lists were read."""

    def replace(self, provider: str, models: Iterable[ModelFacts]) -> None:
        self._by_provider[provider] = {model.name: model for model in models}

    def remove(self, provider: str) -> None:
        self._by_provider.pop(provider, None)

    def count(self, provider: str) -> int:
        return len(self._by_provider.get(provider, ()))

    def find(self, provider: str, name: str) -> ModelFacts | None:
        """Return the facts of `provider/model`."""
        return self._by_provider.get(provider, {}).get(name)

    def of(self, providers: Iterable[str], is_wanted: Callable[[str], bool]) -> Iterator[ModelFacts]:
        """Yield the models of these providers, in the order of their lists, whose names are wanted."""
        self.reads += 1
        for provider in providers:
            for name, model in self._by_provider.get(provider, {}).items():
                if is_wanted(name):
                    yield model
