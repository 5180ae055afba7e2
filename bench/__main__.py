"""`python -m bench [--quick] [--only NAME ...] [--phase PHASE ...] [--against CHECKOUT ...] …`; see `--help`."""

import argparse
import dataclasses
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from bench import report, startup
from bench.closed_loop import measure_loops
from bench.endurance import measure_slow_streams, measure_soak
from bench.pairs import PAIRS, SIZES
from bench.processes import Cores, MachineTime, allow_many_files
from bench.run import Plan, Run
from bench.targets import OURSELVES, REFERENCE, TARGETS, Target, checkout
from bench.upstream import Upstream

DEFAULT_PHASES: Final = ("requests", "streams", "slow", "start")
QUICK: Final = Plan(seconds=1.0, rounds=2, probes=50, starts=2, slow_streams=(200,), soak_minutes=2)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Benchmark the gateway and other programs.")
    names = [target.name for target in TARGETS]
    parser.add_argument("--quick", action="store_true", help="short rounds: a smoke test, not a result")
    parser.add_argument("--only", nargs="+", choices=names, help=f"measure only these, and {REFERENCE}; default: all")
    parser.add_argument(
        "--against",
        nargs="+",
        type=Path,
        default=[],
        help="also measure these other checkouts of IntelliRouter; default: none",
    )
    parser.add_argument(
        "--phase",
        nargs="+",
        choices=list(PHASES),
        default=DEFAULT_PHASES,
        help=f"run only these phases; default: {' '.join(DEFAULT_PHASES)}",
    )
    parser.add_argument(
        "--connections", nargs="+", type=int, help=f"requests or streams at once; default: {_listed(Plan.connections)}"
    )
    parser.add_argument(
        "--sizes",
        nargs="+",
        choices=[size.name for size in SIZES],
        help=f"sizes of requests; default: {_listed(each.name for each in Plan.sizes)}",
    )
    parser.add_argument(
        "--pairs",
        nargs="+",
        choices=[pair.name for pair in PAIRS],
        help="dialects of client and upstream; default: all",
    )
    parser.add_argument(
        "--slow-streams", nargs="+", type=int, help=f"slow streams at once; default: {_listed(Plan.slow_streams)}"
    )
    parser.add_argument(
        "--soak-minutes", type=int, help=f"duration of the phase soak for each program; default: {Plan.soak_minutes}"
    )
    parser.add_argument(
        "--seconds", type=float, help=f"duration of one measurement, in seconds; default: {Plan.seconds:g}"
    )
    parser.add_argument("--rounds", type=int, help=f"number of rounds; default: {Plan.rounds}")
    parser.add_argument("--name", help="name of the result: bench/results/<date>-NAME.md; default: full, or quick")
    return parser.parse_args(arguments)


def _listed(values: Iterable[object]) -> str:
    return " ".join(map(str, values))


def make_plan(options: argparse.Namespace) -> Plan:
    chosen: dict[str, Any] = {
        "seconds": options.seconds,
        "rounds": options.rounds,
        "connections": options.connections and tuple(options.connections),
        "sizes": options.sizes and tuple(size for size in SIZES if size.name in options.sizes),
        "pairs": options.pairs and tuple(pair for pair in PAIRS if pair.name in options.pairs),
        "slow_streams": options.slow_streams and tuple(options.slow_streams),
        "soak_minutes": options.soak_minutes,
    }
    return dataclasses.replace(
        QUICK if options.quick else Plan(), **{name: value for name, value in chosen.items() if value is not None}
    )


def choose(only: list[str] | None, checkouts: list[Path]) -> tuple[list[Target], list[Target]]:
    """Return the targets to measure and those that are not installed. The reference is always measured."""
    wanted = [target for target in TARGETS if only is None or target.name in {REFERENCE, *only}]
    wanted[2:2] = [checkout(path) for path in checkouts]
    present = [target for target in wanted if target.find_version() is not None]
    return present, [target for target in wanted if target not in present]


def measure_starts(run: Run) -> None:
    """Measure the start of new processes of IntelliRouter, and of the other checkouts."""
    for target in run.targets:
        if not target.name.startswith(OURSELVES):
            continue
        print(f"start: new processes, {target.title}", flush=True)
        try:
            run.record("start", target.name, import_ms=startup.import_ms(run.plan.starts, target.env))
            work_dir = run.work_dir / f"start-{target.name}"
            figures = startup.start_ms(run.plan.starts, work_dir, run.cores, target.env)
            run.record("start", target.name, **figures)
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            run.note(f"{target.title}, start: {error}")


PHASES: Final[dict[str, Callable[[Run], None]]] = {
    "requests": lambda run: measure_loops(run, "request"),
    "streams": lambda run: measure_loops(run, "stream"),
    "slow": measure_slow_streams,
    "start": measure_starts,
    "soak": measure_soak,
}


def main() -> int:
    options = parse(sys.argv[1:])
    targets, missing = choose(options.only, options.against)
    machine = report.machine_facts()
    before = MachineTime.now()
    allow_many_files()
    cores = Cores.split()
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        work_dir = Path(directory)
        upstream, server = Upstream.start(work_dir / "upstream", cores)
        try:
            run = Run(make_plan(options), work_dir, cores, upstream, targets)
            for name, phase in PHASES.items():
                if name in options.phase:
                    phase(run)
        finally:
            server.stop()
    machine |= report.disturbance(before, MachineTime.now())
    text, path = report.write(run, machine, missing, options.name or ("quick" if options.quick else "full"))
    print(f"\n{text}\nWrote {path.relative_to(report.ROOT)} and .json.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
