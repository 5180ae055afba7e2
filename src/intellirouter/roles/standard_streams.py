"""Standard output and standard error that cannot be written: the gateway serves without them, too."""

import contextlib
import io
import os
from typing import TextIO

from intellirouter.telemetry import is_writable


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
