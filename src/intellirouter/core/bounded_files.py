"""Reads files that an operator or a client names: bounded in size, and in time if they are pipes."""

import os
import select
import stat
import time
from pathlib import Path
from typing import Final

_PIPE_TIMEOUT_S: Final = 5.0
_PIECE_BYTES: Final = 64 * 1024


def read_bounded(path: Path, max_bytes: int, *, timeout_s: float = _PIPE_TIMEOUT_S) -> bytes:
    """Return the content of a file; one byte more than `max_bytes` if it is larger. Raises `OSError`.

    Opening a pipe that has no writer does not block. Its content must arrive within `timeout_s`.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
        return _read(descriptor, max_bytes + 1, None if is_file else time.monotonic() + timeout_s)
    finally:
        os.close(descriptor)


def _read(descriptor: int, size: int, deadline_s: float | None) -> bytes:
    pieces: list[bytes] = []
    while size > 0:
        if deadline_s is not None:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0 or not select.select([descriptor], [], [], left_s)[0]:
                raise TimeoutError("its content did not arrive in time")
        piece = os.read(descriptor, min(size, _PIECE_BYTES))
        if not piece:
            break
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)
