"""The phases of a run. Programs take turns in each round, so that a slow moment of the machine affects all of them."""

import contextlib
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.load import Address, FirstByteProbe, H2Load, Timings, run_h2load, run_wrk, wait_until_ready
from bench.pairs import PAIRS, RELAY, Pair
from bench.processes import Cores, Server, pinned
from bench.targets import OURSELVES, REFERENCE, Target, clean_env
from bench.upstream import Upstream

Figures = dict[str, float]
"""Name of a figure (with its unit) -> value."""

Key = tuple[str, Pair]
"""Name of the target, pair of dialects."""

CONNECTIONS = 32
DEFAULT_RATE_PER_S = 5000.0
"""The rate of IntelliRouter that is assumed if it is not among the targets."""


@dataclass(frozen=True)
class Plan:
    """Duration and number of the measurements."""

    seconds: float = 5.0
    rounds: int = 5
    probes: int = 300
    streams_at_once: int = 1000
    starts: int = 5


@dataclass
class Run:
    """One run: its environment and its results."""

    plan: Plan
    work_dir: Path
    cores: Cores
    upstream: Upstream
    targets: list[Target]
    figures: dict[str, Figures] = field(default_factory=dict)
    pair_figures: dict[str, dict[str, Figures]] = field(default_factory=dict)
    """Name of the pair -> name of the target -> figures."""
    notes: list[str] = field(default_factory=list)

    def record(self, name: str, **figures: float) -> None:
        self.figures.setdefault(name, {}).update(figures)

    def note(self, text: str) -> None:
        """Print the text now, and add its first and last line to the result."""
        print(f"  ! {text}", flush=True)
        lines = text.strip().splitlines()
        self.notes.append(lines[0] if len(lines) == 1 else f"{lines[0]} … {lines[-1]}")


@dataclass
class Running:
    """A target that is running and responds."""

    target: Target
    server: Server
    address: Address
    idle_rss_bytes: int
    pair: Pair = RELAY

    @property
    def name(self) -> str:
        return self.target.name


def start(run: Run, target: Target, phase: str, upstream_port: int, *, is_stream: bool, pair: Pair = RELAY) -> Running:
    """Start a target in front of this upstream, and wait for its first correct response."""
    work_dir = run.work_dir / phase / pair.name / target.name
    work_dir.mkdir(parents=True)
    launch = target.prepare(work_dir, upstream_port, pair)
    server = Server.start(target.name, launch.command, clean_env() | launch.env, work_dir, run.cores.target)
    try:
        deadline_s = time.monotonic() + target.start_timeout_s
        wait_until_ready(launch.address, is_stream=is_stream, deadline_s=deadline_s, check=server.fail_if_dead)
    except BaseException:
        server.stop()
        raise
    return Running(target, server, launch.address, server.rss_bytes(), pair)


@contextlib.contextmanager
def all_running(
    run: Run, phase: str, upstream_port: int, *, is_stream: bool, pairs: Sequence[Pair] = (RELAY,)
) -> Iterator[list[Running]]:
    """Start every target, once for each of `pairs` that it supports. Notes and omits targets that do not start."""
    with contextlib.ExitStack() as stack:
        running: list[Running] = []
        for target, pair in [(target, pair) for target in run.targets for pair in pairs if pair in target.pairs]:
            try:
                each = start(run, target, phase, upstream_port, is_stream=is_stream, pair=pair)
            except (OSError, RuntimeError) as error:
                run.note(f"{target.title} did not start ({phase}, {pair.title}): {error}")
                continue
            stack.callback(each.server.stop)
            running.append(each)
        yield running


def measure_requests(run: Run) -> None:
    """Measure responses without streaming: CPU per request, requests per second, added latency at half load, memory."""
    print("requests: starting", flush=True)
    with all_running(run, "requests", run.upstream.json_port, is_stream=False) as running:
        for each in running:
            run.record(each.name, rss_idle_mb=each.idle_rss_bytes / 1e6)
        for (name, _), figures in _closed_loop(run, running, "request", is_stream=False).items():
            run.record(name, **figures)
        _half_load(run, running)
        for each in running:
            each.server.fail_if_dead()
            run.record(each.name, rss_after_load_mb=each.server.rss_bytes() / 1e6)


def measure_pairs(run: Run) -> None:
    """Measure every pair of dialects: CPU per request and per stream, compared with no translation."""
    for unit, port in (("request", run.upstream.json_port), ("stream", run.upstream.stream_port)):
        print(f"pairs of dialects, {unit}s: starting", flush=True)
        is_stream = unit == "stream"
        with all_running(run, f"pairs-{unit}s", port, is_stream=is_stream, pairs=PAIRS) as running:
            for (name, pair), figures in _closed_loop(run, running, unit, is_stream=is_stream).items():
                run.pair_figures.setdefault(pair.name, {}).setdefault(name, {}).update(figures)


def measure_streams(run: Run) -> None:
    """Measure streams: CPU per stream, streams per second, added time to the first byte."""
    print("streams: starting", flush=True)
    with all_running(run, "streams", run.upstream.stream_port, is_stream=True) as running:
        for (name, _), figures in _closed_loop(run, running, "stream", is_stream=True).items():
            run.record(name, **figures)
        with pinned(run.cores.rest):
            for each in running:
                _first_byte(run, each)


def measure_slow_streams(run: Run) -> None:
    """Measure many concurrent slow streams, one program after the other: memory, CPU, errors."""
    count = run.plan.streams_at_once
    for target in run.targets:
        print(f"slow streams: {target.title}", flush=True)
        with contextlib.ExitStack() as stack:
            try:
                each = start(run, target, "slow", run.upstream.drip_port, is_stream=True)
                stack.callback(each.server.stop)
                before_us = each.server.cpu_us()
                timings = _h2load(run, each.address, H2Load(count, count, connect_every_ms=2), is_stream=True)
            except (OSError, RuntimeError) as error:
                run.note(f"{target.title}, {count} slow streams: {error}")
                continue
            run.record(
                target.name,
                slow_streams_at_once=timings.max_concurrent(),
                slow_streams_errors=timings.errors,
                slow_streams_cpu_us=(each.server.cpu_us() - before_us) / count,
                slow_streams_rss_idle_mb=each.idle_rss_bytes / 1e6,
                slow_streams_rss_peak_mb=each.server.peak_rss_bytes() / 1e6,
            )


def _closed_loop(run: Run, running: list[Running], unit: str, *, is_stream: bool) -> dict[Key, Figures]:
    """Keep a fixed number of connections busy with wrk. The first round is a warm-up and is discarded."""
    rounds: list[dict[Key, float]] = []
    rates: dict[Key, list[float]] = {(each.name, each.pair): [] for each in running}
    errors = dict.fromkeys(rates, 0)
    for number in range(run.plan.rounds + 1):
        print(f"{unit}s: closed loop, round {number} of {run.plan.rounds}", flush=True)
        costs: dict[Key, float] = {}
        for each in running:
            seconds = run.plan.seconds if number else min(2.0, run.plan.seconds)
            before_us = each.server.cpu_us()
            result = run_wrk(
                each.address,
                is_stream=is_stream,
                seconds=seconds,
                connections=CONNECTIONS,
                work_dir=run.work_dir,
                cores=run.cores.rest,
            )
            each.server.fail_if_dead()
            if number and result.requests:
                key = each.name, each.pair
                costs[key] = (each.server.cpu_us() - before_us) / result.requests
                rates[key].append(result.rate_per_s)
                errors[key] += result.errors
        if number:
            rounds.append(costs)
    found: dict[Key, Figures] = {}
    for key, seen in rates.items():
        if seen:
            found[key] = {
                f"cpu_us_per_{unit}": statistics.median(costs[key] for costs in rounds if key in costs),
                f"{unit}s_per_s": statistics.median(seen),
                f"{unit}_errors": float(errors[key]),
            } | _ratios(rounds, key, unit)
    return found


def _ratios(rounds: list[dict[Key, float]], key: Key, unit: str) -> Figures:
    """Return the ratios to the costs of nginx, IntelliRouter, and the program without translation in this round."""
    name, pair = key
    others = {
        f"cpu_ratio_per_{unit}": (REFERENCE, pair.relay),
        f"cpu_ratio_to_ours_per_{unit}": (OURSELVES, pair),
        f"cpu_ratio_to_relay_per_{unit}": (name, pair.relay),
    }
    found = {}
    for figure, other in others.items():
        ratios = [costs[key] / costs[other] for costs in rounds if costs.get(other) and key in costs]
        if ratios and (other != key or figure == f"cpu_ratio_per_{unit}"):
            found[figure] = statistics.median(ratios)
    return found


def _half_load(run: Run, running: list[Running]) -> None:
    """Measure latency at a fixed rate: half of IntelliRouter's, or half of the target's if that is lower."""
    rates = {name: figures["requests_per_s"] for name, figures in run.figures.items() if "requests_per_s" in figures}
    added: dict[str, list[tuple[float, float, float]]] = {}
    seen: dict[str, list[tuple[float, float, float]]] = {}
    for number in range(run.plan.rounds):
        print(f"requests: half load, round {number + 1} of {run.plan.rounds}", flush=True)
        for each in running:
            if each.name not in rates:
                continue
            rate_per_s = min(rates.get(OURSELVES, DEFAULT_RATE_PER_S), rates[each.name]) / 2
            plan = H2Load.at_rate(rate_per_s, run.plan.seconds)
            direct = _quantiles(_h2load(run, Address(run.upstream.json_port, "bench-1"), plan, is_stream=False))
            through = _quantiles(_h2load(run, each.address, plan, is_stream=False))
            seen.setdefault(each.name, []).append(through)
            p50, p95, p99 = (there - base for there, base in zip(through, direct, strict=True))
            added.setdefault(each.name, []).append((p50, p95, p99))
            run.record(each.name, half_load_per_s=rate_per_s)
    for name, rows in added.items():
        p50, p95, p99 = (statistics.median(column) for column in zip(*rows, strict=True))
        run.record(name, added_p50_us=p50, added_p95_us=p95, added_p99_us=p99)
        p50, p95, p99 = (statistics.median(column) for column in zip(*seen[name], strict=True))
        run.record(name, total_p50_us=p50, total_p95_us=p95, total_p99_us=p99)


def _first_byte(run: Run, each: Running) -> None:
    """Measure one stream at a time, alternately directly to the upstream and through the target."""
    print(f"streams: first byte, {each.target.title}", flush=True)
    direct = FirstByteProbe(Address(run.upstream.stream_port, "bench-1"))
    through = FirstByteProbe(each.address)
    try:
        pairs = [(direct.measure_us(), through.measure_us()) for _ in range(run.plan.probes + 20)][20:]
    except (OSError, RuntimeError) as error:
        run.note(f"{each.target.title}, first byte: {error}")
        return
    finally:
        direct.close()
        through.close()
    for name, share in (("p50", 0.5), ("p95", 0.95)):
        base, there = (_quantile(sorted(column), share) for column in zip(*pairs, strict=True))
        run.record(each.name, **{f"first_byte_added_{name}_us": there - base})


def _h2load(run: Run, address: Address, plan: H2Load, *, is_stream: bool) -> Timings:
    return run_h2load(address, plan, is_stream=is_stream, work_dir=run.work_dir, cores=run.cores.rest)


def _quantiles(timings: Timings) -> tuple[float, float, float]:
    durations = sorted(timings.steady_us())
    return _quantile(durations, 0.5), _quantile(durations, 0.95), _quantile(durations, 0.99)


def _quantile(ordered: list[float] | list[int], share: float) -> float:
    return float(ordered[min(len(ordered) - 1, int(len(ordered) * share))])
