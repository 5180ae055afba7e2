"""Measures every case: CPU time by thread, samples, instructions. Checkouts and cases take turns in each round."""

import contextlib
import http.client
import statistics
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from bench.cost.server import (
    CASES,
    CostCase,
    Gateway,
    Instructions,
    callgrind_gateway,
    has_callgrind,
    sampled_gateway,
)
from bench.cost.steps import CpuTime, Samples, function_shares, merged, split
from bench.load import run_wrk
from bench.processes import Cores
from bench.targets import Target
from bench.upstream import Upstream

CONNECTIONS = 32
_COUNTS = 2
"""How often instructions are counted. The lower count has fewer of the instructions that are not due to requests."""


@dataclass(frozen=True)
class CostPlan:
    """Duration and number of the measurements."""

    seconds: float = 2.0
    rounds: int = 5
    instruction_requests: int = 200


@dataclass
class Cost:
    """What one case costs in one checkout."""

    per_round_us: list[float] = field(default_factory=list)
    """CPU time per request."""
    threads: dict[int, CpuTime] = field(default_factory=dict)
    """CPU time of each thread, over all rounds."""
    samples: list[Samples] = field(default_factory=list)
    main_thread: int = 0
    errors: int = 0
    instructions: dict[str, float] = field(default_factory=dict)
    """Library -> instructions per request."""

    @property
    def cpu_us(self) -> float:
        return statistics.median(self.per_round_us)

    def add(self, before: dict[int, CpuTime], after: dict[int, CpuTime], requests: int) -> None:
        used_us = 0
        for thread, now in after.items():
            then = before.get(thread, CpuTime(0, 0))
            used = CpuTime(now.user_us - then.user_us, now.system_us - then.system_us)
            used_us += used.total_us
            sum_before = self.threads.get(thread, CpuTime(0, 0))
            self.threads[thread] = CpuTime(sum_before.user_us + used.user_us, sum_before.system_us + used.system_us)
        self.per_round_us.append(used_us / requests)

    def steps_us(self) -> dict[str, float]:
        """Return the CPU time per request of each step."""
        return split(self.cpu_us, self.threads, merged(self.samples), self.main_thread)

    def functions_us(self) -> dict[str, float]:
        """Return the CPU time per request in each function itself, on the main thread and in user space."""
        total_us = sum(used.total_us for used in self.threads.values())
        user_us = self.threads[self.main_thread].user_us * self.cpu_us / total_us if total_us else 0.0
        return {name: share * user_us for name, share in function_shares(merged(self.samples)).items()}


Costs = dict[tuple[str, CostCase], Cost]
"""By name of the checkout and case."""


@dataclass
class CostRun:
    """The environment and the results."""

    plan: CostPlan
    targets: list[Target]
    """This checkout, then the others."""
    upstream: Upstream
    work_dir: Path
    cores: Cores
    costs: Costs = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def cost(self, target: Target, case: CostCase) -> Cost:
        return self.costs.setdefault((target.name, case), Cost())


def measure_cpu(run: CostRun) -> None:
    """Measure CPU times without the sampler, and sample this checkout. The first round is a warm-up."""
    with contextlib.ExitStack() as stack:
        gateways = [
            (target, stack.enter_context(sampled_gateway(target, run.upstream, run.work_dir / target.name, run.cores)))
            for target in run.targets
        ]
        for number in range(run.plan.rounds + 1):
            print(f"CPU time: round {number} of {run.plan.rounds}", flush=True)
            for case in CASES:
                for target, gateway in gateways:
                    _one_round(run, run.cost(target, case), gateway, case, is_warm_up=number == 0)
                if number:
                    with gateways[0][1].sampled(run.cost(run.targets[0], case).samples):
                        _load(run, gateways[0][1], case)


def _one_round(run: CostRun, cost: Cost, gateway: Gateway, case: CostCase, *, is_warm_up: bool) -> None:
    before = gateway.thread_times()
    requests, errors = _load(run, gateway, case)
    gateway.server.fail_if_dead()
    cost.errors += errors
    cost.main_thread = gateway.pid
    if not is_warm_up and requests:
        cost.add(before, gateway.thread_times(), requests)


def _load(run: CostRun, gateway: Gateway, case: CostCase) -> tuple[int, int]:
    """Keep the connections busy. Return the number of requests and of errors."""
    result = run_wrk(
        gateway.address(case),
        is_stream=case.is_stream,
        seconds=run.plan.seconds,
        connections=CONNECTIONS,
        work_dir=run.work_dir,
        cores=run.cores.rest,
    )
    return result.requests, result.errors


def measure_instructions(run: CostRun) -> None:
    """Count instructions, if callgrind is installed."""
    if not has_callgrind():
        run.notes.append("Instructions were not counted: valgrind is not installed.")
        return
    for target in run.targets:
        work_dir = run.work_dir / f"callgrind-{target.name}"
        try:
            with callgrind_gateway(target, run.upstream, work_dir, run.cores) as gateway:
                instructions = Instructions(gateway, run.plan.instruction_requests)
                for case in CASES:
                    print(f"instructions: {target.title}, {case.unit}, {case.pair.title}", flush=True)
                    counts = [instructions.count(case) for _ in range(_COUNTS)]
                    run.cost(target, case).instructions = min(counts, key=lambda each: sum(each.values()))
        except (OSError, RuntimeError, http.client.HTTPException, subprocess.SubprocessError) as error:
            run.notes.append(f"The instructions of {target.title} were not counted: {error}")
