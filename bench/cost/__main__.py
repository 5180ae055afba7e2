"""`python -m bench.cost [--quick] [--against CHECKOUT ...]` writes bench/results/cost.md."""

import argparse
import dataclasses
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from bench.cost import report
from bench.cost.measure import CostPlan, CostRun, measure_cpu, measure_instructions
from bench.processes import Cores, MachineTime, allow_many_files
from bench.report import ROOT, disturbance, machine_facts
from bench.targets import OURSELVES, TARGETS, checkout
from bench.upstream import Upstream

RESULT: Final = ROOT / "bench" / "results" / "cost.md"
QUICK: Final = CostPlan(seconds=1.0, rounds=2, instruction_requests=100)


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.cost", description="Measure what each part of a request costs."
    )
    parser.add_argument("--quick", action="store_true", help="short rounds: prints the report and does not write it")
    parser.add_argument("--against", nargs="+", type=Path, default=[], help="also measure these other checkouts")
    parser.add_argument("--rounds", type=int, help="number of rounds; default: 5")
    parser.add_argument("--no-instructions", action="store_true", help="do not count instructions with callgrind")
    return parser.parse_args(arguments)


def main() -> int:
    options = parse(sys.argv[1:])
    plan = QUICK if options.quick else CostPlan()
    plan = dataclasses.replace(plan, rounds=options.rounds or plan.rounds)
    own = next(target for target in TARGETS if target.name == OURSELVES)
    machine, before = machine_facts(), MachineTime.now()
    allow_many_files()
    cores = Cores.split()
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        work_dir = Path(directory)
        upstream, server = Upstream.start(work_dir / "upstream", cores)
        try:
            targets = [own, *(checkout(path) for path in options.against)]
            run = CostRun(plan, targets, upstream, work_dir, cores)
            measure_cpu(run)
            if not options.no_instructions:
                measure_instructions(run)
        finally:
            server.stop()
    machine |= disturbance(before, MachineTime.now())
    text = report.render(run, machine, time.strftime("%Y-%m-%d"))
    print(f"\n{text}")
    if options.quick:
        print("This was a smoke test. The result was not written.")
        return 0
    previous = RESULT.read_text(encoding="utf-8") if RESULT.exists() else ""
    RESULT.write_text(report.combine(text, previous), encoding="utf-8")
    print(f"Wrote {RESULT.relative_to(ROOT)}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
