"""What is measured: nginx, ourselves, other gateways, each with the command that puts it before an upstream."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from bench.load import Address
from bench.processes import free_ports
from bench.upstream import nginx_path, nginx_preamble

CACHE: Final = Path(__file__).parent / ".cache"
CLIENT_KEY: Final = "sk-bench-client-0123456789abcdef"
UPSTREAM_KEY: Final = "sk-bench-upstream"
_BEARER: Final = ("Authorization", f"Bearer {CLIENT_KEY}")


@dataclass(frozen=True)
class Launch:
    """A command that is ready to start, and where it will answer."""

    command: list[str]
    address: Address
    env: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Target:
    """One program. `prepare(work_dir, upstream_port)` writes its configuration and picks its port."""

    name: str
    title: str
    prepare: Callable[[Path, int], Launch]
    find_version: Callable[[], str | None]
    """None: not installed."""
    start_timeout_s: float = 60.0


def clean_env() -> dict[str, str]:
    """The environment without settings that would reach a target by accident, credentials above all."""
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "USER")
    return {name: os.environ[name] for name in kept if name in os.environ}


def _nginx(work_dir: Path, upstream_port: int) -> Launch:
    (port,) = free_ports(1)
    config = work_dir / "nginx.conf"
    config.write_text(
        f"""{nginx_preamble(work_dir)}
  upstream vendor {{ server 127.0.0.1:{upstream_port}; keepalive 2048; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://vendor;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_read_timeout 600s;
    }}
  }}
}}
"""
    )
    command = [nginx_path(), "-p", str(work_dir), "-c", str(config), "-e", str(work_dir / "error.log")]
    return Launch(command, Address(port, "bench-1"))


def intellirouter_command() -> str:
    """The console script beside the running interpreter. Raises FileNotFoundError."""
    script = Path(sys.executable).parent / "intellirouter"
    if not script.exists():
        raise FileNotFoundError(f"{script} is missing: install the project into this environment")
    return str(script)


def _intellirouter(work_dir: Path, upstream_port: int) -> Launch:
    (port,) = free_ports(1)
    config = work_dir / "config.yaml"
    config.write_text(
        f"""server: {{host: 127.0.0.1, port: {port}}}
auth: {{required: true}}
store: sqlite:///{work_dir}/bench.db
providers:
  lab:
    vendor: openai-compatible
    base_url: "http://127.0.0.1:{upstream_port}/v1"
    credential: "env:BENCH_UPSTREAM"
deployments:
  bench-1: {{provider: lab, model: bench-1, price: {{input_per_1m_usd: 0.15, output_per_1m_usd: 0.6}}}}
models:
  bench-model: {{deployments: [bench-1]}}
tenants:
  bench: {{}}
keys:
  - {{key: "env:BENCH_CLIENT", tenant: bench, name: bench, models: ["*"]}}
"""
    )
    command = [intellirouter_command(), "serve", "--config", str(config)]
    env = {"BENCH_UPSTREAM": UPSTREAM_KEY, "BENCH_CLIENT": CLIENT_KEY}
    return Launch(command, Address(port, "bench-model", (_BEARER,)), env)


def _litellm(work_dir: Path, upstream_port: int) -> Launch:
    (port,) = free_ports(1)
    config = work_dir / "config.yaml"
    config.write_text(
        f"""model_list:
  - model_name: bench-model
    litellm_params:
      model: openai/bench-1
      api_base: "http://127.0.0.1:{upstream_port}/v1"
      api_key: {UPSTREAM_KEY}
general_settings: {{master_key: {CLIENT_KEY}}}
"""
    )
    program = str(CACHE / "litellm" / "bin" / "litellm")
    command = [program, "--config", str(config), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    # The cost map is otherwise fetched from the network; the rest are its settings for production.
    env = {
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_MODE": "PRODUCTION",
        "LITELLM_LOG": "ERROR",
        "LITELLM_TELEMETRY": "False",
    }
    return Launch(command, Address(port, "bench-model", (_BEARER,)), env)


def _portkey(_work_dir: Path, upstream_port: int) -> Launch:
    (port,) = free_ports(1)
    server = CACHE / "portkey" / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    headers = (
        ("Authorization", f"Bearer {UPSTREAM_KEY}"),
        ("x-portkey-provider", "openai"),
        ("x-portkey-custom-host", f"http://127.0.0.1:{upstream_port}/v1"),
    )
    env = {"NODE_ENV": "production", "TRUSTED_CUSTOM_HOSTS": "127.0.0.1,localhost"}
    return Launch(["node", str(server), f"--port={port}", "--headless"], Address(port, "bench-1", headers), env)


def _ferrogw(work_dir: Path, upstream_port: int) -> Launch:
    (port,) = free_ports(1)
    config = work_dir / "config.yaml"
    config.write_text("strategy: {mode: single}\ntargets:\n  - virtual_key: openai\n")
    env = {
        "GATEWAY_CONFIG": str(config),
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "MASTER_KEY": CLIENT_KEY,
        "OPENAI_API_KEY": UPSTREAM_KEY,
        "OPENAI_BASE_URL": f"http://127.0.0.1:{upstream_port}",
        "LOG_LEVEL": "error",
        # Its default is 20 requests a second per client.
        "RATE_LIMIT_RPS": "1000000",
        "RATE_LIMIT_BURST": "1000000",
    }
    program = str(CACHE / "ferrogw" / "bin" / "ferrogw")
    return Launch([program, "serve"], Address(port, "gpt-4o-mini", (_BEARER,)), env)


def _smg(_work_dir: Path, upstream_port: int) -> Launch:
    port, metrics_port = free_ports(2)
    command = [
        *(str(CACHE / "smg" / "bin" / "smg"), "launch", "--host", "127.0.0.1", "--port", str(port)),
        *("--worker-urls", f"http://127.0.0.1:{upstream_port}", "--policy", "round_robin"),
        *("--prometheus-port", str(metrics_port), "--log-level", "error"),
    ]
    return Launch(command, Address(port, "bench-1"))


def _from_cache(name: str) -> Callable[[], str | None]:
    def find() -> str | None:
        marker = CACHE / name / "installed"
        return marker.read_text().strip() if marker.is_file() else None

    return find


def _nginx_version() -> str | None:
    try:
        run = subprocess.run([nginx_path(), "-v"], capture_output=True, text=True, check=True, timeout=10)
    except FileNotFoundError:
        return None
    return run.stderr.partition(":")[2].strip()


def _own_version() -> str | None:
    try:
        intellirouter_command()
        return version("intellirouter")
    except (FileNotFoundError, PackageNotFoundError):
        return None


REFERENCE: Final = "nginx"
OURSELVES: Final = "intellirouter"

TARGETS: Final = (
    Target(REFERENCE, "nginx proxy_pass", _nginx, _nginx_version),
    Target(OURSELVES, "IntelliRouter", _intellirouter, _own_version),
    Target("smg", "SMG", _smg, _from_cache("smg")),
    Target("ferrogw", "Ferro ferrogw", _ferrogw, _from_cache("ferrogw")),
    Target("portkey", "Portkey", _portkey, _from_cache("portkey")),
    Target("litellm", "LiteLLM", _litellm, _from_cache("litellm"), start_timeout_s=180.0),
)
