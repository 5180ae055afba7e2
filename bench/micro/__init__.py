"""In-process micro-benchmarks of single stages: `python -m bench.micro [NAME ...]`.

A benchmark is a function with the `micro` decorator that prepares what it needs and returns the thing to repeat.
Best of several repetitions, garbage collection off: the cost of the code, not of the machine's day.
"""

import time
import timeit
from collections.abc import Callable
from typing import Final

Work = Callable[[], object]
Preparation = Callable[[], Work]

REPEATS: Final = 5
REGISTRY: Final[dict[str, tuple[Preparation, int]]] = {}
"""By name: what prepares the work, and how many times over the work does what is measured."""


def micro(name: str, *, times: int = 1) -> Callable[[Preparation], Preparation]:
    """Register a benchmark. Names are `room.operation`, and unique."""

    def register(preparation: Preparation) -> Preparation:
        if name in REGISTRY:
            raise ValueError(f"two micro-benchmarks are called {name}")
        REGISTRY[name] = preparation, times
        return preparation

    return register


def best_ns(work: Work) -> float:
    """Nanoseconds of CPU time a call, best of `REPEATS` runs of at least 0.2 s each."""
    timer = timeit.Timer(work, timer=time.process_time)
    number, _ = timer.autorange()
    return min(timer.repeat(REPEATS, number)) / number * 1e9
