"""Validated configuration to frozen `Runtime`: secrets resolved, names cross-checked, inheritance applied.

A name may be both a model's and a deployment's. The model wins, since it is what the operator offers to clients; unless
the deployment is one of its own, which then is what the client gets anyway, that is worth a warning.
"""

from collections.abc import Mapping
from datetime import UTC
from decimal import Decimal
from pathlib import Path as FilePath
from urllib.parse import urlsplit

from msgspec import structs

from intellirouter.config.advisories import advisories, unsupported
from intellirouter.config.deployment_lists import Wiring
from intellirouter.config.load import process_environment
from intellirouter.config.problems import ConfigError, Problem, suggest
from intellirouter.config.references import (
    Secrets,
    StoredSecrets,
    UnresolvedError,
    resolve_key_digest,
    resolve_secret,
    usual_variable,
)
from intellirouter.config.runtime import (
    BackoffSpec,
    BatchesSpec,
    DeploymentSpec,
    HostSpec,
    KeySpec,
    ModelSpec,
    ProviderSpec,
    Runtime,
    ServerSpec,
    StoreSpec,
)
from intellirouter.config.schema import IMPLEMENTED_STRATEGIES, Config, DeploymentEntry, Provider, Store
from intellirouter.config.schema import Price as PriceEntry
from intellirouter.config.schema import Timeouts as TimeoutsEntry
from intellirouter.config.tree import Path, format_path
from intellirouter.config.values import artifact_model
from intellirouter.core import Price, Secret, Timeouts, VendorRow, pusd_per_token

_LOOPBACK_NAMES = frozenset({"localhost", "::1", "[::1]"})


def is_loopback(host: str) -> bool:
    """Whether listening on `host` (a name or an address) is reachable from this machine only."""
    parts = host.split(".")
    is_v4 = len(parts) == 4 and all(part.isdigit() and int(part) < 256 for part in parts)
    return host.lower() in _LOOPBACK_NAMES or (is_v4 and parts[0] == "127")


def compile_config(
    config: Config,
    *,
    vendors: Mapping[str, VendorRow],
    environ: Mapping[str, str] | None = None,
    origins: Mapping[str, str] | None = None,
    stored: StoredSecrets | None = None,
) -> Runtime:
    """Return the Runtime, or raise `ConfigError` with every problem found.

    `environ` (for `env:NAME`) defaults to the process environment. `origins` (of `Loaded`) lets problems say where the
    value came from. `stored` finds what `store:NAME` names. Reads the files that `file:PATH` names.
    """
    secrets = Secrets(process_environment() if environ is None else environ, stored)
    return _Compiler(config, vendors, secrets, origins or {}).run()


class _Compiler:
    def __init__(
        self,
        config: Config,
        vendors: Mapping[str, VendorRow],
        secrets: Secrets,
        origins: Mapping[str, str],
    ) -> None:
        self._config = config
        self._vendors = vendors
        self._secrets = secrets
        self._environ = secrets.environ
        self._origins = origins
        self._problems: list[Problem] = []
        self._warnings: list[str] = []
        self._default_timeouts = inherit_timeouts(config.defaults.timeouts, Timeouts())

    def run(self) -> Runtime:
        config = self._config
        for problem in unsupported(config):
            self._problems.append(structs.replace(problem, origin=self._origin(tuple(problem.path.split(".")))))
        store = self._store(config.store)
        providers = {name: spec for name in config.providers if (spec := self._provider(name)) is not None}
        deployments = {name: made for name in config.deployments if (made := self._deployment(name, providers))}
        models = self._models(deployments, providers)
        keys = self._keys()
        is_auth_required = self._auth(len(keys))
        if self._problems:
            raise ConfigError(self._problems)
        server, defaults, logging = config.server, config.defaults, config.logging
        return Runtime(
            server=ServerSpec(
                **{
                    **server.model_dump(exclude={"workers"}),
                    "role": "monolith",
                    "fetch_allow": tuple(server.fetch_allow),
                }
            ),
            is_auth_required=is_auth_required,
            store=store,
            providers=providers,
            deployments=deployments,
            models=models,
            keys=keys,
            backoff=BackoffSpec(base_s=defaults.backoff.base_s, max_s=defaults.backoff.max_s),
            default_retries=defaults.retries,
            logs_bodies=logging.bodies == "full",
            log_level=logging.level,
            log_format=logging.format,
            host=HostSpec(**config.host.model_dump()),
            batches=BatchesSpec(**config.batches.model_dump()),
            catalog_file=config.catalog.file,
            warnings=(*advisories(config), *self._warnings),
        )

    def _report(self, path: Path, message: str, hint: str = "") -> None:
        self._problems.append(Problem(format_path(path), message, hint, self._origin(path)))

    def _origin(self, path: Path) -> str:
        """Say where a setting came from; for one that is missing, where the rest of its section did."""
        stated = {known: origin for known, origin in self._origins.items() if origin != "default"}
        for length in range(len(path), 0, -1):
            here = format_path(path[:length])
            for known, origin in stated.items():
                if known == here or known.startswith((f"{here}.", f"{here}[")):
                    return origin
        return ""

    def _auth(self, key_count: int) -> bool:
        host, stated = self._config.server.host, self._config.auth.required
        required = stated if stated is not None else not is_loopback(host)
        if required and not key_count:
            self._warnings.append("auth.required: a key is required but keys is empty, so every request is refused")
        if not required and not is_loopback(host):
            self._warnings.append(f"auth.required: false while listening on {host}: whoever reaches it may call")
        return required

    def _store(self, store: Store) -> StoreSpec:
        prefix, url = "sqlite:///", store.url
        path = url.removeprefix(prefix).partition("?")[0]
        if not any(problem.path == "store.url" for problem in self._problems):
            hint = "write sqlite:///relative.db or sqlite:////absolute.db"
            if not url.startswith(prefix):
                self._report(("store", "url"), "is not a store that is known", hint)
            elif path in {"", ":memory:"} or path.endswith("/"):
                self._report(("store", "url"), "must name a file: what is accounted outlives the process", hint)
        return StoreSpec(
            url=url,
            spool_dir=store.spool_dir or str(FilePath(path or "intellirouter.db").with_suffix(".spool")),
            fsync_interval_s=store.fsync_interval_s,
            log_keep_days=store.log_keep_days,
            log_max_bytes=store.log_max_bytes,
        )

    def _provider(self, name: str) -> ProviderSpec | None:
        entry, path = self._config.providers[name], ("providers", name)
        row = self._vendors.get(entry.vendor)
        if row is None:
            message = f"there is no vendor {entry.vendor!r}"
            self._report((*path, "vendor"), message, suggest(entry.vendor, self._vendors))
            return None
        base_url, uds = self._endpoint(entry, row, path)
        if entry.ca_file is not None and not FilePath(entry.ca_file).expanduser().is_file():
            self._report((*path, "ca_file"), f"there is no file {entry.ca_file}")
        return ProviderSpec(
            name=name,
            vendor=row.name,
            base_url=base_url,
            uds=uds,
            credentials=self._credentials(entry, row, path),
            region=entry.region,
            dialect=entry.dialect,
            auth=entry.auth,
            headers=tuple(entry.headers.items()),
            ca_file=None if entry.ca_file is None else str(FilePath(entry.ca_file).expanduser()),
            allows_any_model=self._allows_any_model(entry),
            max_connections=entry.max_connections,
            timeouts=inherit_timeouts(entry.timeouts, self._default_timeouts),
        )

    def _allows_any_model(self, entry: Provider) -> bool:
        """Magic models need no declaration: their names say what they do."""
        row = self._vendors.get(entry.vendor)
        return entry.models == "*" or (row is not None and row.transport == "fake")

    def _endpoint(self, entry: Provider, row: VendorRow, path: Path) -> tuple[str | None, str | None]:
        if row.transport != "http":
            if entry.base_url is not None:
                self._report((*path, "base_url"), f"vendor {row.name} runs inside this program", "leave it out")
            return None, None
        stated = entry.base_url or row.base_url
        if stated is not None and "{region}" in stated:
            if entry.region is None:
                hint = f"write region: NAME, or base_url: {row.base_url_hint}"
                self._report((*path, "region"), f"is required for vendor {row.name}", hint)
                return None, None
            stated = stated.replace("{region}", entry.region)
        if stated is None:
            hint = f"write base_url: {row.base_url_hint or 'http://HOST:PORT/v1'}"
            self._report((*path, "base_url"), f"is required for vendor {row.name}", hint)
            return None, None
        if not stated.startswith("unix:"):
            return stated.rstrip("/"), None
        uds, _, prefix = stated.removeprefix("unix:").partition(":/")
        prefix = f"/{prefix}" if prefix else urlsplit(row.base_url or "").path
        return f"http://localhost{prefix}".rstrip("/"), uds

    def _credentials(self, entry: Provider, row: VendorRow, path: Path) -> tuple[Secret, ...]:
        if entry.credential is not None and entry.credentials is not None:
            self._report((*path, "credentials"), "credential and credentials are both stated", "keep one of them")
        references: dict[Path, str] = {}
        if entry.credential is not None:
            references[(*path, "credential")] = entry.credential
        for index, reference in enumerate(entry.credentials or ()):
            references[(*path, "credentials", index)] = reference
        if entry.credential is None and entry.credentials is None:
            usual = usual_variable(row, self._environ)
            if usual is not None:
                references[(*path, "credential")] = f"env:{usual}"
            elif row.needs_credential:
                first = row.credential_env[0] if row.credential_env else "NAME"
                hint = f"set {first}, or write credential: env:NAME (credentials: [] when the endpoint needs none)"
                self._report((*path, "credential"), f"vendor {row.name} needs a credential", hint)
        secrets: list[Secret] = []
        for where, reference in references.items():
            try:
                secrets.append(Secret(resolve_secret(reference, self._secrets)))
            except UnresolvedError as error:
                self._report(where, error.message, error.hint)
        return tuple(dict.fromkeys(secrets))

    def _deployment(self, name: str, providers: Mapping[str, ProviderSpec]) -> DeploymentSpec | None:
        entry, path = self._config.deployments[name], ("deployments", name)
        provider_entry = self._config.providers.get(entry.provider)
        if provider_entry is None:
            known = suggest(entry.provider, self._config.providers) or "add it under providers"
            self._report((*path, "provider"), f"there is no provider {entry.provider!r}", known)
            return None
        provider = providers.get(entry.provider)
        if provider is None:
            return None  # its own problem has been reported
        return DeploymentSpec(
            name=name,
            provider=entry.provider,
            model=self._upstream_model(name, entry, provider.vendor),
            artifact=entry.artifact,
            weight=entry.weight,
            region=entry.region,
            context_tokens=entry.context_tokens,
            capabilities=None if entry.capabilities is None else frozenset(entry.capabilities),
            price=None if entry.price is None else compile_price(entry.price),
            timeouts=inherit_timeouts(entry.timeouts, provider.timeouts),
            retries=entry.retries if entry.retries is not None else provider_entry.retries,
        )

    def _upstream_model(self, name: str, entry: DeploymentEntry, vendor: str) -> str:
        path = ("deployments", name)
        if vendor == "host":
            if entry.artifact is None:
                hint = "write artifact: bundled:smollm2-135m, or the path of a GGUF file"
                self._report((*path, "artifact"), "is required for a provider of vendor host", hint)
                return ""
            return entry.model or artifact_model(entry.artifact)
        if entry.artifact is not None:
            self._report((*path, "artifact"), "only a provider of vendor host serves artifacts", "write model: NAME")
        elif entry.model is None:
            self._report((*path, "model"), "is required", "write the provider's own name of the model")
        return entry.model or ""

    def _models(
        self, deployments: dict[str, DeploymentSpec], providers: Mapping[str, ProviderSpec]
    ) -> dict[str, ModelSpec]:
        open_providers = {name for name, entry in self._config.providers.items() if self._allows_any_model(entry)}
        wiring = Wiring(self._config, open_providers, self._report)
        models: dict[str, ModelSpec] = {}
        for name, entry in self._config.models.items():
            pool = wiring.expand(entry.deployments, ("models", name, "deployments"))
            fallbacks = wiring.expand(entry.fallbacks, ("models", name, "fallbacks"))
            if name in self._config.deployments and name not in (*pool, *fallbacks):
                self._warnings.append(
                    f"models.{name}: hides the deployment of the same name, which it does not use; rename one of them"
                )
            models[name] = ModelSpec(
                name=name,
                deployments=pool,
                fallbacks=tuple(item for item in fallbacks if item not in pool),
                strategy=entry.strategy if entry.strategy in IMPLEMENTED_STRATEGIES else "priority",
                retries=entry.retries if entry.retries is not None else self._config.defaults.retries,
            )
        for name, (provider, model) in wiring.implicit.items():
            if (spec := providers.get(provider)) is not None:
                deployments[name] = DeploymentSpec(
                    name=name,
                    provider=provider,
                    model=model,
                    timeouts=spec.timeouts,
                    retries=self._config.providers[provider].retries,
                )
        return models

    def _keys(self) -> tuple[KeySpec, ...]:
        keys: list[KeySpec] = []
        seen: dict[bytes, str] = {}
        for index, entry in enumerate(self._config.keys):
            path = ("keys", index)
            if entry.tenant != "default" and entry.tenant not in self._config.tenants:
                known = suggest(entry.tenant, self._config.tenants) or "add it under tenants"
                self._report((*path, "tenant"), f"there is no tenant {entry.tenant!r}", known)
            try:
                digest = resolve_key_digest(entry.key, self._secrets)
            except UnresolvedError as error:
                self._report((*path, "key"), error.message, error.hint)
                continue
            if digest in seen:
                self._report((*path, "key"), f"is the same key as {seen[digest]}", "a key belongs to one entry")
            seen.setdefault(digest, format_path(path))
            expires = entry.expires
            if expires is not None and expires.tzinfo is None:
                expires = expires.replace(tzinfo=UTC)
            keys.append(
                KeySpec(
                    digest=digest,
                    tenant=entry.tenant,
                    name=entry.name or f"key-{index + 1}",
                    models=tuple(entry.models),
                    grants=frozenset(entry.grants),
                    expires_us=None if expires is None else int(expires.timestamp() * 1_000_000),
                )
            )
        return tuple(keys)


def inherit_timeouts(entry: TimeoutsEntry, base: Timeouts) -> Timeouts:
    """Return `base` with the deadlines that `entry` states."""
    return structs.replace(base, **entry.model_dump(exclude_none=True))


def compile_price(entry: PriceEntry) -> Price:
    """Convert US dollars per million tokens to whole pico-USD per token."""

    def optional(amount: Decimal | None) -> int | None:
        return None if amount is None else pusd_per_token(amount)

    return Price(
        input=pusd_per_token(entry.input_per_1m_usd),
        output=pusd_per_token(entry.output_per_1m_usd),
        cache_read=optional(entry.cache_read_per_1m_usd),
        cache_write=optional(entry.cache_write_per_1m_usd),
        input_audio=optional(entry.input_audio_per_1m_usd),
        output_audio=optional(entry.output_audio_per_1m_usd),
    )
