"""Compiles a validated configuration into a frozen `Runtime`: resolves secrets, checks names, applies inheritance.

A model and a deployment may have the same name. The model takes precedence, because models are what the operator offers
to clients. There is a warning unless the deployment is one of that model's own.
"""

import os
import re
from collections.abc import Collection, Mapping
from functools import cached_property
from itertools import chain
from pathlib import Path as FilePath
from typing import Final
from urllib.parse import urlsplit

from intellirouter.config.affinity_section import compile_affinity
from intellirouter.config.attempts_section import causes_of, compile_hedging
from intellirouter.config.breakers import breaker_warnings, inherit_breaker, inherit_pool, with_breakers
from intellirouter.config.cache_settings import compile_cache
from intellirouter.config.degradation import compile_ladder, microusd
from intellirouter.config.deployment_lists import DeploymentLists
from intellirouter.config.egress import EgressCompiler, egress_warnings, environment_problems
from intellirouter.config.feature_support import (
    DEFAULT_STRATEGY,
    PLANNED_STRATEGIES,
    ineffective_settings,
    is_postgres,
    unsupported_settings,
)
from intellirouter.config.keys import auth_warnings, compile_keys, requires_key
from intellirouter.config.load import process_environment
from intellirouter.config.model_section import ModelEntry
from intellirouter.config.prices import compile_price
from intellirouter.config.problems import (
    ConfigError,
    ConfigProblem,
    Suggestions,
    did_you_mean,
    known_names,
    quoted,
)
from intellirouter.config.resource_ports import local_base_url, unused_ports
from intellirouter.config.runtime import (
    AnswersSpec,
    BackoffSpec,
    BatchesSpec,
    DeploymentSpec,
    FilesSpec,
    HostSpec,
    ModelSpec,
    ProviderSpec,
    ReasoningMemorySpec,
    Runtime,
    ServerSpec,
    StoreSpec,
)
from intellirouter.config.schema import Config, DeploymentEntry, Provider
from intellirouter.config.secret_references import (
    SecretReferenceError,
    SecretSources,
    resolve_secret,
    usual_variable,
)
from intellirouter.config.server_section import Server
from intellirouter.config.slot_settings import default_slots, slot_warnings, with_slots
from intellirouter.config.store_section import Store
from intellirouter.config.timeouts_section import inherit_timeouts
from intellirouter.config.tree import Path, format_path
from intellirouter.config.unused_settings import is_region_name, is_regional, unused_settings
from intellirouter.config.value_types import artifact_model
from intellirouter.core import (
    Secret,
    Timeouts,
    VendorRow,
    environment_proxies,
    environment_trust,
)

_UNKNOWN_VENDOR = VendorRow(name="unknown", title="", base_url="https://unknown.invalid", needs_credential=False)
"""Stands for a vendor that does not exist, so that the other settings of the provider are checked as well."""
_MODEL_HINT = "Set it to the provider's name of the model."
_STORE_HINT = "Set it to `sqlite:///relative.db` or `sqlite:////absolute.db`."


def compile_config(
    config: Config,
    *,
    vendors: Mapping[str, VendorRow],
    strategies: Collection[str],
    environ: Mapping[str, str] | None = None,
    origins: Mapping[str, str] | None = None,
    secrets: SecretSources | None = None,
) -> Runtime:
    """Return the Runtime, or raise `ConfigError` with every problem found.

    `strategies` are the names of the available strategies. `environ` resolves `env:NAME` and defaults to the
    environment of the process. `secrets` replaces it if there are other sources. `origins` (of `LoadedConfig`) lets
    problems name the origin of a value. Files that `file:PATH` names are read.
    """
    sources = secrets or SecretSources(process_environment() if environ is None else environ)
    runtime, problems = compile_partly(config, vendors, strategies, sources, origins or {})
    if problems:
        raise ConfigError(problems)
    return runtime


_SEPARATORS: Final = re.compile(r"[.\[]")


def compile_partly(
    config: Config,
    vendors: Mapping[str, VendorRow],
    strategies: Collection[str],
    sources: SecretSources,
    origins: Mapping[str, str],
) -> tuple[Runtime, list[ConfigProblem]]:
    """Return the Runtime and all problems. With problems, it is incomplete and only useful to look for more of them.

    Settings that `config` reports as invalid cause no problems: theirs have been reported already.
    """
    compiler = _Compiler(config, vendors, strategies, sources, origins)
    return compiler.run(), compiler.problems


class _Compiler:
    def __init__(
        self,
        config: Config,
        vendors: Mapping[str, VendorRow],
        strategies: Collection[str],
        sources: SecretSources,
        origins: Mapping[str, str],
    ) -> None:
        self._config = config
        self._vendors = vendors
        self._strategies = strategies
        self._sources = sources
        self._origins = origins
        self.problems: list[ConfigProblem] = []
        self._warnings: list[str] = []
        self._suggestions = Suggestions()
        self._proxies = environment_proxies(sources.environ)
        self._egress = EgressCompiler(self._proxies, sources, self._report)
        self._default_pool = inherit_pool(config.defaults.pool)
        self._default_timeouts = inherit_timeouts(config.defaults.timeouts, Timeouts())

    def run(self) -> Runtime:
        config = self._config
        for path, message, hint in unsupported_settings(config):
            self._report(path, message, hint)
        store = self._store(config.store)
        providers = {name: self._provider(name) for name in config.providers}
        deployments = {name: self._deployment(name, providers) for name in config.deployments}
        models = self._models(deployments, providers)
        keys = compile_keys(config, self._sources, self._report, self._suggestions)
        if config.server.tls_key_file is not None and config.server.tls_cert_file is None:
            hint = "Set server.tls_cert_file as well, or remove this setting."
            self._report(("server", "tls_key_file"), "A private key needs a certificate.", hint)
        self.problems += environment_problems(providers.values())
        deployments = with_slots(config, with_breakers(config, deployments, models), self._vendors)
        if not self.problems:
            self._add_warnings(providers, models, deployments)
        server, defaults, logging = config.server, config.defaults, config.logging
        return Runtime(
            server=_server(server),
            auth_required=config.auth.required,
            store=store,
            providers=providers,
            deployments=deployments,
            models=models,
            keys=keys,
            backoff=BackoffSpec(base_s=defaults.backoff.base_s, max_s=defaults.backoff.max_s),
            default_retries=defaults.retries,
            default_request_timeout_s=defaults.request_timeout_s,
            default_max_attempts=defaults.max_attempts,
            default_max_cost_microusd=microusd(defaults.max_cost_usd),
            default_breaker=inherit_breaker(defaults.breaker),
            default_pool=self._default_pool,
            default_affinity=compile_affinity(None, defaults.affinity),
            default_slots=default_slots(config),
            cache=compile_cache(config, self._sources, self._report),
            answers=AnswersSpec(names_requested_model=config.answers.model_name == "requested"),
            logs_bodies=logging.bodies == "full",
            log_level=logging.level,
            log_format=logging.format,
            host=HostSpec(**config.host.model_dump()),
            batches=BatchesSpec(**config.batches.model_dump()),
            files=FilesSpec(**config.files.model_dump()),
            reasoning_memory=ReasoningMemorySpec(**config.reasoning_memory.model_dump()),
            catalog_file=config.catalog.file,
            discovery_interval_s=config.catalog.discovery_interval_s,
            environment_proxies=self._proxies,
            trust=environment_trust(self._sources.environ),
            warnings=(*ineffective_settings(config, self._strategies), *self._warnings),
        )

    def _add_warnings(
        self,
        providers: Mapping[str, ProviderSpec],
        models: Mapping[str, ModelSpec],
        deployments: Mapping[str, DeploymentSpec],
    ) -> None:
        config = self._config
        self._warnings += auth_warnings(config)
        self._warnings += breaker_warnings(config, models)
        self._warnings += slot_warnings(config, deployments, self._vendors)
        self._warnings += egress_warnings(config.providers, providers, self._origin)
        self._warnings += unused_ports(providers, self._sources.environ)
        is_auth_required = requires_key(config)
        self._warnings += unused_settings(config, self._vendors, models, is_auth_required=is_auth_required)

    def _report(self, path: Path, message: str, hint: str = "") -> None:
        if not self._config.is_invalid(*path):
            self.problems.append(ConfigProblem(format_path(path), message, hint, self._origin(path)))

    def _origin(self, path: Path) -> str:
        """Return the origin of a setting or, if the setting is missing, of another setting in its section."""
        for length in range(len(path), 0, -1):
            if (origin := self._section_origins.get(format_path(path[:length]))) is not None:
                return origin
        return ""

    @cached_property
    def _section_origins(self) -> dict[str, str]:
        """Settings and sections -> the origin of the first setting there that is not a default."""
        found: dict[str, str] = {}
        for setting, origin in self._origins.items():
            if origin != "default":
                for position in (*(each.start() for each in _SEPARATORS.finditer(setting)), len(setting)):
                    found.setdefault(setting[:position], origin)
        return found

    def _store(self, store: Store) -> StoreSpec:
        prefix, url = "sqlite:///", store.url
        path = url.removeprefix(prefix).partition("?")[0]
        if not is_postgres(url):
            if not url.startswith(prefix):
                self._report(("store", "url"), "The URL does not name an SQLite database.", _STORE_HINT)
            elif path in {"", ":memory:"} or path.endswith("/"):
                message = "The URL must name a file, because the ledger must outlive the process."
                self._report(("store", "url"), message, _STORE_HINT)
        return StoreSpec(
            url=url,
            spool_dir=store.spool_dir or str(FilePath(path or "intellirouter.db").with_suffix(".spool")),
            fsync_interval_s=store.fsync_interval_s,
            log_keep_days=store.log_keep_days,
            log_max_bytes=store.log_max_bytes,
        )

    def _provider(self, name: str) -> ProviderSpec:
        entry, path = self._config.providers[name], ("providers", name)
        row = self._vendors.get(entry.vendor)
        if row is None:
            hint = did_you_mean(entry.vendor, self._vendors) or _all_vendors(self._vendors)
            self._report((*path, "vendor"), f"Unknown vendor {quoted(entry.vendor)}.", hint)
            row = _UNKNOWN_VENDOR
        base_url, uds = self._endpoint(entry, row, path)
        references = self._credential_references(entry, row, path)
        if entry.ca_file is not None and not FilePath(_expanded(entry.ca_file)).is_file():
            self._report((*path, "ca_file"), f"The file {entry.ca_file} does not exist.", "Check the path.")
        return ProviderSpec(
            name=name,
            vendor=row.name,
            base_url=base_url,
            uds=uds,
            credentials=self._credentials(references),
            credential_references=tuple(references.values()),
            region=entry.region,
            dialect=entry.dialect,
            auth=entry.auth,
            headers=tuple(entry.headers.items()),
            ca_file=None if entry.ca_file is None else _expanded(entry.ca_file),
            client_certificate=self._egress.client_certificate(entry, path),
            proxies=self._egress.proxies(entry, path),
            allows_any_model=self._allows_any_model(entry),
            is_listed=entry.models == "*",
            max_connections=entry.max_connections,
            retries=entry.retries,
            cache=entry.cache,
            marks_prompt_cache=(entry.prompt_cache or self._config.defaults.prompt_cache) == "auto",
            is_regional=is_regional(entry, row),
            timeouts=inherit_timeouts(entry.timeouts, self._default_timeouts),
        )

    def _allows_any_model(self, entry: Provider) -> bool:
        """The magic models of vendor `fake` need no declaration, because their names say what they do."""
        return entry.models == "*" or self._vendors.get(entry.vendor, _UNKNOWN_VENDOR).transport == "fake"

    def _endpoint(self, entry: Provider, row: VendorRow, path: Path) -> tuple[str | None, str | None]:
        if row.transport != "http":
            if entry.base_url is not None:
                message = f"The vendor `{row.name}` runs inside the gateway and has no URL."
                self._report((*path, "base_url"), message, "Remove this setting.")
            return None, None
        base_url = entry.base_url or self._own_url(row)
        if base_url is not None and "{region}" in base_url:
            if entry.region is None:
                hint = f"Set `region: NAME`, or `base_url: {row.base_url_hint}`."
                self._report((*path, "region"), f"The vendor `{row.name}` requires a region.", hint)
                return None, None
            base_url = base_url.replace("{region}", entry.region)
        if base_url is None:
            hint = f"Set it: `base_url: {row.base_url_hint or 'http://HOST:PORT/v1'}`."
            self._report((*path, "base_url"), f"The vendor `{row.name}` requires a base URL.", hint)
            return None, None
        if not base_url.startswith("unix:"):
            return base_url.rstrip("/"), None
        uds, _, prefix = base_url.removeprefix("unix:").partition(":/")
        prefix = f"/{prefix}" if prefix else urlsplit(row.base_url or "").path
        return f"http://localhost{prefix}".rstrip("/"), uds

    def _own_url(self, row: VendorRow) -> str | None:
        try:
            return local_base_url(row, self._sources.environ)
        except ConfigError as error:
            self.problems += [each for each in error.problems if each not in self.problems]
            return row.base_url

    def _credential_references(self, entry: Provider, row: VendorRow, path: Path) -> dict[Path, str]:
        """Return the references to credentials by the settings that have them."""
        if entry.credential is not None and entry.credentials is not None:
            message = "`credential` and `credentials` are both set."
            self._report((*path, "credentials"), message, "Keep one of them.")
        references: dict[Path, str] = {}
        if entry.credential is not None:
            references[(*path, "credential")] = entry.credential
        for index, reference in enumerate(entry.credentials or ()):
            references[(*path, "credentials", index)] = reference
        if entry.credential is None and entry.credentials is None:
            usual = usual_variable(row, self._sources.environ)
            if usual is not None:
                references[(*path, "credential")] = f"env:{usual}"
            elif row.needs_credential and self._sources.resolves and not self._config.is_invalid(*path, "credentials"):
                self._report(
                    (*path, "credential"), f"The vendor `{row.name}` requires a credential.", _credential_hint(row)
                )
        return references

    def _credentials(self, references: Mapping[Path, str]) -> tuple[Secret, ...]:
        secrets: list[Secret] = []
        for where, reference in references.items():
            try:
                secrets.append(Secret(resolve_secret(reference, self._sources)))
            except SecretReferenceError as error:
                self._report(where, error.message, error.hint)
        return tuple(dict.fromkeys(secrets))

    def _deployment(self, name: str, providers: Mapping[str, ProviderSpec]) -> DeploymentSpec:
        entry, path = self._config.deployments[name], ("deployments", name)
        provider = providers.get(entry.provider)
        if provider is None:
            if not self._config.is_invalid("providers"):
                hint = self._suggestions.suggestion(entry.provider, self._config.providers, "providers")
                hint = hint or "Add it under `providers`."
                self._report((*path, "provider"), f"Unknown provider {quoted(entry.provider)}.", hint)
            provider = ProviderSpec(name=entry.provider, vendor=_UNKNOWN_VENDOR.name)
        if entry.region is not None and provider.is_regional and not is_region_name(entry.region):
            hint = "Use the vendor's name of the region, such as us-east-1."
            self._report((*path, "region"), f"{quoted(entry.region)} is not the name of a region.", hint)
        return DeploymentSpec(
            name=name,
            provider=entry.provider,
            model=self._upstream_model(name, entry, provider.vendor),
            artifact=entry.artifact,
            artifact_sha256=entry.artifact_sha256,
            weight=entry.weight,
            region=entry.region,
            context_tokens=entry.context_tokens or (self._config.host.context_tokens if entry.artifact else None),
            capabilities=None if entry.capabilities is None else frozenset(entry.capabilities),
            price=None if entry.price is None else compile_price(entry.price),
            timeouts=inherit_timeouts(entry.timeouts, provider.timeouts),
            retries=entry.retries if entry.retries is not None else provider.retries,
            cache=entry.cache or provider.cache,
            marks_prompt_cache=entry.prompt_cache == "auto" if entry.prompt_cache else provider.marks_prompt_cache,
        )

    def _upstream_model(self, name: str, entry: DeploymentEntry, vendor: str) -> str:
        path = ("deployments", name)
        if vendor == "host":
            if entry.artifact is None:
                message = "A deployment of the vendor `host` requires an artifact."
                hint = "Set `artifact: bundled:smollm2-135m`, or the path of a GGUF file."
                self._report((*path, "artifact"), message, hint)
                return ""
            return entry.model or artifact_model(entry.artifact)
        if vendor == _UNKNOWN_VENDOR.name:  # either setting may be right
            if entry.model is None and entry.artifact is None:
                self._report((*path, "model"), "This setting is required.", _MODEL_HINT)
            return entry.model or ""
        if entry.artifact is None and entry.artifact_sha256 is not None:
            message = "Only deployments with an `artifact` can have its SHA-256."
            self._report((*path, "artifact_sha256"), message, "Remove this setting.")
        if entry.artifact is not None:
            message = "Only providers of the vendor `host` serve artifacts."
            self._report((*path, "artifact"), message, "Set `model: NAME` instead.")
        elif entry.model is None:
            self._report((*path, "model"), "This setting is required.", _MODEL_HINT)
        return entry.model or ""

    def _models(
        self, deployments: dict[str, DeploymentSpec], providers: Mapping[str, ProviderSpec]
    ) -> dict[str, ModelSpec]:
        wildcard_providers = {
            name
            for name, entry in self._config.providers.items()
            if self._allows_any_model(entry)
            or entry.vendor not in self._vendors
            or self._config.is_invalid("providers", name, "models")
        }
        lists = DeploymentLists(self._config, wildcard_providers, self._report, self._suggestions)
        models: dict[str, ModelSpec] = {}
        for name, entry in self._config.models.items():
            pool = lists.expand(entry.deployments, ("models", name, "deployments"))
            names = [each.deployment for each in entry.fallbacks]
            expanded = lists.expand_each(names, ("models", name, "fallbacks"))
            fallbacks = tuple(dict.fromkeys(chain.from_iterable(expanded)))
            self._warnings += [
                f"{format_path(('models', name, 'fallbacks'))}: `{each}` is a deployment of the model already."
                for each in names
                if each in pool
            ]
            if name in self._config.deployments and name not in (*pool, *fallbacks):
                self._warnings.append(
                    f"{format_path(('models', name))}: The model hides the deployment of the same name, "
                    "which it does not use. Rename one of them."
                )
            models[name] = ModelSpec(
                name=name,
                deployments=pool,
                fallbacks=tuple(item for item in fallbacks if item not in pool),
                fallback_causes=causes_of(entry.fallbacks, expanded),
                strategy=self._strategy(name, entry),
                retries=entry.retries if entry.retries is not None else self._config.defaults.retries,
                retry_order=entry.retry_order or self._config.defaults.retry_order,
                request_timeout_s=entry.request_timeout_s or self._config.defaults.request_timeout_s,
                hedging=compile_hedging(entry.hedging),
                affinity=compile_affinity(entry.affinity, self._config.defaults.affinity),
                continues_streams=entry.continuation == "prefill",
                max_attempts=entry.max_attempts or self._config.defaults.max_attempts,
                max_cost_microusd=microusd(entry.max_cost_usd or self._config.defaults.max_cost_usd),
                degradation=compile_ladder(self._config, name, self._report, self._suggestions),
                pool=inherit_pool(entry.pool, self._default_pool),
                queue_wait_s=entry.queue.max_wait_s,
                cache=entry.cache,
            )
        self._warnings += [
            f"{format_path(path)}: The list names the deployment `{each}` more than once, which has no effect."
            for path, each in dict.fromkeys(lists.repeated)
        ]
        self._add_implicit(lists, deployments, providers)
        return models

    def _add_implicit(
        self, lists: DeploymentLists, deployments: dict[str, DeploymentSpec], providers: Mapping[str, ProviderSpec]
    ) -> None:
        """Add the deployments that models name as `provider/model`, and that no entry declares."""
        for name, (provider, model) in lists.implicit.items():
            if (spec := providers.get(provider)) is not None:
                deployments[name] = DeploymentSpec(
                    name=name,
                    provider=provider,
                    model=model,
                    timeouts=spec.timeouts,
                    retries=self._config.providers[provider].retries,
                    cache=spec.cache,
                    marks_prompt_cache=spec.marks_prompt_cache,
                )

    def _strategy(self, name: str, entry: ModelEntry) -> str:
        if entry.strategy in self._strategies:
            return entry.strategy
        if entry.strategy not in PLANNED_STRATEGIES:
            near = did_you_mean(entry.strategy, (*self._strategies, *PLANNED_STRATEGIES))
            hint = near or known_names(list(self._strategies), "strategies")
            self._report(("models", name, "strategy"), f"Unknown strategy {quoted(entry.strategy)}.", hint)
        return DEFAULT_STRATEGY


def _server(server: Server) -> ServerSpec:
    values = server.model_dump(exclude={"workers"})
    values |= {name: tuple(values[name]) for name in ("fetch_allow", "allowed_hosts", "cors_origins")}
    values["max_buffered_bytes"] = max(server.max_buffered_bytes, server.max_body_bytes)
    return ServerSpec(**values)


def _expanded(path: str) -> str:
    return os.path.expanduser(path)  # noqa: PTH111 - pathlib raises for an unknown user


def _all_vendors(vendors: Collection[str]) -> str:
    return f"{known_names(list(vendors), 'vendors')} See docs/reference/vendors.md for all of them."


def _credential_hint(row: VendorRow) -> str:
    way = "`credential: env:NAME`"
    if row.credential_env:
        way = f"the environment variable {row.credential_env[0].replace('+', ' and ')}, or {way}"
    return f"Set {way}. If the endpoint needs no credential, set `credentials: []`."
