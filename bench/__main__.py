"""`python -m bench [--quick] [--only NAME ...] [--against CHECKOUT ...] [--phase PHASE ...] [--name NAME]`."""

import argparse
import sys
import tempfile
from pathlib import Path

from bench import report, startup
from bench.measure import Plan, Run, measure_pairs, measure_requests, measure_slow_streams, measure_streams
from bench.processes import Cores, allow_many_files
from bench.targets import OURSELVES, REFERENCE, TARGETS, Target, checkout
from bench.upstream import Upstream

PHASES = ("requests", "streams", "pairs", "slow", "start")


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Benchmark the gateway and other programs.")
    names = [target.name for target in TARGETS]
    parser.add_argument("--quick", action="store_true", help="short rounds: a smoke test, not a result")
    parser.add_argument("--only", nargs="+", choices=names, help=f"measure only these, and {REFERENCE}")
    parser.add_argument(
        "--against", nargs="+", type=Path, default=[], help="also measure these other checkouts of IntelliRouter"
    )
    parser.add_argument("--phase", nargs="+", choices=PHASES, default=PHASES, help="run only these phases")
    parser.add_argument("--seconds", type=float, help="duration of one measurement, in seconds")
    parser.add_argument("--rounds", type=int, help="number of rounds")
    parser.add_argument("--name", help="name of the result: bench/results/<date>-NAME.md")
    return parser.parse_args(arguments)


def make_plan(options: argparse.Namespace) -> Plan:
    plan = Plan(1.0, 2, 50, 200, 2) if options.quick else Plan()
    return Plan(
        options.seconds or plan.seconds,
        options.rounds or plan.rounds,
        plan.probes,
        plan.streams_at_once,
        plan.starts,
    )


def choose(only: list[str] | None, checkouts: list[Path]) -> tuple[list[Target], list[Target]]:
    """Return the targets to measure and those that are not installed. The reference is always measured."""
    wanted = [target for target in TARGETS if only is None or target.name in {REFERENCE, *only}]
    wanted[2:2] = [checkout(path) for path in checkouts]
    present = [target for target in wanted if target.find_version() is not None]
    return present, [target for target in wanted if target not in present]


def measure(run: Run, phases: tuple[str, ...]) -> None:
    if "requests" in phases:
        measure_requests(run)
    if "streams" in phases:
        measure_streams(run)
    if "pairs" in phases:
        measure_pairs(run)
    if "slow" in phases:
        measure_slow_streams(run)
    if "start" in phases:
        measure_starts(run)


def measure_starts(run: Run) -> None:
    """Measure the start of new processes of IntelliRouter, and of the other checkouts."""
    for target in run.targets:
        if not target.name.startswith(OURSELVES):
            continue
        print(f"start: new processes, {target.title}", flush=True)
        try:
            run.record(target.name, import_ms=startup.import_ms(run.plan.starts, target.env))
            work_dir = run.work_dir / target.name
            run.record(target.name, **startup.start_ms(run.plan.starts, work_dir, run.cores, target.env))
        except (OSError, RuntimeError) as error:
            run.note(f"{target.title}, start: {error}")


def main() -> int:
    options = parse(sys.argv[1:])
    targets, missing = choose(options.only, options.against)
    machine = report.machine_facts()
    allow_many_files()
    cores = Cores.split()
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        work_dir = Path(directory)
        upstream, server = Upstream.start(work_dir / "upstream", cores)
        try:
            run = Run(make_plan(options), work_dir, cores, upstream, targets)
            measure(run, tuple(options.phase))
        finally:
            server.stop()
    text, path = report.write(run, machine, missing, options.name or ("quick" if options.quick else "full"))
    print(f"\n{text}\nWrote {path.relative_to(report.ROOT)} and .json.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
