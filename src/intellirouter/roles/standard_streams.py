"""Standard output and standard error that cannot be written: the gateway serves without them, too."""

import contextlib
import io
import os
import sys
from typing import Final, TextIO

from intellirouter.telemetry import is_writable

_DESCRIPTORS: Final = (0, 1, 2)


def open_missing_streams() -> None:
    """Open the null device in place of standard streams that the parent has closed.

    Otherwise the next sockets and files would get their descriptors, and `sys.stdout` would be None.
    """
    for descriptor in _DESCRIPTORS:
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free descriptor, which is this one
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - for the whole process


def write_text(out: TextIO, text: str) -> bool:
    """Write a short text. Returns False if that is not possible: a closed pipe, a full disk. Its rest is discarded.

    The text is dropped if the reader of a pipe has stopped reading.
    """
    try:
        if not _is_writable(out):
            return True
        out.write(text)
        out.flush()
    except ValueError:  # a closed file
        return False
    except OSError:
        _discard(out)
        return False
    return True


def _is_writable(out: TextIO) -> bool:
    try:
        descriptor = out.fileno()
    except io.UnsupportedOperation:
        return True
    return is_writable(descriptor)


def _discard(out: TextIO) -> None:
    """Let the null device take what is still buffered. Otherwise the interpreter reports an error when it ends."""
    with contextlib.suppress(OSError, ValueError):
        descriptor = os.open(os.devnull, os.O_WRONLY)
        os.dup2(descriptor, out.fileno())
        os.close(descriptor)
