"""Micro-benchmarks of single stages in one process: `python -m bench.micro [NAME ...]`.

A benchmark is a function with the `micro` decorator that prepares its input and returns the function to measure. The
result is the best of several repetitions, without garbage collection, so that it depends little on other load.
"""

import time
import timeit
from collections.abc import Callable
from typing import Final

Work = Callable[[], object]
Preparation = Callable[[], Work]

REPEATS: Final = 5
REGISTRY: Final[dict[str, tuple[Preparation, int]]] = {}
"""Name -> preparation, and how many times one call of the work does what is measured."""


def micro(name: str, *, times: int = 1) -> Callable[[Preparation], Preparation]:
    """Register a benchmark. The name is `room.operation` and must be unique."""

    def register(preparation: Preparation) -> Preparation:
        if name in REGISTRY:
            raise ValueError(f"There are two micro-benchmarks with the name {name}.")
        REGISTRY[name] = preparation, times
        return preparation

    return register


def best_ns(work: Work) -> float:
    """Return the CPU time per call in nanoseconds, the best of `REPEATS` runs of at least 0.2 s each."""
    timer = timeit.Timer(work, timer=time.process_time)
    number, _ = timer.autorange()
    return min(timer.repeat(REPEATS, number)) / number * 1e9
