"""Lists the models of the configured providers by asking the providers themselves."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from intellirouter.catalog import Catalog
from intellirouter.config import ProviderSpec, Runtime, reference_source
from intellirouter.core import Deployment, Upstream, errors
from intellirouter.providers import VENDORS, DiscoveredModel, RotatingUpstream, UpstreamPool, discover_models
from intellirouter.roles.configuration import check
from intellirouter.roles.price_list import price_list
from intellirouter.roles.startup import discover_here


class ProviderModels(Struct, frozen=True, kw_only=True):
    """The models that one provider listed."""

    provider: str
    vendor: str
    models: tuple[DiscoveredModel, ...] = ()
    problem: str | None = None
    """Why the models could not be listed."""
    is_local: bool = False
    """Whether the gateway itself runs the models. Then they are those of the configuration."""


def list_models(path: Path | None) -> list[ProviderModels]:
    """List the models of every provider in the configuration; without one, of the providers found on this machine.

    Fake providers are left out. Blocks until every provider has responded or failed. Raises `ConfigError`.
    """
    discovered = discover_here().config if path is None else None
    return asyncio.run(_list_all(check(path, discovered=discovered)))


async def _list_all(runtime: Runtime) -> list[ProviderModels]:
    catalog = Catalog(runtime, VENDORS, price_list(runtime))
    remote = [spec for spec in runtime.providers.values() if VENDORS[spec.vendor].transport == "http"]
    local = [spec for spec in runtime.providers.values() if VENDORS[spec.vendor].transport == "host"]
    pool = UpstreamPool(trust=runtime.trust)
    upstream = RotatingUpstream(pool)
    try:
        lists = (_list_one(upstream, catalog.endpoint_of(spec.name), spec.credential_references) for spec in remote)
        return [*await asyncio.gather(*lists), *(_local_models(spec, runtime) for spec in local)]
    finally:
        await pool.close()


def _local_models(spec: ProviderSpec, runtime: Runtime) -> ProviderModels:
    own = (each for each in runtime.deployments.values() if each.provider == spec.name)
    models = tuple(DiscoveredModel(id=each.model, context_tokens=each.context_tokens) for each in own)
    return ProviderModels(provider=spec.name, vendor=spec.vendor, models=models, is_local=True)


async def _list_one(upstream: Upstream, endpoint: Deployment, references: Sequence[str]) -> ProviderModels:
    try:
        models = await discover_models(upstream, endpoint)
    except errors.GatewayError as error:
        # The provider is shown next to the problem.
        problem = error.full_message.removeprefix(f"{endpoint.name}: ")
        if isinstance(error, errors.UpstreamAuthFailed) and references:
            problem += f" The credential came from {' or '.join(map(reference_source, references))}."
        return ProviderModels(provider=endpoint.provider, vendor=endpoint.vendor, problem=problem)
    return ProviderModels(provider=endpoint.provider, vendor=endpoint.vendor, models=models)
