"""Group commit: a thread that flushes dirty segments to the disk every so often, for loss of power.

fsync takes milliseconds and sometimes seconds, so it never runs on the event loop.
"""

import logging
import os
import threading
from pathlib import Path

from intellirouter.store.segment import Segment

logger = logging.getLogger(__name__)

_STOP_S = 5.0


class Syncer:
    """Watches `segments` (shared; list copies are atomic) until `stop`."""

    def __init__(self, segments: list[Segment], directory: Path, interval_s: float) -> None:
        self._segments = segments
        self._directory = directory
        self._interval_s = interval_s
        self._stopping = threading.Event()
        self._known_names: set[str] = set()
        self.trouble: str | None = None
        # A daemon: a disk that hangs in fsync must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="spool-sync", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopping.wait(self._interval_s):
            self.sync_dirty()

    def sync_dirty(self) -> None:
        """Flush what was written since the last time, and the directory when it has new files."""
        segments = list(self._segments)
        try:
            for segment in segments:
                if segment.size > segment.synced:
                    segment.sync()
            self._sync_names({segment.path.name for segment in segments})
        except OSError as error:
            if self.trouble is None:
                logger.error("the spool cannot be synced to disk: %s", error.strerror)  # noqa: TRY400
            self.trouble = f"cannot sync the spool: {error.strerror}"
        else:
            if self.trouble is not None:
                logger.warning("the spool syncs again after: %s", self.trouble)
            self.trouble = None

    def _sync_names(self, names: set[str]) -> None:
        if not names <= self._known_names:
            fd = os.open(self._directory, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
        self._known_names = names

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(_STOP_S)
