"""`python -m bench.soak_faults [--minutes N] [--rate N]`: mixed load and faults for a long time."""

import argparse
import asyncio
import contextlib
import itertools
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.availability.faults import FAULTS
from bench.availability.gateway import running_gateway
from bench.processes import MachineTime, Server, allow_many_files
from bench.report import ROOT, disturbance, machine_facts
from bench.soak_faults import report, samples
from bench.soak_faults.configuration import SLOW_MODEL, configuration
from bench.soak_faults.load import Load
from bench.soak_faults.report import Soak
from bench.soak_faults.samples import Sample
from bench.targets import OURSELVES, TARGETS
from intellirouter.testing import MockVendor

RESULT: Final = ROOT / "bench" / "results" / "soak-faults.md"
SAMPLE_S: Final = 10.0
FAULT_S: Final = 8.0
"""How long a vendor misbehaves in one way."""
WARM_UP_S: Final = 15.0
DRAIN_S: Final = 60.0
MAX_SLOPE_MB_PER_HOUR: Final = 6.0


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.soak_faults",
        description="Run mixed load with faults for a long time, and look for what grows or is left over.",
    )
    parser.add_argument("--minutes", type=float, default=30.0, help="duration of the load; default: 30")
    parser.add_argument("--rate", type=float, default=60.0, help="requests per second; default: 60")
    parser.add_argument("--dry-run", action="store_true", help="print the report and do not write it")
    return parser.parse_args(arguments)


async def _misbehave(vendors: Sequence[MockVendor]) -> None:
    """Let one vendor after the other misbehave, in turn in every way, until this is canceled."""
    for vendor, fault in zip(itertools.cycle(vendors), itertools.cycle(FAULTS.values())):
        await asyncio.to_thread(_set_fault, vendor, fault)
        await asyncio.sleep(FAULT_S)
        await asyncio.to_thread(_set_fault, vendor, None)


def _set_fault(vendor: MockVendor, fault: dict[str, object] | None) -> None:
    vendor.clear()
    if fault is not None:
        vendor.fault(**fault)  # type: ignore[arg-type]
    vendor.fault("slow_drip", match={"model": SLOW_MODEL}, delay_s=0.05, bytes=80)


async def _watch(server: Server, port: int, started_s: float, taken: list[Sample]) -> None:
    """Take a sample every few seconds, until this is canceled."""
    for turn in itertools.count(1):
        await asyncio.sleep(max(0.0, started_s + turn * SAMPLE_S - time.monotonic()))
        server.fail_if_dead()
        sample = await asyncio.to_thread(samples.take, server.process.pid, port, started_s)
        taken.append(sample)
        if turn % 6 == 0:
            tasks, sockets = sample.values["tasks"], sample.values["other sockets"]
            print(
                f"  {sample.at_s / 60:.0f} min: {sample.rss_mb:.1f} MB, {tasks:g} tasks, {sockets:g} sockets",
                flush=True,
            )


async def _soak(server: Server, port: int, vendors: Sequence[MockVendor], options: argparse.Namespace) -> Soak:
    await _warm_up(port, options.rate)
    idle = await _settled(server, port, None)
    load, taken, started_s = Load(port), list[Sample](), time.monotonic()
    async with asyncio.TaskGroup() as group:
        helpers = [group.create_task(_misbehave(vendors)), group.create_task(_watch(server, port, started_s, taken))]
        await load.run(options.rate, asyncio.get_running_loop().time() + options.minutes * 60)
        for helper in helpers:
            helper.cancel()
    await load.finish()
    for vendor in vendors:  # this closes the idle connections to them
        vendor.stop()
    ended_s = time.monotonic()
    after = await _settled(server, port, idle)
    return Soak(
        minutes=options.minutes,
        rate_per_s=options.rate,
        counts=load.counts,
        skipped=load.skipped,
        idle=idle,
        samples=taken,
        after=after,
        drain_s=time.monotonic() - ended_s,
    )


async def _warm_up(port: int, rate_per_s: float) -> None:
    """Send some load without faults, so that what the gateway creates once is not among what grows."""
    load = Load(port)
    await load.run(rate_per_s, asyncio.get_running_loop().time() + WARM_UP_S)
    await load.finish()


async def _settled(server: Server, port: int, before: Sample | None) -> Sample:
    """Return a sample as soon as nothing is left over, or after a while."""
    deadline_s = time.monotonic() + DRAIN_S
    while True:
        await asyncio.sleep(2.0 if before is None else 0.5)
        sample = await asyncio.to_thread(samples.take, server.process.pid, port, time.monotonic())
        is_idle = sample.values["in flight"] <= 1 if before is None else not samples.left_over(before, sample)
        if is_idle or time.monotonic() >= deadline_s:
            return sample


def main() -> int:
    options = parse(sys.argv[1:])
    own = next(target for target in TARGETS if target.name == OURSELVES)
    machine, before = machine_facts(), MachineTime.now()
    allow_many_files()
    with tempfile.TemporaryDirectory(prefix="bench-") as directory, contextlib.ExitStack() as stack:
        work_dir = Path(directory)
        vendors = [stack.enter_context(MockVendor()) for _ in range(3)]
        server, port = stack.enter_context(running_gateway(own, configuration(vendors, work_dir), work_dir))
        soak = asyncio.run(_soak(server, port, vendors, options))
    machine |= disturbance(before, MachineTime.now())
    text = report.render(soak, machine, time.strftime("%Y-%m-%d"))
    print(f"\n{text}")
    if not options.dry_run:
        RESULT.write_text(text, encoding="utf-8")
        print(f"Wrote {RESULT.relative_to(ROOT)}.")
    is_steady = samples.slope_mb_per_hour(soak.samples) <= MAX_SLOPE_MB_PER_HOUR
    return 0 if is_steady and not soak.silently_wrong and not soak.left_over else 1


if __name__ == "__main__":
    sys.exit(main())
