"""Settings that are valid and have no effect, because of other settings: each gets a warning."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from intellirouter.config.degradation import unused_steps
from intellirouter.config.feature_support import DEFAULT_STRATEGY
from intellirouter.config.problems import did_you_mean, quoted
from intellirouter.config.runtime import ModelSpec
from intellirouter.config.schema import Config, DeploymentEntry, Provider
from intellirouter.config.timeouts_section import Timeouts
from intellirouter.config.tree import Path, format_path
from intellirouter.config.value_types import REGION_PATTERN
from intellirouter.core import VendorRow

Found = Iterator[tuple[Path, str]]

_WEIGHTED: Final = frozenset({"weighted", "least_busy", "power_of_two"})
"""The strategies that read the weights of deployments."""
_OF_NETWORK: Final = ("region", "dialect", "auth", "credential", "credentials", "headers", "ca_file")
"""Settings of a provider that are about HTTP requests to it."""
_MARKED_DIALECTS: Final = frozenset({"anthropic_messages", "bedrock"})
"""The dialects of upstreams whose prompt caches need marks."""
_WITHOUT_MARKS: Final = "This setting has no effect, because the prompt cache of this upstream needs no marks."
_WITHOUT_FLOOR: Final = "This setting has no effect, because timeouts.min_tokens_per_s is 0."
_CAPABILITIES: Final = ("chat", "embeddings", "tools", "json_schema", "vision", "audio", "video", "files")


def unused_settings(
    config: Config, vendors: Mapping[str, VendorRow], models: Mapping[str, ModelSpec], *, is_auth_required: bool
) -> tuple[str, ...]:
    """Return the warnings. `models` are the compiled models, with the names of their deployments."""
    found = (
        *_server(config, is_auth_required=is_auth_required),
        *_limits(config),
        *_providers(config, vendors),
        *_deployments(config, vendors, models),
        *_host(config, vendors),
        *_windows(config),
        *_tenants(config),
        *_affinity(config, models),
        *unused_steps(config),
    )
    return tuple(f"{format_path(path)}: {text}" for path, text in found)


def is_regional(entry: Provider, row: VendorRow) -> bool:
    """Return whether a region selects the endpoint of a provider."""
    return entry.base_url is None and "{region}" in (row.base_url or "")


def is_region_name(region: str) -> bool:
    """Return whether a region can become part of a host name."""
    return re.fullmatch(REGION_PATTERN, region) is not None


def _server(config: Config, *, is_auth_required: bool) -> Found:
    server = config.server
    if server.unix_socket is not None and "port" in server.model_fields_set:
        yield ("server", "port"), "This setting has no effect, because server.unix_socket is set."
    if not server.stream_ping_s and "first_ping_s" in server.model_fields_set and server.first_ping_s:
        yield ("server", "first_ping_s"), "This setting has no effect, because server.stream_ping_s is 0."
    if server.allowed_hosts and is_auth_required:
        yield ("server", "allowed_hosts"), "This setting has no effect, because a key is required."


def _limits(config: Config) -> Found:
    server, batches, backoff = config.server, config.batches, config.defaults.backoff
    if "max_buffered_bytes" in server.model_fields_set and server.max_buffered_bytes < server.max_body_bytes:
        text = f"It is smaller than server.max_body_bytes, so {server.max_body_bytes} is used instead."
        yield ("server", "max_buffered_bytes"), text
    if server.max_in_flight_bytes < server.max_body_bytes:
        yield ("server", "max_body_bytes"), "Bodies larger than server.max_in_flight_bytes are always rejected."
    if "max_file_bytes" in batches.model_fields_set and batches.max_file_bytes > server.max_body_bytes:
        text = f"Uploads are limited by server.max_body_bytes, which is {server.max_body_bytes}."
        yield ("batches", "max_file_bytes"), text
    if backoff.base_s > backoff.max_s:
        yield ("defaults", "backoff", "base_s"), "It is longer than defaults.backoff.max_s, which is used instead."


def _providers(config: Config, vendors: Mapping[str, VendorRow]) -> Found:
    for name, entry in config.providers.items():
        row, path = vendors.get(entry.vendor), ("providers", name)
        if row is None:
            continue
        if row.transport != "http":
            text = f"This setting has no effect, because the vendor `{row.name}` runs inside the gateway."
            yield from (((*path, each), text) for each in _OF_NETWORK if getattr(entry, each))
            if row.transport == "host" and entry.models is not None:
                yield (*path, "models"), "Only models under `deployments` are served by the vendor `host`."
            continue
        auth = entry.auth or row.auth
        if entry.region is not None and not is_regional(entry, row) and auth != "sigv4":
            yield (*path, "region"), _without_regions(row)
        if entry.prompt_cache is not None and not _needs_marks(entry, row):
            yield (*path, "prompt_cache"), _WITHOUT_MARKS
        if entry.ca_file is not None and not (entry.base_url or row.base_url or "https:").startswith("https:"):
            yield (*path, "ca_file"), "This setting has no effect, because the URL does not begin with https."
        if auth == "none" and (entry.credential or entry.credentials):
            yield (*path, "auth"), "No credential is sent, because the scheme is `none`."


def _needs_marks(entry: Provider, row: VendorRow) -> bool:
    dialects = row.dialects if entry.dialect is None else (entry.dialect,)
    return not _MARKED_DIALECTS.isdisjoint(dialects)


def _without_regions(row: VendorRow) -> str:
    return (
        f"This setting has no effect, because the vendor `{row.name}` has no endpoints that are selected by region. "
        "In this version, regions do not influence routing."
    )


def _deployments(config: Config, vendors: Mapping[str, VendorRow], models: Mapping[str, ModelSpec]) -> Found:
    weighted = {each for model in models.values() if model.strategy in _WEIGHTED for each in model.deployments}
    for name, entry in config.deployments.items():
        path = ("deployments", name)
        if "weight" in entry.model_fields_set and name not in weighted:
            strategies = "weighted, least_busy or power_of_two"
            text = f"This setting has no effect, because no model with the strategy {strategies} has it."
            yield (*path, "weight"), text
        yield from _region(entry, config, vendors, path)
        if entry.prompt_cache is not None and (provider := config.providers.get(entry.provider)) is not None:
            row = vendors.get(provider.vendor)
            if row is not None and not _needs_marks(provider, row):
                yield (*path, "prompt_cache"), _WITHOUT_MARKS
        for each in entry.capabilities or ():
            if each not in _CAPABILITIES:
                hint = did_you_mean(each, _CAPABILITIES)
                yield (*path, "capabilities"), f"No request needs the capability {quoted(each)}. {hint}".rstrip()


def _region(entry: DeploymentEntry, config: Config, vendors: Mapping[str, VendorRow], path: Path) -> Found:
    provider = config.providers.get(entry.provider)
    row = None if provider is None else vendors.get(provider.vendor)
    if entry.region is None or provider is None or row is None or is_regional(provider, row):
        return
    if (provider.auth or row.auth) != "sigv4":  # which signs the region, if the host name does not contain one
        yield (*path, "region"), _without_regions(row)


def _host(config: Config, vendors: Mapping[str, VendorRow]) -> Found:
    hosts = {
        name
        for name, entry in config.providers.items()
        if (row := vendors.get(entry.vendor)) is not None and row.transport == "host"
    }
    if config.host.model_fields_set and not any(each.provider in hosts for each in config.deployments.values()):
        yield ("host",), "This section has no effect, because no deployment has a provider of the vendor `host`."


def _affinity(config: Config, models: Mapping[str, ModelSpec]) -> Found:
    """Models that set it, and have one deployment with one credential, or use the deployments in a fixed order."""
    for name, spec in models.items():
        entry = config.models[name].affinity
        if not entry.model_fields_set or entry.mode == "off":
            continue
        providers = {config.deployments[each].provider for each in spec.deployments if each in config.deployments}
        if any(len(config.providers[each].credentials or ()) > 1 for each in providers if each in config.providers):
            continue
        if len(spec.deployments) < 2:
            text = "This setting has no effect, because the model has one deployment with one credential."
        elif spec.strategy == DEFAULT_STRATEGY:
            text = f"This setting has no effect, because the strategy {DEFAULT_STRATEGY} has a fixed order."
        else:
            continue
        yield ("models", name, "affinity"), text


def _windows(config: Config) -> Found:
    """Yield the windows of the throughput of deployments and providers that need no throughput."""
    common = config.defaults.timeouts
    if not common.min_tokens_per_s and "throughput_window_s" in common.model_fields_set:
        entries: tuple[Provider | DeploymentEntry, ...] = (*config.providers.values(), *config.deployments.values())
        if not any(each.timeouts.min_tokens_per_s for each in entries):
            yield ("defaults", "timeouts", "throughput_window_s"), _WITHOUT_FLOOR
    for name, provider in config.providers.items():
        own = [each.timeouts for each in config.deployments.values() if each.provider == name]
        floors = (_floor(provider.timeouts, common.min_tokens_per_s), *[each.min_tokens_per_s for each in own])
        if provider.timeouts.throughput_window_s is not None and not any(floors):
            yield ("providers", name, "timeouts", "throughput_window_s"), _WITHOUT_FLOOR
    for name, entry in config.deployments.items():
        if entry.timeouts.throughput_window_s is None:
            continue
        of_provider = config.providers.get(entry.provider)
        inherited = common.min_tokens_per_s
        if of_provider is not None:
            inherited = _floor(of_provider.timeouts, inherited)
        if not _floor(entry.timeouts, inherited):
            yield ("deployments", name, "timeouts", "throughput_window_s"), _WITHOUT_FLOOR


def _floor(timeouts: Timeouts, inherited: float) -> float:
    return inherited if timeouts.min_tokens_per_s is None else timeouts.min_tokens_per_s


def _tenants(config: Config) -> Found:
    used = {key.tenant for key in config.keys}
    for name in config.tenants:
        if name not in used and name != "default":
            yield ("tenants", name), "This tenant has no effect, because no key belongs to it."
