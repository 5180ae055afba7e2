"""One file of the spool. The event loop of its owner writes it; the drain thread of its owner reads and deletes it.

The owner holds an flock on the open file. A segment that can be locked therefore has no owner and may be adopted. The
operating system releases the lock when the process ends, in whatever way it ends.
"""

import contextlib
import ctypes
import fcntl
import os
import threading
from pathlib import Path
from typing import Final, Self

SUFFIX: Final = ".spool"
NEW_SUFFIX: Final = ".new"
_COUNT_CHUNK_BYTES: Final = 1024 * 1024

_write = ctypes.PyDLL(None, use_errno=True).write
_write.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t)
_write.restype = ctypes.c_ssize_t
"""write(2) without releasing the interpreter lock. os.write releases it: a busy drain thread then takes it, and the
event loop has to wait for it after every record, which costs four times the system call."""


class SpoolSegment:
    """An open, locked segment. Writes advance `size` and `records`; commits advance `offset` and `drained_records`.

    Each counter is written by one thread, and reading an int is atomic, so an append needs no lock. The only lock,
    `_closing`, prevents that a segment is synced and closed at the same time.
    """

    __slots__ = (
        "_closing",
        "drained_records",
        "fd",
        "is_closed",
        "is_finished",
        "offset",
        "path",
        "records",
        "size",
        "synced_bytes",
    )

    def __init__(self, path: Path, fd: int, size: int, *, is_finished: bool) -> None:
        self.path = path
        self.fd = fd
        self.size = size
        """Bytes of whole, successful writes. A reader never reads beyond them."""
        self.records = 0
        self.offset = 0
        """Bytes whose records are committed to the database."""
        self.drained_records = 0
        self.synced_bytes = 0
        """Bytes that are known to be on disk."""
        self.is_finished = is_finished
        """No more records will be written."""
        self.is_closed = False
        self._closing = threading.Lock()

    @classmethod
    def create(cls, directory: Path, stem: str) -> Self:
        """Create and lock the file, then give it its final name, so that no adopter ever sees it unlocked.

        Raises OSError.
        """
        fresh = directory / f"{stem}{NEW_SUFFIX}"
        fd = os.open(fresh, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path = directory / f"{stem}{SUFFIX}"
            fresh.rename(path)
        except OSError:
            os.close(fd)
            with contextlib.suppress(OSError):  # the first error is reported
                fresh.unlink()
            raise
        return cls(path, fd, 0, is_finished=False)

    @classmethod
    def adopt(cls, path: Path) -> Self | None:
        """Take over the segment of a dead owner. Returns None if its owner is alive or another process was faster."""
        try:
            fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.stat(path).st_ino != os.fstat(fd).st_ino:  # noqa: PTH116 - the counterpart of fstat
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
        return max(0, self.records - self.drained_records)

    def start_at(self, offset: int) -> None:
        """Continue an adopted segment at `offset`, or at 0 if that is outside the file, and count its records."""
        self.offset = offset if offset <= self.size else 0
        position = self.offset
        while chunk := os.pread(self.fd, _COUNT_CHUNK_BYTES, position):
            self.records += chunk.count(b"\n")
            position += len(chunk)

    def write(self, line: bytes) -> int:
        """Append `line` and return the number of bytes written, without adding it to `size`. Raises OSError.

        The write goes to the page cache, so holding the interpreter lock during the call causes no delay.
        """
        written: int = _write(self.fd, line, len(line))
        if written < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        return written

    def read(self, position: int, max_bytes: int) -> bytes:
        """Return up to `max_bytes` of whole writes, starting at `position`."""
        return os.pread(self.fd, min(max_bytes, self.size - position), position)

    def sync(self) -> None:
        """Sync what has been written so far to disk. Raises OSError."""
        with self._closing:
            if self.is_closed:
                return
            size = self.size
            os.fsync(self.fd)
            self.synced_bytes = size

    def close(self, *, deletes: bool) -> None:
        """Close the segment, and delete its file if `deletes` is true. Idempotent."""
        with self._closing:
            if self.is_closed:
                return
            self.is_closed = True
            try:
                if deletes:
                    self.path.unlink(missing_ok=True)
            finally:
                os.close(self.fd)
