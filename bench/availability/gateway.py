"""The gateway under test. Each of its models has three deployments, one at each MockVendor process."""

import contextlib
import json
import os
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from bench.processes import Server, free_ports
from bench.targets import Target, clean_env, intellirouter_command
from intellirouter.testing import MockVendor

STRATEGY: Final = "round_robin"
_START_TIMEOUT_S: Final = 60.0


@contextlib.contextmanager
def running_gateway(target: Target, config: dict[str, Any], work_dir: Path) -> Iterator[tuple[Server, int]]:
    """Start the gateway of a checkout, and return its process and port. Server and store are added to `config`."""
    (port,) = free_ports(1)
    work_dir.mkdir(parents=True, exist_ok=True)
    fixed = {"server": {"host": "127.0.0.1", "port": port}, "store": f"sqlite:///{work_dir}/bench.db"}
    config_file = work_dir / "config.yaml"
    config_file.write_text(json.dumps(config | fixed), encoding="utf-8")
    command = [intellirouter_command(), "serve", "--config", str(config_file)]
    server = Server.start(target.name, command, clean_env() | target.env, work_dir, frozenset(os.sched_getaffinity(0)))
    try:
        _wait_until_ready(server, port)
        yield server, port
    finally:
        server.stop()


def _wait_until_ready(server: Server, port: int) -> None:
    deadline_s = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline_s:
        server.fail_if_dead()
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=5):
            return
        time.sleep(0.05)
    raise TimeoutError(f"{server.name} did not become ready within {_START_TIMEOUT_S:g} s.")


def configuration(vendors: Sequence[MockVendor], models: Sequence[str]) -> dict[str, Any]:
    names = "abc"[: len(vendors)]
    providers = {
        name: {"vendor": "openai-compatible", "base_url": vendor.base_url}
        for name, vendor in zip(names, vendors, strict=True)
    }
    return {
        "defaults": {
            "retries": 2,
            "backoff": {"base_s": 0.05, "max_s": 0.5},
            "timeouts": {"connect_s": 1, "first_token_s": 1, "idle_s": 1, "total_s": 10},
        },
        "providers": providers,
        "deployments": {f"{model}-{name}": {"provider": name, "model": model} for model in models for name in names},
        "models": {
            model: {"deployments": [f"{model}-{name}" for name in names], "strategy": STRATEGY} for model in models
        },
    }
