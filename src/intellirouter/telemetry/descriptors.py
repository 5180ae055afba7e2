"""Writes to descriptors whose reader may be slow or stopped, such as a pipe to a log collector, without waiting."""

import atexit
import contextlib
import os
import select
import threading
from collections import deque
from typing import Final

_ATOMIC_BYTES: Final = 4096
"""If a pipe is writable, a write of this size does not wait."""
_MAX_WAITING_BYTES: Final = 1024 * 1024
_EXIT_WAIT_S: Final = 1.0


def is_writable(descriptor: int) -> bool:
    """Return whether a short write would not wait. Errors, such as a reader that has ended, do not wait either."""
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(0))


class DescriptorWriter:
    """A text stream that never waits for the reader of its descriptor. Any thread may write.

    Text is written at once if possible. Otherwise it is written in order by a thread, which exists only meanwhile. If
    too much is waiting, entries are dropped, and their number is written when the reader continues.
    """

    def __init__(self, descriptor: int, *, max_waiting_bytes: int = _MAX_WAITING_BYTES) -> None:
        self._descriptor = descriptor
        self._max_waiting_bytes = max_waiting_bytes
        self._lock = threading.Lock()
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._dropped = 0
        self._thread: threading.Thread | None = None

    def write(self, text: str) -> None:
        """Write one entry. Never raises: there is no better place to report that the log cannot be written."""
        data = text.encode("utf-8", "backslashreplace")
        with self._lock:
            if self._thread is None:
                data = self._write_now(data)
            if data:
                self._add(data)

    def flush(self) -> None:
        """Do nothing. Nothing is buffered unless the reader is slow."""

    def wait(self, timeout_s: float) -> None:
        """Wait until everything has been written."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout_s)

    def _write_now(self, data: bytes) -> bytes:
        """Write as much as is possible without waiting. Return the rest."""
        with contextlib.suppress(OSError):
            while data and is_writable(self._descriptor):
                data = data[os.write(self._descriptor, data[:_ATOMIC_BYTES]) :]
            return data
        return b""

    def _add(self, data: bytes) -> None:
        if self._waiting_bytes + len(data) > self._max_waiting_bytes:
            self._dropped += 1
            return
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        if self._thread is None:
            self._thread = threading.Thread(target=self._write_waiting, name="log-writer", daemon=True)
            self._thread.start()
            atexit.register(self.wait, _EXIT_WAIT_S)

    def _write_waiting(self) -> None:
        try:
            while (data := self._next()) is not None:
                while data:
                    data = data[os.write(self._descriptor, data) :]
        except OSError:  # The reader has ended.
            with self._lock:
                self._waiting.clear()
                self._waiting_bytes = self._dropped = 0
                self._thread = None

    def _next(self) -> bytes | None:
        """Return what to write next; None if nothing is left, so that the thread ends."""
        with self._lock:
            if self._waiting:
                data = self._waiting.popleft()
                self._waiting_bytes -= len(data)
                return data
            if self._dropped:
                count, self._dropped = self._dropped, 0
                return f"{count} log entries were dropped, because the log was not read.\n".encode()
            self._thread = None
            atexit.unregister(self.wait)
            return None
