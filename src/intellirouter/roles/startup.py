"""Starts a gateway for a command line: loads or discovers the configuration, binds the address, serves."""

import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final

from intellirouter.config import (
    Discovery,
    LoadedConfig,
    Runtime,
    compile_config,
    discover,
    load_config,
    process_environment,
)
from intellirouter.hosting import BUNDLED
from intellirouter.providers import VENDORS, probe_local
from intellirouter.roles.banner import HostProgress, print_banner
from intellirouter.roles.compose import GatewayProcess
from intellirouter.roles.credentials import stored_secrets
from intellirouter.roles.price_list import catalog_origin, price_list
from intellirouter.routing import STRATEGIES
from intellirouter.serving import CannotListen, open_listener, run
from intellirouter.telemetry import set_up_logging

_DEFAULT_PORT: Final = 8080


def check(path: Path | None, overrides: Mapping[str, object] | None = None) -> Runtime:
    """Load and compile a configuration. Raises `ConfigError` with every problem."""
    loaded = load_config(path, overrides=overrides)
    return _compiled(loaded)


def _compiled(loaded: LoadedConfig) -> Runtime:
    stored = stored_secrets(loaded.config.store.url)
    runtime = compile_config(
        loaded.config,
        vendors=VENDORS,
        strategies=[row.name for row in STRATEGIES],
        origins=loaded.origins,
        stored=stored,
    )
    price_list(runtime, origin=catalog_origin(loaded))  # raises an error now if the price list is invalid
    return runtime


def discover_here(environ: Mapping[str, str] | None = None, *, own_port: int = _DEFAULT_PORT) -> Discovery:
    """Find what this machine offers: credentials in the environment, local model servers, the bundled model."""
    env = process_environment() if environ is None else environ
    ports = {"ollama": int(port)} if (port := env.get("RESOURCE_PORTS_OLLAMA", "")).isdigit() else {}
    probes = probe_local(VENDORS.values(), ports=ports, own_port=own_port)
    artifact, file = next(iter(BUNDLED.items()))
    title = f"bundled model {artifact.removeprefix('bundled:')} ({file.wheel_bytes // 1024**2} MiB, downloaded once)"
    return discover(env, probes, VENDORS, local_artifact=(artifact, title))


def serve(config_path: Path | None, overrides: Mapping[str, object]) -> int:
    """Serve until a signal arrives. Returns the exit status: 0 after a normal stop, 1 if the address is not available.

    Without a file, the configuration is what `discover_here` finds. Raises `ConfigError`.
    """
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
    progress = HostProgress(sys.stdout)
    load_runtime = None if config_path is None else partial(check, config_path, overrides)
    run(
        partial(GatewayProcess, runtime, on_host_event=progress.show, load_runtime=load_runtime),
        sock,
        runtime.server,
        on_ready=partial(print_banner, runtime, discovery, sock.getsockname(), config_path),
    )
    return 0
