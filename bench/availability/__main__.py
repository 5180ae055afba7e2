"""`python -m bench.availability [--requests N] [--against CHECKOUT ...]`: success while a deployment misbehaves."""

import argparse
import asyncio
import contextlib
import itertools
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Final

import httpx

from bench.availability import report
from bench.availability.faults import FAULTS
from bench.availability.gateway import configuration, running_gateway
from bench.availability.judge import SHAPES, Verdict, ask
from bench.processes import MachineTime, allow_many_files
from bench.report import ROOT, disturbance, machine_facts
from bench.targets import OURSELVES, TARGETS, Target, checkout
from intellirouter.testing import MockVendor

RESULT: Final = ROOT / "bench" / "results" / "availability.md"
_REQUEST_TIMEOUT_S: Final = 60.0

Results = dict[str, list[Verdict]]
"""Verdicts by title of the fault."""


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.availability",
        description="Measure the share of requests that succeed while one of three deployments misbehaves.",
    )
    parser.add_argument("--requests", type=int, default=22_000, help="requests in total; default: 22000")
    parser.add_argument("--at-once", type=int, default=16, help="requests at once; default: 16")
    parser.add_argument("--against", nargs="+", type=Path, default=[], help="also measure these other checkouts")
    parser.add_argument("--dry-run", action="store_true", help="print the report and do not write it")
    return parser.parse_args(arguments)


async def _period(client: httpx.AsyncClient, model: str, numbers: range, at_once: int) -> list[Verdict]:
    """Send the requests with these numbers, in turn in every shape, and return the verdicts."""
    waiting = iter(numbers)
    verdicts: list[Verdict] = []

    async def work() -> None:
        verdicts.extend([await ask(client, model, SHAPES[number % len(SHAPES)], number) for number in waiting])

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(work())
    return verdicts


def _model(turn: int) -> str:
    """Return the model of one fault. Each has its own, so that the gateway does not expect the fault."""
    return f"model-{turn}"


async def _rotate(port: int, vendors: list[MockVendor], requests: int, at_once: int) -> Results:
    """Let one vendor after the other misbehave, each time in another way, while requests are sent."""
    results: Results = defaultdict(list)
    limits = httpx.Limits(max_connections=at_once)
    base_url = f"http://127.0.0.1:{port}"
    per_fault = max(1, requests // len(FAULTS))
    async with httpx.AsyncClient(base_url=base_url, timeout=_REQUEST_TIMEOUT_S, limits=limits) as client:
        for turn, (title, fault) in enumerate(FAULTS.items()):
            vendor = vendors[turn % len(vendors)]
            vendor.fault(**fault)
            results[title] = await _period(client, _model(turn), range(per_fault), at_once)
            vendor.clear()
            print(f"  {title}: {report.summary(results[title])}", flush=True)
    return results


def _measure(target: Target, work_dir: Path, options: argparse.Namespace) -> Results:
    print(f"{target.title}:", flush=True)
    with contextlib.ExitStack() as stack:
        models = [_model(turn) for turn in range(len(FAULTS))]
        vendors = [stack.enter_context(MockVendor()) for _ in range(3)]
        config = configuration(vendors, models)
        _, port = stack.enter_context(running_gateway(target, config, work_dir / target.name))
        return asyncio.run(_rotate(port, vendors, options.requests, options.at_once))


def main() -> int:
    options = parse(sys.argv[1:])
    own = next(target for target in TARGETS if target.name == OURSELVES)
    machine, before = machine_facts(), MachineTime.now()
    allow_many_files()
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        targets = [own, *(checkout(path) for path in options.against)]
        results = {target.title: _measure(target, Path(directory), options) for target in targets}
    machine |= disturbance(before, MachineTime.now())
    text = report.render(results, machine, time.strftime("%Y-%m-%d"), options.at_once)
    print(f"\n{text}")
    if not options.dry_run:
        RESULT.write_text(text, encoding="utf-8")
        print(f"Wrote {RESULT.relative_to(ROOT)}.")
    silent = sum(report.silent_faults(list(itertools.chain(*each.values()))) for each in results.values())
    return 1 if silent else 0


if __name__ == "__main__":
    sys.exit(main())
