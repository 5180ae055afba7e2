"""Compiles the keys of clients. Each key has an identity, tenant and name, that does not depend on its position."""

from collections.abc import Callable
from datetime import UTC
from typing import Final

from intellirouter.config.problems import Suggestions, quoted
from intellirouter.config.runtime import KeySpec, is_loopback
from intellirouter.config.schema import Config
from intellirouter.config.secret_references import SecretReferenceError, SecretSources, resolve_key_digest
from intellirouter.config.tenants_section import Key
from intellirouter.config.tree import Path, format_path
from intellirouter.core import Priority

Report = Callable[[Path, str, str], None]
"""Takes the path of a problem, its message and its hint."""

_SHOWN_DIGITS: Final = 12


def compile_keys(
    config: Config, sources: SecretSources, report: Report, suggestions: Suggestions
) -> tuple[KeySpec, ...]:
    """Return all keys whose reference can be resolved, and report every problem."""
    keys: list[KeySpec] = []
    seen_digests: dict[bytes, str] = {}
    seen_names: dict[tuple[str, str], str] = {}
    for index, entry in enumerate(config.keys):
        path = ("keys", index)
        if entry.tenant != "default" and entry.tenant not in config.tenants and not config.is_invalid("tenants"):
            hint = suggestions.suggestion(entry.tenant, config.tenants, "tenants") or "Add it under `tenants`."
            report((*path, "tenant"), f"Unknown tenant {quoted(entry.tenant)}.", hint)
        if entry.name is not None:
            _check_name(entry.tenant, entry.name, path, seen_names, report)
        try:
            digest = resolve_key_digest(entry.key, sources)
        except SecretReferenceError as error:
            report((*path, "key"), error.message, error.hint)
            continue
        if digest in seen_digests:
            message = f"This is the same key as `{seen_digests[digest]}`."
            report((*path, "key"), message, "Remove one of the two entries.")
        elif entry.name is None:
            _check_name(entry.tenant, unnamed_key(digest), path, seen_names, report)
        seen_digests.setdefault(digest, format_path(path))
        tenant = config.tenants.get(entry.tenant)
        keys.append(_key(entry, digest, entry.priority or ("normal" if tenant is None else tenant.priority)))
    return tuple(keys)


def unnamed_key(digest: bytes) -> str:
    """Return the name of a key that has none in the configuration."""
    return f"key-{digest.hex()[:_SHOWN_DIGITS]}"


def requires_key(config: Config) -> bool:
    """Return whether clients need a key with these settings."""
    configured = config.auth.required
    return configured if configured is not None else bool(config.keys) or not is_loopback(config.server.host)


def auth_warnings(config: Config) -> list[str]:
    """Return what an operator should know about who can send requests with these settings."""
    host, has_keys, is_required = config.server.host, bool(config.keys), requires_key(config)
    warnings = []
    if is_required and not has_keys:
        warnings.append(
            "auth.required: A key is required but `keys` is empty. Every request is rejected. Add a key, for example "
            '`keys: [{key: "env:MY_KEY", name: me}]`.'
        )
    if not is_required and not is_loopback(host):
        warnings.append(f"auth.required: No key is required. Anyone who can reach {host} can send requests.")
    if not is_required and any("*" not in key.models for key in config.keys):
        warnings.append("auth.required: No key is required, so `models` of keys has no effect.")
    if not is_required and "*" in config.server.cors_origins:
        warnings.append(
            "server.cors_origins: No key is required. Any web page that is open in a browser on this machine "
            "can use the gateway."
        )
    return warnings


def _check_name(tenant: str, name: str, path: Path, seen: dict[tuple[str, str], str], report: Report) -> None:
    """Report a name that another key of the tenant has: both keys would be the same caller."""
    first = seen.setdefault((tenant, name), format_path(path))
    if first != format_path(path):
        message = f"`{first}` has the same name {quoted(name)} and the same tenant."
        report((*path, "name"), message, "Give each key of a tenant its own name.")


def _key(entry: Key, digest: bytes, priority: Priority) -> KeySpec:
    expires = entry.expires
    if expires is not None and expires.tzinfo is None:
        expires = expires.replace(tzinfo=UTC)
    return KeySpec(
        digest=digest,
        tenant=entry.tenant,
        name=entry.name or unnamed_key(digest),
        models=tuple(entry.models),
        grants=frozenset(entry.grants),
        priority=priority,
        expires_us=None if expires is None else int(expires.timestamp() * 1_000_000),
    )
