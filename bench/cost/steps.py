"""The steps of a request, to which CPU time is assigned: by the stack of a sample, by thread, or as kernel time."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

EVENT_LOOP: Final = "event loop"
KERNEL: Final = "kernel"
DRAIN: Final = "drain"
REST: Final = "rest"

STEPS: Final = {
    EVENT_LOOP: "server: event loop",
    "serving": "server: parse requests, write responses",
    "gateway": "server: application, headers, body",
    "spine": "identify, spine, attempts",
    "decode": "decode the request",
    "decide": "decide",
    "dialects": "encode for the upstream, read its answer",
    "transport": "transport (upstream connections)",
    "record": "record, metrics",
    DRAIN: "drain (its threads, kernel included)",
    KERNEL: "kernel (of the main thread)",
    REST: "rest",
}
"""Step -> title, in the order of the report."""

_PARTS_OF_SPINE: Final = {
    "Spine.decode": "decode",
    "Spine.decide": "decide",
    "Spine.settle": "record",
    "Spine.emit": "record",
}
"""These functions and all that they call."""
_MODULES: Final = (
    ("intellirouter.serving", "serving"),
    ("uvicorn", "serving"),
    ("intellirouter.gateway", "gateway"),
    ("intellirouter.roles", "gateway"),
    ("intellirouter.governance", "spine"),
    ("intellirouter.pipeline", "spine"),
    ("intellirouter.resilience", "spine"),
    ("intellirouter.catalog", "spine"),
    ("intellirouter.routing", "decide"),
    ("intellirouter.dialects", "dialects"),
    ("intellirouter.providers", "transport"),
    ("intellirouter.store", "record"),
    ("intellirouter.telemetry", "record"),
)
"""The other functions. What is in no list, such as `core` and libraries, counts for its caller."""
_DRAIN_THREADS: Final = {"store-drain", "spool-sync"}


@dataclass(frozen=True)
class Samples:
    """The stacks that were seen, and the names of the threads."""

    stacks: Counter[tuple[str, ...]]
    """Frames as `module:function`, the innermost first."""
    threads: dict[int, str]


@dataclass(frozen=True)
class CpuTime:
    """User and system time of a thread, in microseconds."""

    user_us: int
    system_us: int

    @property
    def total_us(self) -> int:
        return self.user_us + self.system_us


def step_of(stack: Sequence[str]) -> str:
    """Return the step to which a sample belongs."""
    if not stack:
        return EVENT_LOOP
    for frame in stack:
        module, _, function = frame.partition(":")
        if module == "intellirouter.pipeline.spine" and (step := _PARTS_OF_SPINE.get(function)):
            return step
    for frame in stack:
        for prefix, step in _MODULES:
            if frame.startswith((f"{prefix}.", f"{prefix}:")):
                return step
    return REST


def split(total_us: float, threads: dict[int, CpuTime], samples: Samples, main_thread: int) -> dict[str, float]:
    """Split the CPU time of one request among the steps.

    `threads` has the CPU times from which `total_us` was computed, in any unit: only their shares count.
    """
    weights: dict[str, float] = dict.fromkeys(STEPS, 0.0)
    for thread, used in threads.items():
        if thread == main_thread:
            weights[KERNEL] += used.system_us
            seen = samples.stacks.total()
            for stack, count in samples.stacks.items():
                weights[step_of(stack)] += used.user_us * count / seen
        else:
            weights[DRAIN if samples.threads.get(thread) in _DRAIN_THREADS else REST] += used.total_us
    sum_us = sum(weights.values())
    return {step: total_us * weight / sum_us for step, weight in weights.items()} if sum_us else weights


def function_shares(samples: Samples) -> dict[str, float]:
    """Return the share of the main thread's user time in each function itself, without those that it calls."""
    seen = samples.stacks.total()
    counts: Counter[str] = Counter()
    for stack, count in samples.stacks.items():
        counts[stack[0] if stack else f"({EVENT_LOOP})"] += count
    return {function: count / seen for function, count in counts.items()}


def merged(all_samples: Iterable[Samples]) -> Samples:
    """Return the sum of samples of one process."""
    stacks: Counter[tuple[str, ...]] = Counter()
    threads: dict[int, str] = {}
    for samples in all_samples:
        stacks.update(samples.stacks)
        threads |= samples.threads
    return Samples(stacks, threads)
