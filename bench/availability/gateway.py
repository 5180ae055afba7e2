"""The gateway under test. Each of its models has three deployments, one at each MockVendor process."""

import contextlib
import json
import os
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from bench.processes import Server, free_ports
from bench.targets import Target, clean_env, intellirouter_command
from intellirouter.testing import MockVendor

STRATEGY: Final = "round_robin"
_START_TIMEOUT_S: Final = 60.0


@contextlib.contextmanager
def running_gateway(
    target: Target, vendors: Sequence[MockVendor], work_dir: Path, models: Sequence[str]
) -> Iterator[tuple[Server, int]]:
    """Start the gateway of a checkout, and return its process and port."""
    (port,) = free_ports(1)
    work_dir.mkdir(parents=True, exist_ok=True)
    config = work_dir / "config.yaml"
    config.write_text(_configuration(vendors, work_dir, port, models), encoding="utf-8")
    command = [intellirouter_command(), "serve", "--config", str(config)]
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


def _configuration(vendors: Sequence[MockVendor], work_dir: Path, port: int, models: Sequence[str]) -> str:
    names = "abc"[: len(vendors)]
    providers = {
        name: {"vendor": "openai-compatible", "base_url": vendor.base_url}
        for name, vendor in zip(names, vendors, strict=True)
    }
    return json.dumps(
        {
            "server": {"host": "127.0.0.1", "port": port},
            "store": f"sqlite:///{work_dir}/availability.db",
            "defaults": {
                "retries": 2,
                "backoff": {"base_s": 0.05, "max_s": 0.5},
                "timeouts": {"connect_s": 1, "first_token_s": 1, "idle_s": 1, "total_s": 10},
            },
            "providers": providers,
            "deployments": {
                f"{model}-{name}": {"provider": name, "model": model} for model in models for name in names
            },
            "models": {
                model: {"deployments": [f"{model}-{name}" for name in names], "strategy": STRATEGY} for model in models
            },
        }
    )
