"""One run of the benchmark: its plan, its environment, the programs that are running, and the figures."""

import contextlib
import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench.load import Address, H2Load, Timings, run_h2load, wait_until_ready
from bench.pairs import PAIRS, RELAY, SMALL, Pair, Size
from bench.processes import Cores, Server
from bench.targets import Target, clean_env
from bench.upstream import Upstream

Figures = dict[str, float]
"""Name of a figure (with its unit) -> value."""

_SETTLE_S: Final = 3.0
"""Work after the first response, such as preparing a database in a child process, is not part of the idle memory."""

UNITS: Final = ("request", "stream")


@dataclass(frozen=True)
class Plan:
    """What is measured, how long, and how often."""

    seconds: float = 5.0
    rounds: int = 5
    probes: int = 300
    starts: int = 5
    connections: tuple[int, ...] = (32,)
    sizes: tuple[Size, ...] = (SMALL,)
    pairs: tuple[Pair, ...] = PAIRS
    slow_streams: tuple[int, ...] = (1000,)
    soak_minutes: int = 10
    soak_rates_per_s: tuple[float, float] = (1000.0, 300.0)
    """Requests and streams per second."""


@dataclass(frozen=True)
class Case:
    """What a closed loop sends."""

    unit: str
    pair: Pair
    size: Size
    connections: int

    @property
    def name(self) -> str:
        return f"{self.unit} {self.pair.name} {self.size.name} {self.connections}"

    @property
    def load(self) -> str:
        return f"{self.size.title}, {self.connections} {'connection' if self.connections == 1 else 'connections'}"


@dataclass
class Run:
    """One run: its environment and its results."""

    plan: Plan
    work_dir: Path
    cores: Cores
    upstream: Upstream
    targets: list[Target]
    figures: dict[str, dict[str, Figures]] = field(default_factory=dict)
    """Name of a measurement -> name of the target -> figures."""
    notes: list[str] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=itertools.count)
    """Numbers for the directories of the programs."""

    def record(self, measurement: str, target: str, **figures: float) -> None:
        self.figures.setdefault(measurement, {}).setdefault(target, {}).update(figures)

    def figure(self, measurement: str, target: str, name: str) -> float | None:
        return self.figures.get(measurement, {}).get(target, {}).get(name)

    def note(self, text: str) -> None:
        """Print the text now, and add its first and last line to the result."""
        print(f"  ! {text}", flush=True)
        lines = text.strip().splitlines()
        self.notes.append(lines[0] if len(lines) == 1 else f"{lines[0]} … {lines[-1]}")

    def h2load(self, address: Address, plan: H2Load, *, is_stream: bool) -> Timings:
        return run_h2load(address, plan, is_stream=is_stream, work_dir=self.work_dir, cores=self.cores.rest)


@dataclass
class Running:
    """A target that is running and responds."""

    target: Target
    server: Server
    address: Address
    pair: Pair = RELAY

    @property
    def name(self) -> str:
        return self.target.name

    @property
    def title(self) -> str:
        return f"{self.target.title} ({self.pair.title})"


def start(run: Run, target: Target, upstream_port: int, *, is_stream: bool, pair: Pair = RELAY) -> Running:
    """Start a target in front of this upstream, and wait for its first correct response."""
    work_dir = run.work_dir / f"{next(run.numbers)}-{target.name}"
    work_dir.mkdir(parents=True)
    launch = target.prepare(work_dir, upstream_port, pair)
    server = Server.start(target.name, launch.command, clean_env() | launch.env, work_dir, run.cores.target)
    try:
        deadline_s = time.monotonic() + target.start_timeout_s
        wait_until_ready(launch.address, is_stream=is_stream, deadline_s=deadline_s, check=server.fail_if_dead)
    except BaseException:
        server.stop()
        raise
    return Running(target, server, launch.address, pair)


def idle_rss_mb(running: Sequence[Running]) -> list[float]:
    """Return the resident memory of programs that have just been started, after they have settled."""
    time.sleep(_SETTLE_S)
    return [each.server.rss_bytes() / 1e6 for each in running]


@contextlib.contextmanager
def all_running(
    run: Run, upstream_port: int, *, is_stream: bool, pairs: Sequence[Pair] = (RELAY,)
) -> Iterator[list[Running]]:
    """Start every target, once for each of `pairs` that it supports. Notes and omits targets that do not start."""
    with contextlib.ExitStack() as stack:
        running: list[Running] = []
        for target, pair in [(target, pair) for target in run.targets for pair in pairs if pair in target.pairs]:
            try:
                each = start(run, target, upstream_port, is_stream=is_stream, pair=pair)
            except (OSError, RuntimeError) as error:
                run.note(f"{target.title} did not start ({pair.title}): {error}")
                continue
            stack.callback(each.server.stop)
            running.append(each)
        yield running


def quantile(ordered: Sequence[float], share: float) -> float:
    return float(ordered[min(len(ordered) - 1, int(len(ordered) * share))])
