"""Compiles the settings of the response cache, and finds those that have no effect."""

from collections.abc import Iterator

from intellirouter.config.runtime import CacheMode, CacheSpec
from intellirouter.config.schema import Config
from intellirouter.config.tree import Path

_SEMANTIC = "The cache mode `semantic` is not available in this version. `exact` is used instead."


def compile_cache(config: Config) -> CacheSpec:
    """Return the settings of the response cache."""
    cache = config.cache
    modes = [mode for _, mode in _modes(config)]
    return CacheSpec(
        default_mode=config.defaults.cache,
        tenants={name: entry.cache for name, entry in config.tenants.items() if entry.cache is not None},
        is_used=any(mode != "off" for mode in modes),
        max_bytes=cache.max_bytes,
        max_entry_bytes=min(cache.max_entry_bytes, cache.max_bytes // 4),
        ttl_s=cache.ttl_s.model_dump(),
        stale_if_error_s=cache.stale_if_error_s,
        join_window_s=cache.join_window_s,
        tool_calls=cache.tool_calls,
        max_temperature=cache.max_temperature,
    )


def ineffective_cache_settings(config: Config) -> Iterator[tuple[Path, str]]:
    """Yield path and message of each setting of the cache that does not do what it says."""
    modes = list(_modes(config))
    for path, mode in modes:
        if mode == "semantic":
            yield path, _SEMANTIC
    cache = config.cache
    if cache.model_fields_set and all(mode == "off" for _, mode in modes):
        text = "This section has no effect, because `cache` is off in the defaults and for all models and tenants."
        yield ("cache",), text
    elif "max_entry_bytes" in cache.model_fields_set and cache.max_entry_bytes > cache.max_bytes // 4:
        text = f"It is more than a quarter of cache.max_bytes, so {cache.max_bytes // 4} is used instead."
        yield ("cache", "max_entry_bytes"), text


def _modes(config: Config) -> Iterator[tuple[Path, CacheMode]]:
    """Yield every setting that turns the cache on or off."""
    yield ("defaults", "cache"), config.defaults.cache
    for section, entries in (
        ("providers", config.providers),
        ("deployments", config.deployments),
        ("models", config.models),
        ("tenants", config.tenants),
    ):
        for name, entry in entries.items():
            if entry.cache is not None:
                yield (section, name, "cache"), entry.cache
