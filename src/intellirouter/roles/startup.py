"""Starts a gateway for a command line: loads or discovers the configuration, binds the address, serves."""

import re
import socket
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final

from msgspec import structs

from intellirouter.catalog import Catalog
from intellirouter.config import (
    ConfigError,
    ConfigProblem,
    Discovery,
    InvalidConfig,
    LoadedConfig,
    Runtime,
    SecretSources,
    compile_config,
    discover,
    load_config,
    process_environment,
    resource_port,
)
from intellirouter.core.errors import HostError
from intellirouter.hosting import BUNDLED
from intellirouter.providers import VENDORS, probe_local
from intellirouter.roles.advice import advise
from intellirouter.roles.banner import HostProgress, print_banner
from intellirouter.roles.compose import GatewayProcess
from intellirouter.roles.credentials import stored_secrets
from intellirouter.roles.price_list import catalog_origin, price_list
from intellirouter.roles.upstream_tls import upstream_tls_problems
from intellirouter.routing import STRATEGIES
from intellirouter.serving import (
    CannotListen,
    Signals,
    StoppedEarly,
    TlsProblem,
    open_listener,
    remove_socket_file,
    run,
    tls_context,
)
from intellirouter.store import StoreUnavailable
from intellirouter.telemetry import set_up_logging

_DEFAULT_PORT: Final = 8080


def check(
    path: Path | None, overrides: Mapping[str, object] | None = None, *, resolves_secrets: bool = True
) -> Runtime:
    """Load and compile a configuration. Raises `ConfigError` with every problem."""
    try:
        loaded = load_config(path, overrides=overrides)
    except InvalidConfig as error:
        raise ConfigError([*error.problems, *_more_problems(error, resolves_secrets=resolves_secrets)]) from None
    return _compiled(loaded, resolves_secrets=resolves_secrets)


def _more_problems(error: InvalidConfig, *, resolves_secrets: bool) -> list[ConfigProblem]:
    """Return the problems of the valid part. Names of invalid entries only seem to be unknown there."""
    if error.valid_part is None:
        return []
    try:
        _compiled(error.valid_part, resolves_secrets=resolves_secrets)
    except ConfigError as more:
        invalid = [f"`{name}`" for problem in error.problems if (name := _entry_name(problem.path))]
        return [problem for problem in more.problems if not any(name in problem.message for name in invalid)]
    return []


def _entry_name(path: str) -> str:
    """Return the second step of a path: `lab` for `providers.lab.vendor`."""
    found = re.match(r"""\w+\.(?:"([^"]+)"|([^.\[]+))""", path)
    return found[1] or found[2] if found else ""


def _compiled(loaded: LoadedConfig, *, resolves_secrets: bool = True) -> Runtime:
    stored = stored_secrets(loaded.config.store.url)
    secrets = SecretSources(process_environment(), stored, resolves=resolves_secrets)
    runtime = compile_config(
        loaded.config,
        vendors=VENDORS,
        strategies=[row.name for row in STRATEGIES],
        origins=loaded.origins,
        secrets=secrets,
    )
    if resolves_secrets:
        _check_certificates(runtime, loaded)
    prices = price_list(runtime, origin=catalog_origin(loaded))  # raises an error now if the price list is invalid
    advice = advise(runtime, Catalog(runtime, VENDORS, prices))
    return structs.replace(runtime, warnings=(*loaded.warnings, *runtime.warnings, *advice))


def _check_certificates(runtime: Runtime, loaded: LoadedConfig) -> None:
    """Raise `ConfigError` if a certificate or a private key cannot be used."""
    problems = upstream_tls_problems(runtime, loaded.origins)
    try:
        tls_context(runtime.server)
    except TlsProblem as problem:
        origin = loaded.origins.get(problem.setting, "")
        problems.append(ConfigProblem(problem.setting, problem.message, problem.hint, origin))
    if problems:
        raise ConfigError(problems)


def discover_here(environ: Mapping[str, str] | None = None, *, own_port: int = _DEFAULT_PORT) -> Discovery:
    """Find what this machine offers: credentials in the environment, local model servers, the bundled model."""
    env = process_environment() if environ is None else environ
    ports = {row.name: port for row in VENDORS.values() if (port := resource_port(row.name, env)) is not None}
    probes = probe_local(VENDORS.values(), ports=ports, own_port=own_port)
    artifact, file = next(iter(BUNDLED.items()))
    title = f"bundled model {artifact.removeprefix('bundled:')} ({file.wheel_bytes // 1024**2} MiB, downloaded once)"
    return discover(env, probes, VENDORS, local_artifact=(artifact, title))


def serve(config_path: Path | None, overrides: Mapping[str, object]) -> int:
    """Serve until a signal arrives. Returns the exit status: 0 after a normal stop, 1 if the address is not available.

    Without a file, the configuration is what `discover_here` finds. Raises `ConfigError`.
    """
    signals = Signals()
    signals.install()
    try:
        return _serve(config_path, overrides, signals)
    except StoppedEarly:
        return 0


def _serve(config_path: Path | None, overrides: Mapping[str, object], signals: Signals) -> int:
    discovery = None
    if config_path is None:
        port = load_config(None, overrides=overrides).config.server.port
        discovery = discover_here(own_port=port)
        loaded = load_config(None, overrides=overrides, discovered=discovery.config)
    else:
        loaded = load_config(config_path, overrides=overrides)
    runtime = _compiled(loaded)
    set_up_logging(runtime.log_level, runtime.log_format)
    try:
        sock = open_listener(runtime.server)
    except CannotListen as error:
        sys.stderr.write(f"Error: {error.message}\n  {error.hint}\n")
        return 1
    try:
        _run(runtime, sock, discovery, config_path, overrides, signals)
    except StoreUnavailable as error:
        return _report(sock, str(error), "")
    except HostError as error:
        return _report(sock, error.message, error.hint)
    return 0


def _report(sock: socket.socket, message: str, hint: str) -> int:
    """Print why the gateway could not start, and return its exit status."""
    remove_socket_file(sock)
    sys.stderr.write(f"Error: {message}\n" + (f"  {hint}\n" if hint else ""))
    return 1


def _run(
    runtime: Runtime,
    sock: socket.socket,
    discovery: Discovery | None,
    config_path: Path | None,
    overrides: Mapping[str, object],
    signals: Signals,
) -> None:
    progress = HostProgress(sys.stdout)
    load_runtime = None if config_path is None else partial(check, config_path, overrides)
    run(
        partial(GatewayProcess, runtime, on_host_event=progress.show, load_runtime=load_runtime),
        sock,
        runtime.server,
        on_ready=partial(print_banner, runtime, discovery, sock.getsockname(), config_path),
        signals=signals,
    )
