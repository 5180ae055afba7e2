"""Endurance: thousands of slow streams at once, and whether memory grows over minutes of load."""

import contextlib
import statistics
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from bench.load import H2Load, Throughput, run_steady
from bench.pairs import SMALL
from bench.run import UNITS, Run, Running, idle_rss_mb, start
from bench.targets import Target

_MINUTE_S = 60
_SOAK_CONNECTIONS = 32


def measure_slow_streams(run: Run) -> None:
    """Measure many concurrent slow streams, one program after the other: memory, CPU, errors."""
    for count in run.plan.slow_streams:
        for target in run.targets:
            print(f"{count:,} slow streams: {target.title}", flush=True)
            try:
                _slow_streams(run, target, count)
            except (OSError, RuntimeError, subprocess.SubprocessError) as error:
                run.note(f"{target.title}, {count:,} slow streams: {error}")


def _slow_streams(run: Run, target: Target, count: int) -> None:
    with contextlib.ExitStack() as stack:
        each = start(run, target, run.upstream.drip_port, is_stream=True)
        stack.callback(each.server.stop)
        (idle_mb,) = idle_rss_mb([each])
        before_us = each.server.cpu_us()
        timings = run.h2load(each.address, H2Load.all_at_once(count), is_stream=True)
        run.record(
            f"slow streams {count}",
            target.name,
            at_once=timings.max_concurrent(),
            errors=timings.errors,
            cpu_us=(each.server.cpu_us() - before_us) / count,
            rss_idle_mb=idle_mb,
            rss_peak_mb=each.server.peak_rss_bytes() / 1e6,
            rss_after_mb=each.server.rss_bytes() / 1e6,
        )


def measure_soak(run: Run) -> None:
    """Measure the memory of each program once per minute under a fixed rate: requests and streams, two processes."""
    for target in run.targets:
        print(f"soak: {target.title}, {run.plan.soak_minutes} minutes", flush=True)
        with contextlib.ExitStack() as stack:
            running = []
            try:
                for unit in UNITS:
                    is_stream = unit == "stream"
                    port = run.upstream.port(SMALL, is_stream=is_stream)
                    each = start(run, target, port, is_stream=is_stream)
                    stack.callback(each.server.stop)
                    running.append((unit, each))
                _soak(run, running)
            except (OSError, RuntimeError, subprocess.SubprocessError) as error:
                run.note(f"{target.title}, soak: {error}")


def _soak(run: Run, running: list[tuple[str, Running]]) -> None:
    idle = idle_rss_mb([each for _, each in running])
    rss = {unit: [idle_mb] for (unit, _), idle_mb in zip(running, idle, strict=True)}
    errors = dict.fromkeys(rss, 0)
    for minute in range(1, run.plan.soak_minutes + 1):
        for unit, result in _one_minute(run, running).items():
            errors[unit] += result.errors
        for unit, each in running:
            each.server.fail_if_dead()
            rss[unit].append(each.server.rss_bytes() / 1e6)
        print(f"  minute {minute}: " + ", ".join(f"{unit}s {rss[unit][-1]:.1f} MB" for unit in rss), flush=True)
    for unit, each in running:
        figures = {f"minute_{minute}_mb": value for minute, value in enumerate(rss[unit])}
        figures |= {"errors": float(errors[unit]), "slope_mb_per_minute": slope(rss[unit][len(rss[unit]) // 3 :])}
        run.record(f"soak {unit}", each.name, **figures)


def _one_minute(run: Run, running: list[tuple[str, Running]]) -> dict[str, Throughput]:
    """Send requests and streams at the same time."""
    rates = dict(zip(UNITS, run.plan.soak_rates_per_s, strict=True))

    def send(unit: str, each: Running) -> Throughput:
        work_dir = run.work_dir / f"soak-{unit}"
        work_dir.mkdir(exist_ok=True)
        plan = H2Load(0, _SOAK_CONNECTIONS, 1, rates[unit])
        is_stream = unit == "stream"
        return run_steady(each.address, plan, _MINUTE_S, is_stream=is_stream, work_dir=work_dir, cores=run.cores.rest)

    with ThreadPoolExecutor() as threads:
        sent = {unit: threads.submit(send, unit, each) for unit, each in running}
        return {unit: future.result() for unit, future in sent.items()}


def slope(values: Sequence[float]) -> float:
    """Return the slope of the regression line, per value. The warm-up of a process is not part of `values`."""
    if len(values) < 2:
        return 0.0
    return statistics.linear_regression(range(len(values)), values).slope
