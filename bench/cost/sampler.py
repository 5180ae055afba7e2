"""Runs `intellirouter` with a sampler: `python -m bench.cost.sampler DIRECTORY serve --config FILE`.

`START_SIGNAL` starts the sampler. `STOP_SIGNAL` stops it and writes DIRECTORY/<n>.json: the stacks of the main thread
and how often each of them was seen.

The timer counts user time only; time in the kernel is measured from outside. Python calls the signal handler between
two bytecodes, so time in C code counts for the frame that called it. A frame that has only just been entered has not
run yet: the time counts for its caller, which is the event loop if there is no other frame.
"""

import dis
import functools
import json
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType
from typing import Final

START_SIGNAL: Final = signal.SIGRTMIN + 1
STOP_SIGNAL: Final = signal.SIGRTMIN + 2
"""The gateway ignores SIGUSR1 and SIGUSR2."""
_COARSE_CLOCK: Final = 6
"""CLOCK_MONOTONIC_COARSE of Linux. Its resolution is a tick of the kernel."""
_INTERVAL_S: Final = time.clock_getres(_COARSE_CLOCK)
"""User time grows by whole ticks. A shorter interval would add samples of ticks in the kernel, at the ends of calls."""
_LOOP: Final = "asyncio.runners"
"""The module of the frame that runs the event loop."""

Stack = tuple[tuple[str, CodeType], ...]
"""Modules and code of the frames, the innermost first."""


@functools.cache
def _entry(code: CodeType) -> int:
    """Return the offset at which a function is interrupted before its first statement."""
    return next((each.offset for each in dis.get_instructions(code) if each.opname == "RESUME"), -1)


def stack_of(frame: FrameType | None) -> Stack:
    """Return the frames above the event loop, without an innermost one that has not run yet."""
    if frame is not None and frame.f_lasti == _entry(frame.f_code):
        frame = frame.f_back
    found = []
    while frame is not None and (module := frame.f_globals.get("__name__", "?")) != _LOOP:
        found.append((module, frame.f_code))
        frame = frame.f_back
    return tuple(found)


class Sampler:
    """Counts the stacks of the main thread."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._stacks: Counter[Stack] = Counter()
        self._files = 0
        self._thread_s = self._process_s = 0.0

    def install(self) -> None:
        signal.signal(START_SIGNAL, self._start)
        signal.signal(STOP_SIGNAL, self._stop)
        signal.signal(signal.SIGVTALRM, self._sample)

    def _start(self, _number: int, _frame: FrameType | None) -> None:
        self._stacks.clear()
        self._thread_s, self._process_s = time.thread_time(), time.process_time()
        signal.setitimer(signal.ITIMER_VIRTUAL, _INTERVAL_S, _INTERVAL_S)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        result = {
            "stacks": [
                [count, [f"{module}:{code.co_qualname}" for module, code in stack]]
                for stack, count in self._stacks.items()
            ],
            "threads": {str(thread.native_id): thread.name for thread in threading.enumerate()},
        }
        self._files += 1
        unfinished = self._directory / "unfinished"
        unfinished.write_text(json.dumps(result), encoding="utf-8")
        unfinished.rename(self._directory / f"{self._files}.json")

    def _sample(self, _number: int, frame: FrameType | None) -> None:
        """Count the stack, unless most of the time since the last sample was spent in other threads."""
        thread_s, process_s = time.thread_time(), time.process_time()
        if (thread_s - self._thread_s) * 2 >= process_s - self._process_s:
            self._stacks[stack_of(frame)] += 1
        self._thread_s, self._process_s = thread_s, process_s


def main() -> None:
    from intellirouter.cli import main as run  # noqa: PLC0415 - only the measured process needs it

    Sampler(Path(sys.argv[1])).install()
    sys.argv = ["intellirouter", *sys.argv[2:]]
    run()


if __name__ == "__main__":
    main()
