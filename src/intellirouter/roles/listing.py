"""Which models the configured providers have, asked of the providers themselves."""

import asyncio
from pathlib import Path

from msgspec import Struct

from intellirouter.catalog import Catalog
from intellirouter.config import Runtime, compile_config, load_config
from intellirouter.core import Deployment, errors
from intellirouter.providers import VENDORS, FoundModel, UpstreamPool, discover_models
from intellirouter.roles.price_list import price_list
from intellirouter.roles.startup import check, discover_here
from intellirouter.routing import STRATEGIES


class ProviderModels(Struct, frozen=True, kw_only=True):
    """What one provider said."""

    provider: str
    vendor: str
    models: tuple[FoundModel, ...] = ()
    problem: str | None = None
    """Why there are none."""


def list_models(path: Path | None) -> list[ProviderModels]:
    """Ask every provider of the configuration, or of what this machine offers when there is none.

    Blocks until all have answered or failed. Raises `ConfigError`.
    """
    return asyncio.run(_ask_all(_offered() if path is None else check(path)))


def _offered() -> Runtime:
    loaded = load_config(None, discovered=discover_here().config)
    strategies = [row.name for row in STRATEGIES]
    return compile_config(loaded.config, vendors=VENDORS, strategies=strategies, origins=loaded.origins)


async def _ask_all(runtime: Runtime) -> list[ProviderModels]:
    catalog = Catalog(runtime, VENDORS, price_list(runtime))
    asked = [catalog.endpoint_of(name) for name, spec in runtime.providers.items() if _is_remote(spec.vendor)]
    pool = UpstreamPool()
    try:
        return list(await asyncio.gather(*(_ask(pool, deployment) for deployment in asked)))
    finally:
        await pool.close()


def _is_remote(vendor: str) -> bool:
    return VENDORS[vendor].transport == "http"


async def _ask(pool: UpstreamPool, deployment: Deployment) -> ProviderModels:
    try:
        models = await discover_models(pool, deployment)
    except errors.GatewayError as error:
        problem = f"{error.message} {error.hint}".strip()
        return ProviderModels(provider=deployment.provider, vendor=deployment.vendor, problem=problem)
    return ProviderModels(provider=deployment.provider, vendor=deployment.vendor, models=models)
