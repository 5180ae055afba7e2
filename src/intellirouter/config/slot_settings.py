"""Compiles the settings of concurrency limits and queues: the nearest setting of each kind applies."""

from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import structs

from intellirouter.config.concurrency_section import Concurrency, DefaultConcurrency, DefaultQueue, Queue
from intellirouter.config.runtime import DeploymentSpec
from intellirouter.config.schema import Config
from intellirouter.config.tree import format_path
from intellirouter.core import DEFAULT_CONCURRENCY, DEFAULT_QUEUE, ConcurrencyPolicy, QueuePolicy, SlotPolicy, VendorRow

_ENABLED: Final = "enabled"
_OF_ADAPTIVE: Final = ("min", "initial", "tolerance")
_NO_LIMIT: Final = "This setting has no effect, because there is no concurrency limit."


def default_slots(config: Config) -> SlotPolicy | None:
    """Return the limit of the deployments that do not set their own; None: there is none."""
    return _slots(*_defaults(config))


def with_slots(
    config: Config, deployments: Mapping[str, DeploymentSpec], vendors: Mapping[str, VendorRow]
) -> dict[str, DeploymentSpec]:
    """Return the deployments with their limits.

    A local model gets no more requests than it has slots. The others would wait inside it, whoever has sent them.
    """
    compiled, defaults, hosts = {}, _defaults(config), _hosts(config, vendors)
    for name, spec in deployments.items():
        concurrency, queue = _settings(config, name, defaults)
        if spec.provider in hosts and concurrency.is_limiting:
            concurrency = structs.replace(concurrency, max=min(concurrency.max or config.host.slots, config.host.slots))
        slots = _slots(concurrency, queue)
        compiled[name] = spec if slots is None else structs.replace(spec, slots=slots)
    return compiled


def slot_warnings(
    config: Config, deployments: Mapping[str, DeploymentSpec], vendors: Mapping[str, VendorRow]
) -> Iterator[str]:
    """Yield a warning for each setting of a limit or a queue that has no effect."""
    hosts = _hosts(config, vendors)
    default, default_queue = _defaults(config)
    yield from _ineffective(("defaults",), config.defaults.concurrency, default)
    for name, entry in config.deployments.items():
        own, _ = _settings(config, name, (default, default_queue))
        yield from _ineffective(("deployments", name), entry.concurrency, own)
        if entry.queue.model_fields_set and not own.is_limiting:
            yield f"{format_path(('deployments', name, 'queue'))}: {_NO_LIMIT}"
        asked = entry.concurrency.max
        if entry.provider in hosts and asked is not None and asked > config.host.slots and own.is_limiting:
            where = format_path(("deployments", name, "concurrency", "max"))
            yield f"{where}: A local model processes host.slots requests at a time, so {config.host.slots} is used."
    is_limited = default.is_limiting or any(each.slots is not None for each in deployments.values())
    if config.defaults.queue.model_fields_set and not is_limited:
        yield f"defaults.queue: {_NO_LIMIT}"
    for name, model in config.models.items():
        if model.queue.max_wait_s is not None and not is_limited:
            yield f"{format_path(('models', name, 'queue'))}: {_NO_LIMIT}"


def _ineffective(
    path: tuple[str, ...], entry: Concurrency | DefaultConcurrency, policy: ConcurrencyPolicy
) -> Iterator[str]:
    fields = entry.model_fields_set
    if entry.enabled and _ENABLED in fields and not policy.is_limiting:
        yield f"{format_path((*path, 'concurrency'))}: There is no limit, because neither max nor adaptive is set."
    if not policy.adaptive:
        for name in _OF_ADAPTIVE:
            if name in fields:
                where = format_path((*path, "concurrency", name))
                yield f"{where}: This setting has no effect, because the limit is not adaptive."
    elif policy.max is not None and policy.min > policy.max and {"min", "max"} & fields:
        yield f"{format_path((*path, 'concurrency', 'min'))}: It is larger than max, which is used instead."


def _hosts(config: Config, vendors: Mapping[str, VendorRow]) -> frozenset[str]:
    """Return the providers of local models."""
    local = {name for name, row in vendors.items() if row.transport == "host"}
    return frozenset([name for name, each in config.providers.items() if each.vendor in local])


def _defaults(config: Config) -> tuple[ConcurrencyPolicy, QueuePolicy]:
    concurrency = _concurrency(config.defaults.concurrency, DEFAULT_CONCURRENCY)
    return concurrency, _queue(config.defaults.queue, DEFAULT_QUEUE)


def _settings(
    config: Config, name: str, defaults: tuple[ConcurrencyPolicy, QueuePolicy]
) -> tuple[ConcurrencyPolicy, QueuePolicy]:
    if (entry := config.deployments.get(name)) is None:
        return defaults
    concurrency, queue = defaults
    return _concurrency(entry.concurrency, concurrency), _queue(entry.queue, queue)


def _concurrency(entry: Concurrency | DefaultConcurrency, base: ConcurrencyPolicy) -> ConcurrencyPolicy:
    values = entry.model_dump(exclude_none=True)
    if _ENABLED in values:
        values["is_enabled"] = values.pop(_ENABLED)
    return structs.replace(base, **values)


def _queue(entry: Queue | DefaultQueue, base: QueuePolicy) -> QueuePolicy:
    return structs.replace(base, **entry.model_dump(exclude_none=True))


def _slots(concurrency: ConcurrencyPolicy, queue: QueuePolicy) -> SlotPolicy | None:
    return SlotPolicy(concurrency=concurrency, queue=queue) if concurrency.is_limiting else None
