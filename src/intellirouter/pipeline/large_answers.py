"""Runs the work on a large answer off the event loop."""

import gc
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

from intellirouter.core import OffLoop

T = TypeVar("T")

_PAUSING_BYTES: Final = 1024 * 1024
"""The size of answers above which garbage collection is paused. `OffLoop` handles one of them at a time."""


async def run_large(off_loop: OffLoop, size_bytes: int, work: Callable[[], T]) -> T:
    """Return the result of `work`, which processes an answer of this size. Raises its error, and `Overloaded`."""
    return await off_loop.run(size_bytes, work if size_bytes <= _PAUSING_BYTES else partial(_without_collections, work))


def _without_collections(work: Callable[[], T]) -> T:
    """Run `work` without garbage collections. They would visit all its objects while the event loop waits."""
    gc.disable()
    try:
        return work()
    finally:
        gc.enable()
