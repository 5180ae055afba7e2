"""The append-only spool: where settled exchanges lie until the database has them.

`append` runs on the event loop before the client's last byte: one encode, one checksum, one write(2), no lock, no
thread, and the interpreter is not let go. What the kernel has taken survives the death of the process; fsync is a
group commit in the background. When the disk refuses, records wait in bounded memory and the spool says so; beyond
that they are counted lost.
"""

import logging
import os
import secrets
from collections import deque
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from intellirouter.core import SYSTEM_CLOCK, Clock, ExchangeRecord
from intellirouter.store.frames import MAX_BODY_BYTES, encode_frame
from intellirouter.store.segment import Segment
from intellirouter.store.syncer import Syncer

logger = logging.getLogger(__name__)

_RETRY_S: Final = 0.25
_LOSS_LOG_S: Final = 10.0


class SpoolLimits(Struct, frozen=True, kw_only=True):
    """Bounds of the spool. On disk the newest records are refused, so that what is already durable stays."""

    segment_bytes: int = 16 * 1024 * 1024
    max_total_bytes: int = 1024 * 1024 * 1024
    """Checked when a segment is full, so it can be overshot by one segment."""
    max_held_records: int = 10_000
    max_held_bytes: int = 64 * 1024 * 1024
    """Memory for records that the disk did not take."""


class Spool:
    """Appends records to segments in `directory`. Not thread-safe: one event loop owns it.

    `segments` is shared with the drain thread, which removes what it has committed; list operations are atomic.
    """

    def __init__(
        self,
        directory: Path,
        *,
        limits: SpoolLimits | None = None,
        fsync_interval_s: float | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """Create the directory and the first segment; OSError when that is impossible."""
        self._directory = directory
        self._limits = limits or SpoolLimits()
        self._clock = clock
        self._encode = msgspec.json.Encoder().encode
        self._held: deque[bytes] = deque()
        self._held_bytes = 0
        self._retry_at_s = 0.0
        self._loss_logged_s = float("-inf")
        self._needs_newline = False
        self._is_closed = False
        self.lost_records = 0
        self.trouble: str | None = None
        """Why appends do not reach the disk now; None when they do."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.segments: list[Segment] = []
        self._active = self._create_segment()
        self._syncer = Syncer(self.segments, directory, fsync_interval_s) if fsync_interval_s is not None else None

    @property
    def held_records(self) -> int:
        """Records that wait in memory."""
        return len(self._held)

    @property
    def held_bytes(self) -> int:
        return self._held_bytes

    @property
    def sync_trouble(self) -> str | None:
        return self._syncer.trouble if self._syncer is not None else None

    def append(self, record: ExchangeRecord) -> None:
        """Write `record`. Never raises and never waits for anything but the kernel's page cache."""
        try:
            body = self._encode(record)
            if len(body) > MAX_BODY_BYTES:
                body = self._encode(_without_free_text(record))
        except (ValueError, TypeError):
            self._append_unencodable(record)
            return
        self._append_line(encode_frame(body))

    def _append_line(self, line: bytes) -> None:
        if self.trouble is not None:
            self._hold(line)
            if self._clock.monotonic_s() >= self._retry_at_s:
                self.retry()
            return
        if self._active.size >= self._limits.segment_bytes and not self._rotate():
            self._hold(line)
            return
        if not self._write(line):
            self._hold(line)

    def _append_unencodable(self, record: ExchangeRecord) -> None:
        # Free text comes from outside (an upstream's message may hold what UTF-8 cannot); the numbers are ours.
        try:
            body = self._encode(_without_free_text(record))
        except (ValueError, TypeError):
            logger.exception("exchange %r cannot be encoded and is lost", record.request_id)
            self.lost_records += 1
            return
        self._append_line(encode_frame(body))

    def _write(self, line: bytes) -> bool:
        segment = self._active
        if self._needs_newline:
            line = b"\n" + line
        try:
            written = segment.write(line)
        except OSError as error:
            self._trouble_began(f"cannot write to {segment.path.name}: {error.strerror}")
            return False
        if written != len(line):
            self._undo(segment, written)
            self._trouble_began(f"short write to {segment.path.name} (disk full?)")
            return False
        self._needs_newline = False
        segment.size += written
        segment.records += 1
        return True

    def _undo(self, segment: Segment, written: int) -> None:
        """Take the torn line back, so that the next one starts clean; nobody has read beyond `size`."""
        try:
            os.ftruncate(segment.fd, segment.size)
        except OSError:
            segment.size += written  # the torn bytes stay; a line feed ends them and the checksum condemns them
            self._needs_newline = True

    def retry(self) -> None:
        """Try to write what waits in memory, oldest first, into a fresh segment."""
        if self.trouble is None or self._is_closed:
            return
        self._retry_at_s = self._clock.monotonic_s() + _RETRY_S
        if self._active.size and not self._rotate() and self._is_full():
            return
        while self._held:
            if not self._write(self._held[0]):
                return
            self._held_bytes -= len(self._held.popleft())
        logger.warning("the spool writes again after: %s", self.trouble)
        self.trouble = None

    def _hold(self, line: bytes) -> None:
        limits = self._limits
        if (
            self._is_closed
            or len(self._held) >= limits.max_held_records
            or self._held_bytes + len(line) > limits.max_held_bytes
        ):
            self.lost_records += 1
            now_s = self._clock.monotonic_s()
            if now_s - self._loss_logged_s >= _LOSS_LOG_S:
                self._loss_logged_s = now_s
                logger.error("%d exchange records lost so far: %s", self.lost_records, self.trouble)
            return
        self._held.append(line)
        self._held_bytes += len(line)

    def _trouble_began(self, what: str) -> None:
        if self.trouble is None:
            logger.error("the spool keeps records in memory: %s", what)
            self._retry_at_s = self._clock.monotonic_s() + _RETRY_S
        self.trouble = what

    def _is_full(self) -> bool:
        # A drained segment is about to be deleted (the active one as soon as it is rotated), so it does not count.
        taken = sum(segment.size for segment in list(self.segments) if segment.backlog_bytes)
        return taken >= self._limits.max_total_bytes

    def _rotate(self) -> bool:
        if self._is_full():
            self._trouble_began(f"the spool holds its {self._limits.max_total_bytes} bytes and is not being drained")
            return False
        try:
            fresh = self._create_segment()
        except OSError as error:
            # A full directory or file table is no reason to refuse a record: the old segment grows instead,
            # unless it is the one that refuses.
            logger.warning("cannot begin a spool segment, the old one goes on: %s", error.strerror)
            return self.trouble is None
        self._active.is_finished = True
        self._active = fresh
        self._needs_newline = False
        return True

    def _create_segment(self) -> Segment:
        stem = f"{self._clock.epoch_us():016d}-{os.getpid()}-{secrets.token_hex(4)}"
        segment = Segment.create(self._directory, stem)
        self.segments.append(segment)
        return segment

    def finish(self) -> None:
        """Take no more records; what waits in memory gets a last chance. The drain may empty the last segment."""
        if self._is_closed:
            return
        self.retry()
        self._is_closed = True
        self.trouble = self.trouble or "the spool is closed"
        self._active.is_finished = True

    def sync(self) -> None:
        """Flush the last records to the disk and end the group commit."""
        self.finish()
        if self._syncer is not None:
            self._syncer.stop()
            self._syncer.sync_dirty()

    def close(self) -> None:
        """Let go, when nobody drains any more. What is not drained stays on disk for the next start to adopt."""
        self.sync()
        for segment in list(self.segments):
            segment.close(deletes=not segment.backlog_bytes)
            self.segments.remove(segment)
        if self._held:
            self.lost_records += len(self._held)
            logger.error("%d exchange records lost: the spool could not write them before the end", len(self._held))
            self._held.clear()
            self._held_bytes = 0


def _without_free_text(record: ExchangeRecord) -> ExchangeRecord:
    attempts = tuple(msgspec.structs.replace(attempt, message=None) for attempt in record.attempts)
    return msgspec.structs.replace(record, attempts=attempts, error_message=None, request_body=None, response_body=None)
