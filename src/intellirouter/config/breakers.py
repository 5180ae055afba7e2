"""Compiles the settings of circuit breakers and pools: the nearest setting of each kind applies."""

from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import structs

from intellirouter.config.breaker_section import Breaker, DefaultBreaker, DefaultPool, Pool
from intellirouter.config.runtime import DeploymentSpec, ModelSpec
from intellirouter.config.schema import Config
from intellirouter.config.tree import format_path
from intellirouter.core import DEFAULT_BREAKER, DEFAULT_POOL, BreakerPolicy, PoolPolicy

_ENABLED: Final = "enabled"


def inherit_breaker(entry: Breaker | DefaultBreaker, base: BreakerPolicy = DEFAULT_BREAKER) -> BreakerPolicy:
    """Return `base` with the settings of `entry`."""
    values = entry.model_dump(exclude_none=True)
    if _ENABLED in values:
        values["is_enabled"] = values.pop(_ENABLED)
    return structs.replace(base, **values)


def inherit_pool(entry: Pool | DefaultPool, base: PoolPolicy = DEFAULT_POOL) -> PoolPolicy:
    """Return `base` with the settings of `entry`."""
    return structs.replace(base, **entry.model_dump(exclude_none=True))


def with_breakers(
    config: Config, deployments: Mapping[str, DeploymentSpec], models: Mapping[str, ModelSpec]
) -> dict[str, DeploymentSpec]:
    """Return the deployments with the settings of their circuit breakers.

    A deployment has one circuit breaker, so if several models with settings have it, those of the first one apply.
    """
    default = inherit_breaker(config.defaults.breaker)
    users = _users(config, models)
    compiled = {}
    for name, spec in deployments.items():
        policy = default
        if name in users:
            policy = inherit_breaker(config.models[users[name][0]].breaker, policy)
        if (entry := config.deployments.get(name)) is not None:
            policy = inherit_breaker(entry.breaker, policy)
        compiled[name] = spec if policy == spec.breaker else structs.replace(spec, breaker=policy)
    return compiled


def breaker_warnings(config: Config, models: Mapping[str, ModelSpec]) -> Iterator[str]:
    """Yield a warning for each setting of a circuit breaker that has no effect, because of another one."""
    default = inherit_breaker(config.defaults.breaker)
    if default.open_s > default.max_open_s:
        yield _too_long("defaults")
    for section, entries in (("models", config.models), ("deployments", config.deployments)):
        for name, entry in entries.items():
            policy = inherit_breaker(entry.breaker, default)
            if {"open_s", "max_open_s"} & entry.breaker.model_fields_set and policy.open_s > policy.max_open_s:
                yield _too_long(section, name)
    for deployment, (first, *others) in _users(config, models).items():
        for each in others:
            own = inherit_breaker(config.models[each].breaker, default)
            if own != inherit_breaker(config.models[first].breaker, default):
                yield (
                    f"{format_path(('models', each, 'breaker'))}: The deployment `{deployment}` has one circuit "
                    f"breaker, to which the settings of the model `{first}` apply. Set it for the deployment instead."
                )


def _users(config: Config, models: Mapping[str, ModelSpec]) -> dict[str, list[str]]:
    """Return the models with settings of a circuit breaker by the names of their deployments."""
    users: dict[str, list[str]] = {}
    for name, spec in models.items():
        if config.models[name].breaker.model_fields_set:
            for deployment in dict.fromkeys((*spec.deployments, *spec.fallbacks)):
                users.setdefault(deployment, []).append(name)
    return users


def _too_long(*path: str) -> str:
    where = format_path((*path, "breaker", "open_s"))
    return f"{where}: It is longer than max_open_s of the circuit breaker, which is used instead."
