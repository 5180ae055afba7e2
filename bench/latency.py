"""Latency: what a program adds to the time of a request at half load, and to the first byte of a stream."""

import dataclasses
import statistics
import subprocess
import time
from collections.abc import Callable
from http.client import HTTPException

from bench.load import Address, FirstByteProbe, H2Load, Timings, run_wrk
from bench.pairs import Size
from bench.processes import pinned
from bench.run import Run, Running, quantile
from bench.targets import OURSELVES, YARDSTICK

_CAPACITY_S = 1.0
_IDLE_WINDOW_S = 0.5
_IDLE_SHARE = 0.04
_MAX_SETTLE_S = 15.0
_QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def measure_half_load(run: Run, running: list[Running], size: Size) -> None:
    """Measure latency at a fixed rate: half of IntelliRouter's capacity, or half of the target's if that is lower.

    Then measure the targets that are at least as fast as SMG once more, all at half of SMG's capacity. Capacities are
    measured at the beginning of each round: the speed of a virtual machine can change by half within minutes, and at a
    rate above its capacity a program shows only the length of its queue.
    """
    if not running:
        return
    _measure_at(run, running, f"half load {size.name}", _own_halves)
    if any(each.name == YARDSTICK for each in running):
        _measure_at(run, running, f"equal load {size.name}", _equal_halves)


def _own_halves(capacities: dict[str, float]) -> dict[str, float]:
    own = capacities.get(OURSELVES, max(capacities.values()))
    return {name: min(own, capacity) / 2 for name, capacity in capacities.items()}


def _equal_halves(capacities: dict[str, float]) -> dict[str, float]:
    slowest = capacities[YARDSTICK]
    return {name: slowest / 2 for name, capacity in capacities.items() if capacity >= slowest}


def _measure_at(
    run: Run, running: list[Running], measurement: str, choose: Callable[[dict[str, float]], dict[str, float]]
) -> None:
    """Every measurement through a program is between two directly to the upstream, whose mean is subtracted."""
    rows: dict[str, list[dict[str, float]]] = {}
    for number in range(run.plan.rounds):
        print(f"requests, {measurement}: round {number + 1} of {run.plan.rounds}", flush=True)
        rates_per_s = choose({each.name: _capacity_per_s(run, each) for each in running})
        _wait_until_idle(running)
        for each in running:
            if (rate := rates_per_s.get(each.name)) is None:
                continue
            try:
                row = _one_round(run, each, H2Load.at_rate(rate, run.plan.seconds))
            except (RuntimeError, subprocess.SubprocessError) as error:
                run.note(f"{each.title}, {measurement}: {error}")
            else:
                rows.setdefault(each.name, []).append(row | {"rate_per_s": rate})
    for name, seen in rows.items():
        run.record(measurement, name, **summary(seen))


def _wait_until_idle(running: list[Running]) -> None:
    """Wait until no program works on what its capacity run has left, such as records to be stored.

    Otherwise the program that is measured first is measured with the most of it.
    """
    deadline_s = time.monotonic() + _MAX_SETTLE_S
    while time.monotonic() < deadline_s:
        before_us = [each.server.cpu_us() for each in running]
        time.sleep(_IDLE_WINDOW_S)
        spent_us = [each.server.cpu_us() - before for each, before in zip(running, before_us, strict=True)]
        if max(spent_us) <= _IDLE_SHARE * _IDLE_WINDOW_S * 1e6:
            return


def _capacity_per_s(run: Run, each: Running) -> float:
    return run_wrk(
        each.address,
        is_stream=False,
        seconds=_CAPACITY_S,
        connections=max(run.plan.connections),
        work_dir=run.work_dir,
        cores=run.cores.rest,
    ).rate_per_s


def _one_round(run: Run, each: Running, plan: H2Load) -> dict[str, float]:
    upstream = dataclasses.replace(
        each.address, port=run.upstream.port(each.address.size, is_stream=False), model="bench-1", headers=()
    )
    short = dataclasses.replace(plan, requests=max(plan.connections, plan.requests // 2))
    before, through, after = (
        run.h2load(address, load, is_stream=False)
        for address, load in ((upstream, short), (each.address, plan), (upstream, short))
    )
    return added(before, through, after)


def added(before: Timings, through: Timings, after: Timings) -> dict[str, float]:
    """Return the quantiles of `through`, and by how much they exceed those of direct requests before and after it."""
    found = {"errors": float(through.errors)}
    durations = [sorted(timings.steady_us()) for timings in (before, through, after)]
    for name, share in _QUANTILES.items():
        first, total, second = (quantile(each, share) for each in durations)
        found[f"total_{name}_us"] = total
        found[f"added_{name}_us"] = total - (first + second) / 2
    return found


def summary(rounds: list[dict[str, float]]) -> dict[str, float]:
    """Return the medians over the rounds, the range of the added p99, and the sum of the errors."""
    columns = {name: [each[name] for each in rounds] for name in rounds[0]}
    found = {name: statistics.median(values) for name, values in columns.items()}
    found["added_p99_us_lowest"] = min(columns["added_p99_us"])
    found["added_p99_us_highest"] = max(columns["added_p99_us"])
    found["errors"] = sum(columns["errors"])
    return found


def measure_first_byte(run: Run, running: list[Running], size: Size) -> None:
    """Measure one stream at a time, alternately directly to the upstream and through the target."""
    with pinned(run.cores.rest):
        for each in running:
            _first_byte(run, each, size)


def _first_byte(run: Run, each: Running, size: Size) -> None:
    print(f"streams, {size.title}: first byte, {each.target.title}", flush=True)
    upstream_port = run.upstream.port(size, is_stream=True)
    direct = FirstByteProbe(Address(upstream_port, "bench-1", dialect=each.address.dialect, size=size))
    through = FirstByteProbe(each.address)
    try:
        pairs = [(direct.measure_us(), through.measure_us()) for _ in range(run.plan.probes + 20)][20:]
    except (OSError, RuntimeError, HTTPException) as error:
        run.note(f"{each.target.title}, first byte: {error}")
        return
    finally:
        direct.close()
        through.close()
    for name in ("p50", "p95"):
        base, there = (quantile(sorted(column), _QUANTILES[name]) for column in zip(*pairs, strict=True))
        run.record(f"first byte {size.name}", each.name, **{f"added_{name}_us": there - base})
