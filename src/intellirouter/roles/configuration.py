"""Loads, compiles and checks a configuration. All commands and the reload do it here, so all find the same problems."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import structs

from intellirouter.catalog import Catalog
from intellirouter.config import (
    ConfigError,
    ConfigProblem,
    InvalidConfig,
    LoadedConfig,
    Runtime,
    SecretSources,
    compile_partly,
    load_config,
    process_environment,
)
from intellirouter.providers import VENDORS
from intellirouter.roles.advice import advise
from intellirouter.roles.credentials import stored_secrets
from intellirouter.roles.price_list import catalog_origin, price_list
from intellirouter.roles.upstream_tls import upstream_tls_problems
from intellirouter.routing import STRATEGIES
from intellirouter.serving import TlsProblem, tls_context


def check(
    path: Path | None,
    overrides: Mapping[str, object] | None = None,
    *,
    discovered: Mapping[str, Any] | None = None,
    resolves_secrets: bool = True,
) -> Runtime:
    """Load and compile a configuration. Raises `ConfigError` with every problem."""
    try:
        loaded = load_config(path, overrides=overrides, discovered=discovered)
    except InvalidConfig as error:
        raise with_all_problems(error, resolves_secrets=resolves_secrets) from None
    runtime, problems = _compiled(loaded, resolves_secrets=resolves_secrets)
    if problems:
        raise ConfigError(problems)
    prices = price_list(runtime, origin=catalog_origin(loaded))
    advice = advise(runtime, Catalog(runtime, VENDORS, prices))
    return structs.replace(runtime, warnings=(*loaded.warnings, *runtime.warnings, *advice))


def with_all_problems(error: InvalidConfig, *, resolves_secrets: bool = True) -> ConfigError:
    """Return an error that also has the problems of everything else in the configuration."""
    if error.valid_part is None:
        return error
    _, more = _compiled(error.valid_part, resolves_secrets=resolves_secrets)
    return ConfigError([*error.problems, *more])


def _compiled(loaded: LoadedConfig, *, resolves_secrets: bool) -> tuple[Runtime, list[ConfigProblem]]:
    """Return the Runtime and all problems. With problems, it is incomplete."""
    stored = stored_secrets(loaded.config.store.url)
    secrets = SecretSources(process_environment(), stored, resolves=resolves_secrets)
    strategies = [row.name for row in STRATEGIES]
    runtime, problems = compile_partly(loaded.config, VENDORS, strategies, secrets, loaded.origins)
    known = {problem.path for problem in problems}
    more = [*(_certificate_problems(runtime, loaded) if resolves_secrets else ())]
    if "store.url" not in known:
        more += _price_problems(runtime, loaded)
    return runtime, [*problems, *(each for each in more if not each.path or each.path not in known)]


def _certificate_problems(runtime: Runtime, loaded: LoadedConfig) -> list[ConfigProblem]:
    """Return a problem for each certificate or private key that cannot be used."""
    problems = upstream_tls_problems(runtime, loaded.origins)
    try:
        tls_context(runtime.server)
    except TlsProblem as problem:
        origin = loaded.origins.get(problem.setting, "")
        problems.append(ConfigProblem(problem.setting, problem.message, problem.hint, origin))
    return problems


def _price_problems(runtime: Runtime, loaded: LoadedConfig) -> list[ConfigProblem]:
    try:
        price_list(runtime, origin=catalog_origin(loaded))
    except ConfigError as error:
        return error.problems
    return []
