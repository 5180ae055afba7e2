"""Settings that are valid but that this version does not support: some are problems, the others warnings."""

from collections.abc import Collection, Iterator, Mapping
from typing import Final
from urllib.parse import urlsplit

from intellirouter.config.cache_settings import ineffective_cache_settings
from intellirouter.config.schema import Config
from intellirouter.config.section import Section
from intellirouter.config.tenants_section import Key
from intellirouter.config.timeouts_section import Timeouts
from intellirouter.config.tree import Path, format_path

DEFAULT_STRATEGY: Final = "priority"
PLANNED_STRATEGIES: Final = ("adaptive", "balanced", "quality", "throughput", "cascade")
"""Strategies that a configuration may name already. `DEFAULT_STRATEGY` is used until they are implemented."""
_NOT_AVAILABLE: Final = "is not available in this version."
_NOT_ENFORCED: Final = "This setting is not enforced in this version."
WITHOUT_EFFECT: Final[Mapping[str, str]] = {
    "models.NAME.target_quality": _NOT_ENFORCED,
    "models.NAME.timeouts": "This setting has no effect in this version. Set the timeouts of a deployment or a "
    "provider instead.",
    "tenants.NAME.tier": _NOT_ENFORCED,
    "tenants.NAME.budget": _NOT_ENFORCED,
    "keys[N].limits": _NOT_ENFORCED,
}
"""Settings that are accepted and have no effect, by their path in the reference. The text is the warning."""
_CACHES_OF_MANY: Final = (
    "defaults.cache",
    "tenants.NAME.cache",
)


def reference_note(path: str) -> str:
    """Return what the reference page says about a setting that has no effect yet, or an empty string.

    `path` is a path in the reference, such as `models.NAME.timeouts.idle_s`.
    """
    if path in _CACHES_OF_MANY:
        return "The mode `semantic` has no effect here, because it can only be set for models. `exact` is used instead."
    for known, text in WITHOUT_EFFECT.items():
        if path == known or path.startswith((f"{known}.", f"{known}[")):
            return text
    return ""


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
    yield from ineffective_cache_settings(config)
    for name, model in config.models.items():
        if model.strategy not in strategies:
            text = f"The strategy `{model.strategy}` {_NOT_AVAILABLE} `{DEFAULT_STRATEGY}` is used instead."
            yield ("models", name, "strategy"), text
    for pattern, text in WITHOUT_EFFECT.items():
        yield from ((path, text) for path in _set_at(config, pattern))


def _set_at(config: Config, pattern: str) -> Iterator[Path]:
    """Yield the path of every setting that is set and matches a path of the reference."""
    section, _, name = pattern.replace("[N]", ".NAME").split(".")
    entries: Mapping[str, Section] | list[Key] = getattr(config, section)
    for step, entry in entries.items() if isinstance(entries, Mapping) else enumerate(entries):
        value = getattr(entry, name)
        if value is not None and (not isinstance(value, Timeouts) or value.model_fields_set):
            yield section, step, name
