"""Settings that are valid but that this version does not support: some are problems, the others warnings."""

from collections.abc import Collection, Iterator
from typing import Final
from urllib.parse import urlsplit

from intellirouter.config.schema import Config
from intellirouter.config.tree import Path, format_path

DEFAULT_STRATEGY: Final = "priority"
PLANNED_STRATEGIES: Final = ("adaptive", "balanced", "quality", "throughput", "cascade")
"""Strategies that a configuration may name already. `DEFAULT_STRATEGY` is used until they are implemented."""
_NOT_AVAILABLE: Final = "is not available in this version."
_NOT_ENFORCED: Final = "This setting is not enforced in this version."


def unsupported_settings(config: Config) -> Iterator[tuple[Path, str, str]]:
    """Yield path, message and hint of each setting with which this version cannot run."""
    if config.server.workers > 1:
        yield ("server", "workers"), f"More than one worker {_NOT_AVAILABLE}", "Set `workers: 1`."
    if config.server.role != "monolith":
        message = f"The role `{config.server.role}` {_NOT_AVAILABLE}"
        yield ("server", "role"), message, "Remove this setting, or set `role: monolith`."
    if config.shared_state != "memory":
        yield ("shared_state",), "Only `memory` is available in this version.", "Set `shared_state: memory`."
    if is_postgres(config.store.url):
        yield ("store", "url"), f"PostgreSQL {_NOT_AVAILABLE}", "Set `store: sqlite:///intellirouter.db`."


def is_postgres(url: str) -> bool:
    """Return whether `url` names a PostgreSQL database."""
    return urlsplit(url).scheme.partition("+")[0] in {"postgres", "postgresql"}


def ineffective_settings(config: Config, strategies: Collection[str]) -> tuple[str, ...]:
    """Return a warning for each setting that is accepted and has no effect. `strategies` are those available."""
    return tuple(f"{format_path(path)}: {text}" for path, text in _ineffective(config, strategies))


def _ineffective(config: Config, strategies: Collection[str]) -> Iterator[tuple[Path, str]]:
    yield from _caches(config)
    for name, model in config.models.items():
        if model.strategy not in strategies:
            text = f"The strategy `{model.strategy}` {_NOT_AVAILABLE} `{DEFAULT_STRATEGY}` is used instead."
            yield ("models", name, "strategy"), text
        if model.target_quality is not None:
            yield ("models", name, "target_quality"), _NOT_ENFORCED
        if model.timeouts.model_fields_set:
            text = "This setting has no effect in this version. Set the timeouts of a deployment or a provider instead."
            yield ("models", name, "timeouts"), text
    for name, tenant in config.tenants.items():
        if tenant.tier is not None:
            yield ("tenants", name, "tier"), _NOT_ENFORCED
        if tenant.budget is not None:
            yield ("tenants", name, "budget"), _NOT_ENFORCED
    for index, key in enumerate(config.keys):
        if key.limits is not None:
            yield ("keys", index, "limits"), _NOT_ENFORCED


def _caches(config: Config) -> Iterator[tuple[Path, str]]:
    if config.defaults.cache != "off":
        yield ("defaults", "cache"), _cache_warning(config.defaults.cache)
    for section, entries in (
        ("providers", config.providers),
        ("deployments", config.deployments),
        ("models", config.models),
    ):
        for name, entry in entries.items():
            if entry.cache is not None and entry.cache != "off":
                yield (section, name, "cache"), _cache_warning(entry.cache)


def _cache_warning(mode: str) -> str:
    return f"The cache mode `{mode}` {_NOT_AVAILABLE} Nothing is cached."
