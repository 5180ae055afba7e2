"""Closed loops: a fixed number of connections that are always busy. Shows what a request or a stream costs.

Programs take turns in each round, so that a slow moment of the machine affects all of them.
"""

import dataclasses
import statistics
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field

from bench.latency import measure_first_byte, measure_half_load
from bench.load import Throughput, run_wrk
from bench.pairs import Pair, Size
from bench.run import Case, Figures, Run, Running, all_running, idle_rss_mb
from bench.targets import OURSELVES, REFERENCE, YARDSTICK

Key = tuple[str, Pair]
"""Name of the target, pair of dialects."""

_WARM_UP_S = 2.0


@dataclass
class Series:
    """The rounds of one load, all targets and pairs."""

    costs: list[dict[Key, float]] = field(default_factory=list)
    """CPU µs per request, one mapping per round."""
    rates: dict[Key, list[float]] = field(default_factory=dict)
    errors: dict[Key, int] = field(default_factory=dict)

    def add(self, key: Key, cpu_us: float, result: Throughput) -> None:
        """Add a result to the last round."""
        self.errors[key] = self.errors.get(key, 0) + result.errors
        if result.requests:
            self.costs[-1][key] = cpu_us / result.requests
            self.rates.setdefault(key, []).append(result.rate_per_s)

    def summary(self, key: Key) -> Figures:
        costs = [round_costs[key] for round_costs in self.costs if key in round_costs]
        if not costs:
            return {"errors": float(self.errors[key])}
        return {
            "cpu_us": statistics.median(costs),
            "cpu_us_lowest": min(costs),
            "cpu_us_highest": max(costs),
            "per_s": statistics.median(self.rates[key]),
            "errors": float(self.errors[key]),
        } | ratios(self.costs, key)


def ratios(rounds: Iterable[dict[Key, float]], key: Key) -> Figures:
    """Return the medians of the ratios to the costs of others in the same round.

    They are nginx (which translates nothing: its cost for the same client), SMG, IntelliRouter, and the program itself
    without translation.
    """
    name, pair = key
    others = {
        "ratio_to_reference": (REFERENCE, pair.relay),
        "ratio_to_yardstick": (YARDSTICK, pair),
        "ratio_to_ours": (OURSELVES, pair),
        "ratio_to_relay": (name, pair.relay),
    }
    found = {}
    for figure, other in others.items():
        both = [costs[key] / costs[other] for costs in rounds if costs.get(other) and key in costs]
        if both and (other != key or figure == "ratio_to_reference"):
            found[figure] = statistics.median(both)
    return found


def measure_loops(run: Run, unit: str) -> None:
    """Measure requests or streams of every size, with every number of connections and every pair of dialects.

    With the first pair, which is the one without translation unless the user selects another, also latency and memory.
    """
    for size in run.plan.sizes:
        print(f"{unit}s, {size.title}: starting", flush=True)
        is_stream = unit == "stream"
        port = run.upstream.port(size, is_stream=is_stream)
        with all_running(run, port, is_stream=is_stream, pairs=run.plan.pairs) as running:
            for each, rss_mb in zip(running, idle_rss_mb(running), strict=True):
                each.address = dataclasses.replace(each.address, size=size)
                if each.pair == run.plan.pairs[0]:
                    run.record(f"memory {size.name}", each.name, rss_idle_mb=rss_mb)
            _loops(run, running, unit, size)
            first = [each for each in running if each.pair == run.plan.pairs[0]]
            (measure_first_byte if is_stream else measure_half_load)(run, first, size)
            for each in first:
                after = {f"rss_after_{unit}s_mb": each.server.rss_bytes() / 1e6}
                run.record(f"memory {size.name}", each.name, **after)


def _loops(run: Run, running: list[Running], unit: str, size: Size) -> None:
    """Run the rounds. The warm-up is discarded. Targets that exit are noted and removed from `running`."""
    series = {connections: Series() for connections in run.plan.connections}
    for number in range(run.plan.rounds + 1):
        for connections, results in series.items():
            print(f"{unit}s, {size.title}, {connections} at once: round {number} of {run.plan.rounds}", flush=True)
            results.costs.append({})
            for each in list(running):
                seconds = run.plan.seconds if number else min(_WARM_UP_S, run.plan.seconds)
                try:
                    cpu_us, result = _loop(run, each, seconds, connections, is_stream=unit == "stream")
                except (RuntimeError, subprocess.SubprocessError) as error:
                    run.note(f"{each.title}, {unit}s, {size.title}: {error}")
                    running.remove(each)
                    continue
                if number:
                    results.add((each.name, each.pair), cpu_us, result)
    for connections, results in series.items():
        for name, pair in results.errors:
            case = Case(unit, pair, size, connections)
            run.record(case.name, name, **results.summary((name, pair)))


def _loop(run: Run, each: Running, seconds: float, connections: int, *, is_stream: bool) -> tuple[float, Throughput]:
    """Keep the connections busy; return the CPU time of the target in µs, and what wrk counted."""
    before_us = each.server.cpu_us()
    result = run_wrk(
        each.address,
        is_stream=is_stream,
        seconds=seconds,
        connections=connections,
        work_dir=run.work_dir,
        cores=run.cores.rest,
    )
    each.server.fail_if_dead()
    return each.server.cpu_us() - before_us, result
