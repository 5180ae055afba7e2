"""What a valid configuration asks for that this version does not do: said aloud, never passed over."""

from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from intellirouter.config.problems import Problem
from intellirouter.config.schema import IMPLEMENTED_STRATEGIES, Config
from intellirouter.config.tree import Path, format_path

LATER: Final = "is not available in this version"
IDLE: Final = "is not enforced in this version"


def unsupported(config: Config) -> list[Problem]:
    """Return what cannot be run at all; `origin` is left to the caller."""
    problems = []
    if config.server.workers > 1:
        problems.append(Problem("server.workers", f"more than one worker {LATER}", "leave it at 1"))
    if config.shared_state != "memory":
        problems.append(Problem("shared_state", f"anything but memory {LATER}", "write shared_state: memory"))
    scheme = urlsplit(config.store.url).scheme
    if scheme.partition("+")[0] in {"postgres", "postgresql"}:
        hint = "write store: sqlite:///intellirouter.db"
        problems.append(Problem("store.url", f"PostgreSQL {LATER}", hint))
    return problems


def advisories(config: Config) -> tuple[str, ...]:
    """Return one sentence for each setting that was accepted but has no effect."""
    return tuple(f"{format_path(path)}: {text}" for path, text in _ineffective(config))


def _ineffective(config: Config) -> Iterator[tuple[Path, str]]:
    if config.server.role != "monolith":
        yield ("server", "role"), f"{config.server.role} {LATER}; monolith is used"
    yield from _caches(config)
    for name, model in config.models.items():
        if model.strategy not in IMPLEMENTED_STRATEGIES:
            yield ("models", name, "strategy"), f"{model.strategy} {LATER}; priority is used"
        if model.target_quality is not None:
            yield ("models", name, "target_quality"), IDLE
        if model.timeouts.model_fields_set:
            hint = "state the deadlines at a deployment or a provider"
            yield ("models", name, "timeouts"), f"has no effect in this version; {hint}"
    for name, tenant in config.tenants.items():
        if tenant.tier is not None:
            yield ("tenants", name, "tier"), IDLE
        if tenant.budget is not None:
            yield ("tenants", name, "budget"), IDLE
    for index, key in enumerate(config.keys):
        if key.limits is not None:
            yield ("keys", index, "limits"), IDLE


def _caches(config: Config) -> Iterator[tuple[Path, str]]:
    if config.defaults.cache != "off":
        yield ("defaults", "cache"), f"{config.defaults.cache} {LATER}; nothing is cached"
    for section, entries in (
        ("providers", config.providers),
        ("deployments", config.deployments),
        ("models", config.models),
    ):
        for name, entry in entries.items():
            if entry.cache not in {None, "off"}:
                yield (section, name, "cache"), f"{entry.cache} {LATER}; nothing is cached"
