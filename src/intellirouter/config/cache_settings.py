"""Compiles the settings of the response cache, and finds those that have no effect."""

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Final

from intellirouter.config.redis_settings import Report, compile_redis
from intellirouter.config.runtime import CacheMode, CacheSpec, SemanticSpec
from intellirouter.config.schema import Config
from intellirouter.config.secret_references import SecretSources
from intellirouter.config.tree import Path

_FOR_MODELS_ONLY: Final = "The cache mode `semantic` can only be set for models. `exact` is used instead."
_NOT_INSTALLED: Final = (
    "The cache mode `semantic` needs packages that are not installed. `exact` is used instead. Install "
    "them with pip install 'intellirouter[semantic]'."
)
_PACKAGES: Final = ("wordllama", "numpy", "safetensors", "tokenizers")
"""What the extra `semantic` installs."""
_SECTIONS_WITHOUT_SEMANTIC: Final = frozenset({"defaults", "tenants"})


def compile_cache(config: Config, sources: SecretSources, report: Report) -> CacheSpec:
    """Return the settings of the response cache, and report every problem."""
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
        kept_stale_s=max([cache.stale_if_error_s, *_stale_steps(config)]),
        join_window_s=cache.join_window_s,
        tool_calls=cache.tool_calls,
        max_temperature=cache.max_temperature,
        redis=compile_redis(cache, sources, report),
        max_replay_s=cache.max_replay_s if cache.replay == "original" else None,
        semantic=SemanticSpec(**cache.semantic.model_dump()) if _is_semantic_used(config) else None,
    )


def _stale_steps(config: Config) -> Iterator[float]:
    """Yield for how long models may use expired answers because of their degradation ladders."""
    for entry in config.models.values():
        yield from [step.stale_s for step in entry.degradation if step.stale_s is not None]


def ineffective_cache_settings(config: Config) -> Iterator[tuple[Path, str]]:
    """Yield path and message of each setting of the cache that does not do what it says."""
    modes = list(_modes(config))
    for path, mode in modes:
        if mode == "semantic" and path[0] in _SECTIONS_WITHOUT_SEMANTIC:
            yield path, _FOR_MODELS_ONLY
        elif mode == "semantic" and not is_semantic_installed():
            yield path, _NOT_INSTALLED
    cache = config.cache
    if cache.model_fields_set and all(mode == "off" for _, mode in modes):
        text = "This section has no effect, because `cache` is off in the defaults and for all models and tenants."
        yield ("cache",), text
    elif "max_entry_bytes" in cache.model_fields_set and cache.max_entry_bytes > cache.max_bytes // 4:
        text = f"It is more than a quarter of cache.max_bytes, so {cache.max_bytes // 4} is used instead."
        yield ("cache", "max_entry_bytes"), text
    if cache.redis.model_fields_set and cache.backend != "redis":
        yield ("cache", "redis"), "This section has no effect, because `cache.backend` is not redis."
    if "max_replay_s" in cache.model_fields_set and cache.replay != "original":
        yield ("cache", "max_replay_s"), "It has no effect, because `cache.replay` is not original."
    if cache.semantic.model_fields_set and "semantic" not in _modes_of_models(config):
        yield ("cache", "semantic"), "This section has no effect, because no model has `cache: semantic`."


def is_semantic_installed() -> bool:
    """Return whether the packages of the extra `semantic` are installed. They are not imported."""
    return all(find_spec(name) is not None for name in _PACKAGES)


def _is_semantic_used(config: Config) -> bool:
    """Return whether the mode `semantic` is set where it has an effect, and can be used."""
    return "semantic" in _modes_of_models(config) and is_semantic_installed()


def _modes_of_models(config: Config) -> set[CacheMode]:
    """Return the modes that are set for models, and for deployments that can be requested like models."""
    return {mode for path, mode in _modes(config) if path[0] not in _SECTIONS_WITHOUT_SEMANTIC}


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
