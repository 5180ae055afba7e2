"""One spool file: written by its owner's event loop, read and deleted by its owner's drain thread.

The owner holds an flock on the open file for as long as it lives, so a segment that can be locked belongs to
nobody and may be adopted. The lock ends with the process, however it ends.
"""

import contextlib
import ctypes
import fcntl
import os
import threading
from pathlib import Path
from typing import Final, Self

SUFFIX: Final = ".spool"
_NEW_SUFFIX: Final = ".new"
_COUNT_CHUNK_BYTES: Final = 1024 * 1024

_write = ctypes.PyDLL(None, use_errno=True).write
_write.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t)
_write.restype = ctypes.c_ssize_t
"""write(2) without letting go of the interpreter. os.write lets go: a busy drain thread then takes over, and the
event loop waits for its turn after every record, which costs four times the system call."""


class Segment:
    """An open, locked segment. `size` and `records` move with writes, `offset` and `drained` with commits.

    Each counter has one writing thread, and reading an int is atomic, so no lock stands in the way of an append.
    `_closing` only keeps the syncing thread and the closing one apart.
    """

    __slots__ = (
        "_closing",
        "drained",
        "fd",
        "is_finished",
        "is_gone",
        "offset",
        "path",
        "records",
        "size",
        "synced",
    )

    def __init__(self, path: Path, fd: int, size: int, *, is_finished: bool) -> None:
        self.path = path
        self.fd = fd
        self.size = size
        """Bytes of whole, successful writes; a reader never looks beyond."""
        self.records = 0
        self.offset = 0
        """Bytes whose records are committed."""
        self.drained = 0
        self.synced = 0
        """Bytes known to be on the disk."""
        self.is_finished = is_finished
        """No more writes will come."""
        self.is_gone = False
        self._closing = threading.Lock()

    @classmethod
    def create(cls, directory: Path, stem: str) -> Self:
        """Create, lock, then give the file its final name, so that no adopter ever sees it unlocked. OSError."""
        fresh = directory / f"{stem}{_NEW_SUFFIX}"
        fd = os.open(fresh, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path = directory / f"{stem}{SUFFIX}"
            fresh.rename(path)
        except OSError:
            os.close(fd)
            with contextlib.suppress(OSError):  # the first error is the one to report
                fresh.unlink()
            raise
        return cls(path, fd, 0, is_finished=False)

    @classmethod
    def adopt(cls, path: Path) -> Self | None:
        """Take over a dead owner's segment; None when its owner lives or another process was first."""
        try:
            fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.stat(path).st_ino != os.fstat(fd).st_ino:  # noqa: PTH116 - beside fstat, the same call reads best
                os.close(fd)
                return None
        except (BlockingIOError, FileNotFoundError):
            os.close(fd)
            return None
        except OSError:
            os.close(fd)
            raise
        return cls(path, fd, os.fstat(fd).st_size, is_finished=True)

    @property
    def backlog_bytes(self) -> int:
        return max(0, self.size - self.offset)

    @property
    def backlog_records(self) -> int:
        return max(0, self.records - self.drained)

    def start_at(self, offset: int) -> None:
        """Continue an adopted segment at `offset` (0 when that lies outside the file) and count what is left."""
        self.offset = offset if offset <= self.size else 0
        position = self.offset
        while chunk := os.pread(self.fd, _COUNT_CHUNK_BYTES, position):
            self.records += chunk.count(b"\n")
            position += len(chunk)

    def write(self, line: bytes) -> int:
        """Append `line`; returns how much of it was taken, which `size` does not know yet. OSError.

        A local file takes it into the page cache, so nobody waits for the interpreter meanwhile.
        """
        written: int = _write(self.fd, line, len(line))
        if written < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        return written

    def read(self, position: int, max_bytes: int) -> bytes:
        """Return up to `max_bytes` of whole writes from `position` on."""
        return os.pread(self.fd, min(max_bytes, self.size - position), position)

    def sync(self) -> None:
        """Flush to the disk what has been written so far. OSError when the disk refuses."""
        with self._closing:
            if self.is_gone:
                return
            size = self.size
            os.fsync(self.fd)
            self.synced = size

    def close(self, *, deletes: bool) -> None:
        """Give the segment up, with its file when `deletes`. Idempotent."""
        with self._closing:
            if self.is_gone:
                return
            self.is_gone = True
            try:
                if deletes:
                    self.path.unlink(missing_ok=True)
            finally:
                os.close(self.fd)


def remove_stillborn(directory: Path) -> None:
    """Delete empty files of processes that died between creating and naming a segment."""
    for path in directory.glob(f"*{_NEW_SUFFIX}"):
        segment = Segment.adopt(path)
        if segment is not None:
            segment.close(deletes=segment.size == 0)
