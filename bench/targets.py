"""The measured programs (nginx, IntelliRouter, other gateways), each with its command and configuration."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from bench.load import Address
from bench.pairs import ANTHROPIC, CHAT_TO_MESSAGES, MESSAGES_RELAY, PAIRS, RELAY, Pair
from bench.processes import free_ports
from bench.upstream import nginx_path, nginx_preamble

CACHE: Final = Path(__file__).parent / ".cache"
CLIENT_KEY: Final = "sk-bench-client-0123456789abcdef"
UPSTREAM_KEY: Final = "sk-bench-upstream"
_BEARER: Final = ("Authorization", f"Bearer {CLIENT_KEY}")


@dataclass(frozen=True)
class Launch:
    """A command, and how the program is called when it is running."""

    command: list[str]
    address: Address
    env: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Target:
    """One program. `prepare(work_dir, upstream_port, pair)` writes its configuration and selects its port."""

    name: str
    title: str
    prepare: Callable[[Path, int, Pair], Launch]
    find_version: Callable[[], str | None]
    """Returns None if the program is not installed."""
    pairs: tuple[Pair, ...] = PAIRS
    """The supported ones of `PAIRS`."""
    start_timeout_s: float = 60.0
    env: dict[str, str] = field(default_factory=dict)
    """Environment variables that select the sources of another checkout of IntelliRouter."""


def clean_env() -> dict[str, str]:
    """Return the environment without variables that could affect a target, such as credentials."""
    names = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "USER")
    return {name: os.environ[name] for name in names if name in os.environ}


def _nginx(work_dir: Path, upstream_port: int, pair: Pair) -> Launch:
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
    return Launch(command, Address(port, "bench-1", dialect=pair.client))


def intellirouter_command() -> str:
    """Return the console script of the running interpreter. Raises FileNotFoundError."""
    script = Path(sys.executable).parent / "intellirouter"
    if not script.exists():
        raise FileNotFoundError(f"{script} does not exist. Install the project into this environment.")
    return str(script)


def _intellirouter(work_dir: Path, upstream_port: int, pair: Pair) -> Launch:
    (port,) = free_ports(1)
    vendor = {"vendor": "openai-compatible", "base_url": f"http://127.0.0.1:{upstream_port}/v1"}
    if pair.upstream is ANTHROPIC:
        vendor = {"vendor": "anthropic", "base_url": f"http://127.0.0.1:{upstream_port}"}
    config = work_dir / "config.yaml"
    config.write_text(
        f"""server: {{host: 127.0.0.1, port: {port}}}
auth: {{required: true}}
store: sqlite:///{work_dir}/bench.db
providers:
  lab:
    vendor: {vendor["vendor"]}
    base_url: "{vendor["base_url"]}"
    credential: "env:BENCH_UPSTREAM"
    max_connections: 8192
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
    return Launch(command, Address(port, "bench-model", (_BEARER,), pair.client), env)


def checkout(path: Path) -> Target:
    """Return another checkout of IntelliRouter as a target, with the same interpreter and libraries."""
    env = {"PYTHONPATH": str(path.resolve() / "src")}

    def prepare(work_dir: Path, upstream_port: int, pair: Pair) -> Launch:
        launch = _intellirouter(work_dir, upstream_port, pair)
        return Launch(launch.command, launch.address, launch.env | env)

    def find() -> str | None:
        return path.name if (path / "src" / "intellirouter").is_dir() else None

    has_dialects = (path / "src" / "intellirouter" / "dialects" / "anthropic_messages").is_dir()
    pairs = PAIRS if has_dialects else (RELAY,)
    return Target(f"{OURSELVES}-{path.name}", f"IntelliRouter {path.name}", prepare, find, pairs, env=env)


def _litellm(work_dir: Path, upstream_port: int, pair: Pair) -> Launch:
    (port,) = free_ports(1)
    base_url = f"http://127.0.0.1:{upstream_port}"
    if pair.upstream is not ANTHROPIC:
        base_url += "/v1"
    config = work_dir / "config.yaml"
    config.write_text(
        f"""model_list:
  - model_name: bench-model
    litellm_params:
      model: {pair.upstream.name}/bench-1
      api_base: "{base_url}"
      api_key: {UPSTREAM_KEY}
general_settings: {{master_key: {CLIENT_KEY}}}
"""
    )
    program = str(CACHE / "litellm" / "bin" / "litellm")
    command = [program, "--config", str(config), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    # Without the first variable it downloads its cost map. The next three are its settings for production.
    env = {
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_MODE": "PRODUCTION",
        "LITELLM_LOG": "ERROR",
        "LITELLM_TELEMETRY": "False",
        # Otherwise it sends requests in the messages API to OpenAI's responses endpoint.
        "LITELLM_USE_CHAT_COMPLETIONS_URL_FOR_ANTHROPIC_MESSAGES": "True",
    }
    return Launch(command, Address(port, "bench-model", (_BEARER,), pair.client), env)


def _portkey(_work_dir: Path, upstream_port: int, pair: Pair) -> Launch:
    (port,) = free_ports(1)
    server = CACHE / "portkey" / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    headers = (
        ("Authorization", f"Bearer {UPSTREAM_KEY}"),
        ("x-portkey-provider", pair.upstream.name),
        ("x-portkey-custom-host", f"http://127.0.0.1:{upstream_port}/v1"),
    )
    env = {"NODE_ENV": "production", "TRUSTED_CUSTOM_HOSTS": "127.0.0.1,localhost"}
    return Launch(
        ["node", str(server), f"--port={port}", "--headless"], Address(port, "bench-1", headers, pair.client), env
    )


def _ferrogw(work_dir: Path, upstream_port: int, pair: Pair) -> Launch:
    (port,) = free_ports(1)
    config = work_dir / "config.yaml"
    config.write_text(f"strategy: {{mode: single}}\ntargets:\n  - virtual_key: {pair.upstream.name}\n")
    vendor = pair.upstream.name.upper()
    env = {
        "GATEWAY_CONFIG": str(config),
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "MASTER_KEY": CLIENT_KEY,
        f"{vendor}_API_KEY": UPSTREAM_KEY,
        f"{vendor}_BASE_URL": f"http://127.0.0.1:{upstream_port}",
        "LOG_LEVEL": "error",
        # The default is 20 requests per second and client.
        "RATE_LIMIT_RPS": "1000000",
        "RATE_LIMIT_BURST": "1000000",
    }
    program = str(CACHE / "ferrogw" / "bin" / "ferrogw")
    model = "claude-3-5-haiku-20241022" if pair.upstream is ANTHROPIC else "gpt-4o-mini"
    return Launch([program, "serve"], Address(port, model, (_BEARER,), pair.client), env)


def _smg(_work_dir: Path, upstream_port: int, pair: Pair) -> Launch:
    port, metrics_port = free_ports(2)
    command = [
        *(str(CACHE / "smg" / "bin" / "smg"), "launch", "--host", "127.0.0.1", "--port", str(port)),
        *("--worker-urls", f"http://127.0.0.1:{upstream_port}", "--policy", "round_robin"),
        *("--prometheus-port", str(metrics_port), "--log-level", "error"),
        *("--max-concurrent-requests", "8192"),
    ]
    return Launch(command, Address(port, "bench-1", dialect=pair.client))


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
YARDSTICK: Final = "smg"
"""The native gateway with the lowest cost."""

TARGETS: Final = (
    Target(REFERENCE, "nginx proxy_pass", _nginx, _nginx_version, (RELAY, MESSAGES_RELAY)),
    Target(OURSELVES, "IntelliRouter", _intellirouter, _own_version),
    Target("smg", "SMG", _smg, _from_cache("smg"), (RELAY, MESSAGES_RELAY)),
    Target("ferrogw", "Ferro ferrogw", _ferrogw, _from_cache("ferrogw"), (RELAY, CHAT_TO_MESSAGES)),
    Target("portkey", "Portkey", _portkey, _from_cache("portkey"), (RELAY, MESSAGES_RELAY, CHAT_TO_MESSAGES)),
    Target("litellm", "LiteLLM", _litellm, _from_cache("litellm"), start_timeout_s=180.0),
)
