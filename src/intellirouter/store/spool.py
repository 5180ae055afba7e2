"""The append-only spool: files that hold settled exchanges until they are in the database.

`append` runs on the event loop before the last byte of the response: one encoding, one checksum, one write(2), without
a lock, a thread or releasing the interpreter lock. What the kernel has accepted survives the death of the process;
fsync is a group commit in the background. When the disk rejects a write, records are buffered in memory up to a limit,
and records beyond it are counted as lost.
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
from intellirouter.store.group_commit import GroupCommit
from intellirouter.store.record_lines import MAX_BODY_BYTES, encode_line
from intellirouter.store.spool_segment import SpoolSegment

logger = logging.getLogger(__name__)

_RETRY_S: Final = 0.25
_LOSS_LOG_S: Final = 10.0


class SpoolLimits(Struct, frozen=True, kw_only=True):
    """Limits of the spool. When it is full, new records are rejected, and those that are already durable are kept."""

    segment_bytes: int = 16 * 1024 * 1024
    max_total_bytes: int = 1024 * 1024 * 1024
    """Checked when a segment is full, so it can be exceeded by one segment."""
    max_buffered_records: int = 10_000
    max_buffered_bytes: int = 64 * 1024 * 1024
    """Memory for records that could not be written to disk."""


class Spool:
    """Appends records to segments in `directory`. Not thread-safe: it belongs to one event loop.

    `segments` is shared with the drain thread, which removes committed segments; list operations are atomic.
    """

    def __init__(
        self,
        directory: Path,
        *,
        limits: SpoolLimits | None = None,
        fsync_interval_s: float | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """Create the directory and the first segment. Raises OSError."""
        self._directory = directory
        self._limits = limits or SpoolLimits()
        self._clock = clock
        self._encode = msgspec.json.Encoder().encode
        self._buffer: deque[bytes] = deque()
        self._buffered_bytes = 0
        self._retry_at_s = 0.0
        self._loss_logged_s = float("-inf")
        self._needs_newline = False
        self._is_closed = False
        self.lost_records = 0
        self.failure: str | None = None
        """Why records cannot be written to disk now; None if they can."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.segments: list[SpoolSegment] = []
        self._active = self._create_segment()
        self._group_commit = (
            GroupCommit(self.segments, directory, fsync_interval_s) if fsync_interval_s is not None else None
        )

    @property
    def buffered_records(self) -> int:
        """Number of records that are buffered in memory."""
        return len(self._buffer)

    @property
    def buffered_bytes(self) -> int:
        return self._buffered_bytes

    @property
    def sync_failure(self) -> str | None:
        return self._group_commit.failure if self._group_commit is not None else None

    def append(self, record: ExchangeRecord) -> None:
        """Write `record`. Never raises, and never waits for anything but the page cache of the kernel."""
        try:
            body = self._encode(record)
            if len(body) > MAX_BODY_BYTES:
                body = self._encode(_without_free_text(record))
        except (ValueError, TypeError):
            self._append_unencodable(record)
            return
        self._append_line(encode_line(body))

    def _append_line(self, line: bytes) -> None:
        if self.failure is not None:
            self._buffer_line(line)
            if self._clock.monotonic_s() >= self._retry_at_s:
                self.retry()
            return
        if self._active.size >= self._limits.segment_bytes and not self._rotate():
            self._buffer_line(line)
            return
        if not self._write(line):
            self._buffer_line(line)

    def _append_unencodable(self, record: ExchangeRecord) -> None:
        # Free text comes from upstreams and may contain what UTF-8 cannot encode. The other fields are ours.
        try:
            body = self._encode(_without_free_text(record))
        except (ValueError, TypeError):
            logger.exception("The record of exchange %r cannot be encoded and is lost.", record.request_id)
            self.lost_records += 1
            return
        self._append_line(encode_line(body))

    def _write(self, line: bytes) -> bool:
        segment = self._active
        if self._needs_newline:
            line = b"\n" + line
        try:
            written = segment.write(line)
        except OSError as error:
            self._begin_failure(f"The spool cannot write to {segment.path.name}: {error.strerror}.")
            return False
        if written != len(line):
            self._undo(segment, written)
            self._begin_failure(f"The spool can write to {segment.path.name} only in part. The disk may be full.")
            return False
        self._needs_newline = False
        segment.size += written
        segment.records += 1
        return True

    def _undo(self, segment: SpoolSegment, written: int) -> None:
        """Remove the torn line, so that the next one starts on a new line. No reader has read beyond `size`."""
        try:
            os.ftruncate(segment.fd, segment.size)
        except OSError:
            segment.size += written  # the torn bytes stay; a line feed ends them, and their checksum fails
            self._needs_newline = True

    def retry(self) -> None:
        """Try to write the buffered records, oldest first, to a new segment."""
        if self.failure is None or self._is_closed:
            return
        self._retry_at_s = self._clock.monotonic_s() + _RETRY_S
        if self._active.size and not self._rotate() and self._is_full():
            return
        while self._buffer:
            if not self._write(self._buffer[0]):
                return
            self._buffered_bytes -= len(self._buffer.popleft())
        logger.warning("The spool can be written again.")
        self.failure = None

    def _buffer_line(self, line: bytes) -> None:
        limits = self._limits
        if (
            self._is_closed
            or len(self._buffer) >= limits.max_buffered_records
            or self._buffered_bytes + len(line) > limits.max_buffered_bytes
        ):
            self.lost_records += 1
            now_s = self._clock.monotonic_s()
            if now_s - self._loss_logged_s >= _LOSS_LOG_S:
                self._loss_logged_s = now_s
                logger.error("Exchange records lost so far: %d. %s", self.lost_records, self.failure)
            return
        self._buffer.append(line)
        self._buffered_bytes += len(line)

    def _begin_failure(self, failure: str) -> None:
        if self.failure is None:
            logger.error("%s Records are buffered in memory.", failure)
            self._retry_at_s = self._clock.monotonic_s() + _RETRY_S
        self.failure = failure

    def _is_full(self) -> bool:
        # A drained segment does not count. It is deleted soon; the active one, when it has been rotated.
        taken = sum(segment.size for segment in list(self.segments) if segment.backlog_bytes)
        return taken >= self._limits.max_total_bytes

    def _rotate(self) -> bool:
        if self._is_full():
            limit = self._limits.max_total_bytes
            self._begin_failure(f"The spool has reached its maximum size of {limit} bytes and is not being drained.")
            return False
        try:
            fresh = self._create_segment()
        except OSError as error:
            # A full directory or file table is not a reason to reject a record. The old segment grows instead, unless
            # that is the one that cannot be written.
            logger.warning("No new spool segment can be created, so the old one is used: %s.", error.strerror)
            return self.failure is None
        self._active.is_finished = True
        self._active = fresh
        self._needs_newline = False
        return True

    def _create_segment(self) -> SpoolSegment:
        stem = f"{self._clock.epoch_us():016d}-{os.getpid()}-{secrets.token_hex(4)}"
        segment = SpoolSegment.create(self._directory, stem)
        self.segments.append(segment)
        return segment

    def finish(self) -> None:
        """Accept no more records, and retry the buffered ones once. The drain may then empty the last segment."""
        if self._is_closed:
            return
        self.retry()
        self._is_closed = True
        self.failure = self.failure or "The spool is closed."
        self._active.is_finished = True

    def sync(self) -> None:
        """Sync the last records to disk and end the group commit."""
        self.finish()
        if self._group_commit is not None:
            self._group_commit.stop()
            self._group_commit.sync_dirty()

    def close(self) -> None:
        """Close all segments, after the drain has ended. The next start adopts those that are not drained."""
        self.sync()
        for segment in list(self.segments):
            segment.close(deletes=not segment.backlog_bytes)
            self.segments.remove(segment)
        if self._buffer:
            self.lost_records += len(self._buffer)
            logger.error("Exchange records lost because the spool could not write them: %d.", len(self._buffer))
            self._buffer.clear()
            self._buffered_bytes = 0


def _without_free_text(record: ExchangeRecord) -> ExchangeRecord:
    attempts = tuple(msgspec.structs.replace(attempt, message=None) for attempt in record.attempts)
    return msgspec.structs.replace(record, attempts=attempts, error_message=None, request_body=None, response_body=None)
