"""Measure what an answer from the response cache costs: `python -m bench.cache_hits [--quick]`.

The same gateway relays requests of one model to an nginx with fixed answers, and answers those of other models from its
cache. Every case runs in each round, in turn. The figure is the CPU time of the gateway's process per request.
"""

import argparse
import contextlib
import json
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from bench.load import Address, run_wrk, send_request, wait_until_ready
from bench.pairs import ANTHROPIC, OPENAI, SMALL, Dialect
from bench.processes import Cores, MachineTime, Server, allow_many_files, free_ports
from bench.report import ROOT, describe, disturbance, machine_facts
from bench.targets import (
    CLIENT_KEY,
    OURSELVES,
    TARGETS,
    UPSTREAM_KEY,
    Target,
    checkout,
    clean_env,
    intellirouter_command,
)
from bench.upstream import Upstream

RESULT: Final = ROOT / "bench" / "results" / "cache_hits.md"
CONNECTIONS: Final = 32
_START_TIMEOUT_S: Final = 60.0
_DRAINED_S: Final = 2.0
"""The records of a case are written to the database within this time, so that they do not count for the next one."""
CASES: Final = tuple((dialect, is_stream) for dialect in (OPENAI, ANTHROPIC) for is_stream in (False, True))
METHOD: Final = """
One gateway process with authentication, prices, the ledger and SQLite, on one core. `relay` sends every request to an
nginx with fixed answers in the same dialect; `hit` answers the same request from the cache in memory, `redis` from a
Redis or Valkey server on a unix socket (its own CPU time is not counted). CPU time is the user and system time of the
gateway per request, with the records that it writes: the median over the rounds. The ratios are the medians of the
ratios within a round.
"""

Costs = dict[tuple[str, bool, str], list[float]]
"""CPU µs of each round, by dialect, whether it is a stream, and way."""


@contextlib.contextmanager
def running(
    target: Target, upstream: Upstream, work_dir: Path, cores: Cores, redis: str | None
) -> Iterator[tuple[Server, int]]:
    """Start a gateway; with `redis`, it stores its answers there."""
    work_dir.mkdir(parents=True)
    (port,) = free_ports(1)
    config = work_dir / "config.yaml"
    config.write_text(json.dumps(_config(port, upstream, work_dir, redis)), encoding="utf-8")
    env = clean_env() | {"BENCH_UPSTREAM": UPSTREAM_KEY, "BENCH_CLIENT": CLIENT_KEY} | target.env
    command = [intellirouter_command(), "serve", "--config", str(config)]
    server = Server.start(target.name, command, env, work_dir, cores.target)
    try:
        for dialect, is_stream in CASES:
            deadline_s = time.monotonic() + _START_TIMEOUT_S
            address = _address(port, dialect, "relay", is_stream=is_stream)
            wait_until_ready(address, is_stream=is_stream, deadline_s=deadline_s, check=server.fail_if_dead)
        yield server, port
    finally:
        server.stop()


def _config(port: int, upstream: Upstream, work_dir: Path, redis: str | None) -> dict[str, Any]:
    providers, deployments = {}, {}
    models: dict[str, dict[str, Any]] = {}
    for dialect, is_stream in CASES:
        name = _name(dialect, is_stream=is_stream)
        url = f"http://127.0.0.1:{upstream.port(SMALL, is_stream=is_stream)}"
        vendor = {"vendor": "openai-compatible", "base_url": f"{url}/v1"}
        if dialect is ANTHROPIC:
            vendor = {"vendor": "anthropic", "base_url": url}
        providers[name] = {**vendor, "credential": "env:BENCH_UPSTREAM"}
        price = {"input_per_1m_usd": 1, "output_per_1m_usd": 2}
        deployments[f"d-{name}"] = {"provider": name, "model": "bench-1", "price": price}
        models[f"relay-{name}"] = {"deployments": [f"d-{name}"]}
        models[f"hit-{name}"] = {"deployments": [f"d-{name}"], "cache": "exact"}
    config: dict[str, Any] = {
        "server": {"host": "127.0.0.1", "port": port},
        "store": f"sqlite:///{work_dir}/bench.db",
        "logging": {"level": "warning"},
        "auth": {"required": True},
        "keys": [{"name": "bench", "key": "env:BENCH_CLIENT"}],
        "providers": providers,
        "deployments": deployments,
        "models": models,
        "cache": {"stale_if_error_s": 60},
    }
    if redis is not None:
        config["cache"] |= {"backend": "redis", "redis": {"url": redis, "timeout_s": 1}}
    return config


def _name(dialect: Dialect, *, is_stream: bool) -> str:
    return f"{dialect.name}-{'stream' if is_stream else 'request'}"


def _address(port: int, dialect: Dialect, way: str, *, is_stream: bool) -> Address:
    model = f"{way}-{_name(dialect, is_stream=is_stream)}"
    return Address(port, model, (("Authorization", f"Bearer {CLIENT_KEY}"),), dialect)


def measure(
    servers: dict[str, tuple[Server, int]], seconds: float, work_dir: Path, cores: Cores
) -> dict[tuple[str, bool, str], float]:
    """Return the CPU µs of every case in one round. `servers` by way: `relay`, `hit` and perhaps `redis`."""
    costs = {}
    for dialect, is_stream in CASES:
        for way, (server, port) in servers.items():
            address = _address(port, dialect, "relay" if way == "relay" else "hit", is_stream=is_stream)
            send_request(address, is_stream=is_stream)
            time.sleep(_DRAINED_S)
            before = server.cpu_us()
            run = run_wrk(
                address,
                is_stream=is_stream,
                seconds=seconds,
                connections=CONNECTIONS,
                work_dir=work_dir,
                cores=cores.rest,
            )
            time.sleep(_DRAINED_S)
            if run.errors:
                raise RuntimeError(f"{run.errors} requests failed ({way}, {dialect.name}).")
            costs[dialect.name, is_stream, way] = (server.cpu_us() - before) / run.requests
    return costs


def render(costs: Costs, ways: list[str], facts: str) -> str:
    rows = []
    for dialect, is_stream in CASES:
        row = [f"{dialect.title}, {'stream' if is_stream else 'complete'}"]
        relay = costs[dialect.name, is_stream, "relay"]
        for way in ways:
            found = costs[dialect.name, is_stream, way]
            row.append(f"{statistics.median(found):.1f}")
            if way != "relay":
                row.append(f"{statistics.median([one / other for one, other in zip(found, relay, strict=True)]):.2f}")
        rows.append(row)
    titles = ["answer", *[title for way in ways for title in ([way] if way == "relay" else [way, f"{way} / relay"])]]
    return "\n\n".join(["# Cost of a cache hit", facts, METHOD.strip(), _table(titles, rows)]) + "\n"


def _table(titles: list[str], rows: list[list[str]]) -> str:
    lines = [titles, ["---", *["---:"] * (len(titles) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.cache_hits", description="Measure the cost of cache hits.")
    parser.add_argument(
        "--quick", action="store_true", help="two short rounds: prints the report and does not write it"
    )
    parser.add_argument("--redis", help="URL of a Redis or Valkey server: also measures hits in it")
    parser.add_argument("--against", type=Path, help="measure this other checkout instead, and do not write the report")
    options = parser.parse_args(sys.argv[1:])
    rounds, seconds = (2, 2.0) if options.quick else (5, 3.0)
    target = checkout(options.against) if options.against else next(each for each in TARGETS if each.name == OURSELVES)
    machine, before = machine_facts(), MachineTime.now()
    allow_many_files()
    cores, costs = Cores.split(), defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="bench-") as directory, contextlib.ExitStack() as stack:
        work_dir = Path(directory)
        upstream, nginx = Upstream.start(work_dir / "upstream", cores)
        stack.callback(nginx.stop)
        own = stack.enter_context(running(target, upstream, work_dir / "memory", cores, None))
        servers = {"relay": own, "hit": own}
        if options.redis:
            servers["redis"] = stack.enter_context(running(target, upstream, work_dir / "redis", cores, options.redis))
        for number in range(rounds):
            for case, cost in measure(servers, seconds, work_dir, cores).items():
                costs[case].append(cost)
            print(f"round {number + 1} of {rounds}", flush=True)
    machine |= disturbance(before, MachineTime.now())
    facts = (
        f"{time.strftime('%Y-%m-%d')}. {describe(machine)} {rounds} rounds of {seconds:g} s, {CONNECTIONS} connections."
    )
    text = render(costs, list(servers), facts)
    print(f"\n{text}")
    if not options.quick and not options.against:
        RESULT.write_text(text, encoding="utf-8")
        print(f"Wrote {RESULT.relative_to(ROOT)}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
