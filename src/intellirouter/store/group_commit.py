"""Group commit: a thread that syncs segments to disk at an interval, as protection against power loss.

fsync takes milliseconds and sometimes seconds, so it never runs on the event loop.
"""

import logging
import os
import threading
from pathlib import Path

from intellirouter.store.spool_segment import SpoolSegment

logger = logging.getLogger(__name__)

_STOP_S = 5.0


class GroupCommit:
    """Syncs `segments` until `stop`. The list is shared with the spool; copying a list is atomic."""

    def __init__(self, segments: list[SpoolSegment], directory: Path, interval_s: float) -> None:
        self._segments = segments
        self._directory = directory
        self._interval_s = interval_s
        self._stopping = threading.Event()
        self._known_names: set[str] = set()
        self.failure: str | None = None
        """Why the last sync failed; None if it succeeded."""
        # A daemon thread, because a disk that hangs in fsync must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="spool-sync", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopping.wait(self._interval_s):
            self.sync_dirty()

    def sync_dirty(self) -> None:
        """Sync what was written since the last call, and the directory if it contains new files."""
        segments = list(self._segments)
        try:
            for segment in segments:
                if segment.size > segment.synced_bytes:
                    segment.sync()
            self._sync_names({segment.path.name for segment in segments})
        except OSError as error:
            failure = f"The spool cannot be synced to disk: {error.strerror}."
            if self.failure is None:
                logger.error(failure)  # noqa: TRY400 - the cause is in the message
            self.failure = failure
        else:
            if self.failure is not None:
                logger.warning("The spool can be synced to disk again.")
            self.failure = None

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
