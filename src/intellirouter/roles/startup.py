"""Starts a gateway for a command line: loads or discovers the configuration, binds the address, serves."""

import socket
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final

from intellirouter.config import (
    Discovery,
    Runtime,
    discover,
    load_config,
    process_environment,
    resource_port,
)
from intellirouter.core import with_program_name
from intellirouter.core.errors import HostError
from intellirouter.hosting import BUNDLED
from intellirouter.providers import VENDORS, probe_local
from intellirouter.roles.banner import HostProgress, print_banner
from intellirouter.roles.compose import GatewayProcess
from intellirouter.roles.configuration import check
from intellirouter.serving import (
    CannotListen,
    Signals,
    StoppedEarly,
    open_listener,
    remove_socket_file,
    run,
)
from intellirouter.store import StoreUnavailable
from intellirouter.telemetry import set_up_logging

_DEFAULT_PORT: Final = 8080


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
    runtime = check(config_path, overrides, discovered=None if discovery is None else discovery.config)
    set_up_logging(runtime.log_level, runtime.log_format)
    try:
        sock = open_listener(runtime.server)
    except CannotListen as error:
        sys.stderr.write(with_program_name(f"Error: {error.message}\n  {error.hint}\n"))
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
    sys.stderr.write(with_program_name(f"Error: {message}\n" + (f"  {hint}\n" if hint else "")))
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
