"""Settings of the interpreter and its memory that suit a server."""

import contextlib
import ctypes
import gc
import resource
import sys
from pathlib import Path
from typing import Final

_SWITCH_INTERVAL_S: Final = 0.0005
"""How long a background thread may block the event loop: a tenth of Python's default."""
_M_TRIM_THRESHOLD: Final = -1
_TRIM_THRESHOLD_BYTES: Final = 16 * 1024 * 1024
"""How much free memory at the end of the heap is kept. With less, each body of 100 kB causes 40 page faults."""
_M_MMAP_THRESHOLD: Final = -3
_MMAP_THRESHOLD_BYTES: Final = 1024 * 1024
"""Larger blocks of memory return to the system as soon as they are free. By default, glibc raises this limit."""
_CHECK_S: Final = 2.0
_EXCESS_BYTES: Final = 16 * 1024 * 1024
_STATM: Final = Path("/proc/self/statm")


def tune_interpreter() -> None:
    """Exclude the objects of the start-up from garbage collection, and collect less often.

    Exchanges create no reference cycles, so collections find almost nothing, but traversing all objects adds latency.
    """
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    gc.enable()
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    _call_libc("mallopt", _M_TRIM_THRESHOLD, _TRIM_THRESHOLD_BYTES)
    _call_libc("mallopt", _M_MMAP_THRESHOLD, _MMAP_THRESHOLD_BYTES)


class MemoryKeeper:
    """Returns free memory to the system. Otherwise, what a few large bodies needed would stay with the process."""

    def __init__(self) -> None:
        self._idle_bytes = 0
        self._next_check_s = 0.0

    def start(self, now_s: float) -> None:
        """Remember how much memory the process needs when it is idle."""
        self._idle_bytes = _resident_bytes()
        self._next_check_s = now_s + _CHECK_S

    def check(self, now_s: float) -> None:
        """Return free memory, at most every few seconds, if that is much and the process is larger than when idle."""
        if now_s < self._next_check_s:
            return
        self._next_check_s = now_s + _CHECK_S
        if _resident_bytes() > self._idle_bytes + _EXCESS_BYTES and _free_bytes() > _EXCESS_BYTES:
            _call_libc("malloc_trim", 0)


class _Mallinfo(ctypes.Structure):
    """`struct mallinfo2` of glibc 2.33 and later."""

    _fields_ = (
        *((name, ctypes.c_size_t) for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd")),
        *((name, ctypes.c_size_t) for name in ("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")),
    )


def _free_bytes() -> int:
    """Return how much memory is free in the heap, whether it is resident or not."""
    with contextlib.suppress(AttributeError, OSError):
        function = ctypes.CDLL(None).mallinfo2
        function.restype = _Mallinfo
        return int(function().fordblks)
    return sys.maxsize  # an older glibc does not tell


def _call_libc(name: str, *arguments: int) -> None:
    """Call a function of glibc. Does nothing with another C library."""
    with contextlib.suppress(AttributeError, OSError):
        getattr(ctypes.CDLL(None), name)(*arguments)


def _resident_bytes() -> int:
    """Return the resident memory; 0 where the system does not show it."""
    try:
        return int(_STATM.read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return 0
