"""The drain: a thread that moves records from the spool to the database, in batches, exactly once.

Three facts make it exactly once: a segment is deleted only after its last commit is on disk; rows and cursor are
written in one transaction; and existing rows are left unchanged, so draining a segment again has no effect.

SQLAlchemy, which takes 0.4 s and 20 MB, is imported by this thread and not with this module, so that the gateway
listens before it is loaded.
"""

import importlib
import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from intellirouter.core import Clock
from intellirouter.store.failures import database_failure
from intellirouter.store.health import StoreUnavailable
from intellirouter.store.record_lines import MAX_LINE_BYTES, split_lines
from intellirouter.store.record_rows import rows_of
from intellirouter.store.spool_entries import SpoolEntries
from intellirouter.store.spool_segment import SpoolSegment
from intellirouter.store.store_url import database_path

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from intellirouter.store.database import BatchWriter
    from intellirouter.store.retention import Retention

logger = logging.getLogger(__name__)

_BATCH_RECORDS: Final = 2048
"""Per transaction. The last page of every tree is written once for all of them."""
_SLICE_BYTES: Final = 128 * 1024
_SLICE_RECORDS: Final = 32
_PAUSE_S: Final = 0.0005
"""Between slices. On one core, the event loop would wait for the end of the time slice of this thread, which is several
milliseconds, and in each of them a request would be that late."""
_IDLE_S: Final = 0.2
_NICENESS: Final = 10
_BACKOFF_FIRST_S: Final = 0.1
_BACKOFF_MAX_S: Final = 5.0
_ADOPT_EVERY_S: Final = 30.0
_OWN_SEGMENT_S: Final = 0.05
"""How long after its creation a segment of this process may not be in its list yet."""
_RETENTION_EVERY_S: Final = 60.0
_RETENTION_AGAIN_S: Final = 0.5
_MIGRATION_S: Final = 120.0
_DAMAGE_MAX_BYTES: Final = 16 * 1024 * 1024
"""Maximum size of a `.bad` file."""
_OTHER_GATEWAYS: Final = (
    "Another gateway uses the spool directory %s and its database as well. They share the log of requests, files and "
    "batches, but not the state of deployments. Unfinished batches are continued by a gateway that is the only one. "
    "Unless this is intended, set store.url and store.spool_dir, or start the gateway in another directory."
)


class DrainSpec(Struct, frozen=True, kw_only=True):
    """Settings of the drain."""

    url: str
    directory: Path
    log_keep_days: float
    log_max_bytes: int


class _Slice(Struct):
    bodies: list[bytes]
    damaged: list[bytes]
    consumed: int


class Drain:
    """Owns the thread. `segments` is shared with the spool: the spool adds its own segments, the drain adopted ones."""

    def __init__(self, spec: DrainSpec, segments: list[SpoolSegment], clock: Clock) -> None:
        self._spec = spec
        self._segments = segments
        self._clock = clock
        self._wakeup = threading.Event()
        self._stop_at_s: float | None = None
        self._adopt_at_s = float("-inf")
        self._retain_at_s = float("-inf")
        self._sql: ModuleType | None = None
        self._retention: Retention | None = None
        self._engine: Engine | None = None
        self._writer: BatchWriter | None = None
        self._offsets: dict[str, int] = {}
        self.failure: str | None = None
        """Why records cannot be written to the database now; None if they can."""
        self.is_open = False
        """The database has been opened, and migrated if necessary."""
        self.has_adopted = False
        """The segments of dead processes have been adopted."""
        self.damaged_records = 0
        self.unusable_entries = 0
        """Entries of the spool directory that are not segments, or that cannot be read."""
        self.has_other_gateways = False
        """At the last look, other processes had segments in the directory."""
        self.looks_begun = 0
        self.looks_ended = 0
        """How often the drain has looked for segments of other processes."""
        self._is_look_wanted = False
        self._entries = SpoolEntries(spec.directory)
        # A daemon thread, because a database that hangs must not keep the process from ending. Nothing is lost.
        self._thread = threading.Thread(target=self._run, name="store-drain", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Drain now, not only at the next interval."""
        self._wakeup.set()

    def look(self) -> None:
        """Look for segments of other processes now, not only at the next interval."""
        self._is_look_wanted = True
        self._wakeup.set()

    def request_stop(self, timeout_s: float) -> None:
        """Let the thread end when everything is drained or the timeout has passed."""
        self._stop_at_s = time.monotonic() + timeout_s
        self._wakeup.set()

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        backoff_s = _BACKOFF_FIRST_S
        while not self._is_time_up():
            wait_s = _IDLE_S
            try:
                self._pass()
                if self.failure is not None:
                    logger.warning("The database can be used again.")
                self.failure = None
                backoff_s = _BACKOFF_FIRST_S
                if self._stop_at_s is not None and not self._backlog_bytes():
                    break
            except Exception as error:  # noqa: BLE001 - the spool keeps the records, and the drain retries
                self._failed(error)
                wait_s, backoff_s = backoff_s, min(backoff_s * 2, _BACKOFF_MAX_S)
            self._wakeup.wait(wait_s if self._stop_at_s is None else min(wait_s, _BACKOFF_FIRST_S))
            self._wakeup.clear()
        self._close()

    def _is_time_up(self) -> bool:
        return self._stop_at_s is not None and time.monotonic() >= self._stop_at_s

    def _backlog_bytes(self) -> int:
        return sum(segment.backlog_bytes for segment in list(self._segments))

    def _failed(self, error: Exception) -> None:
        failure = database_failure(error, database_path(self._spec.url))
        if self.failure is None:
            logger.error("%s Records stay in the spool.", failure)
        self.failure = failure
        self._close()

    def _close(self) -> None:
        writer, self._writer = self._writer, None
        engine, self._engine = self._engine, None
        try:
            if writer is not None:
                writer.close()
            if engine is not None:
                engine.dispose()
        except Exception as error:  # noqa: BLE001 - closing after a failure may fail, too
            logger.debug("The database could not be closed: %s", error)

    def _pass(self) -> None:
        """Drain all records in batches, adopt segments and enforce the retention of the log."""
        writer = self._writer or self._open()
        self._adopt()
        for segment in sorted(self._segments.copy(), key=lambda each: each.path.name):
            # Only the records that exist now: following a busy writer would make a transaction of every record.
            end = segment.size
            while segment.offset < end and not self._is_time_up():
                self._store(writer, segment, end)
            if segment.is_finished and not segment.backlog_bytes:
                if segment.size:
                    writer.finish_segment(segment.path.name)
                self._segments.remove(segment)
                segment.close(deletes=True)
        self._retain()

    def _open(self) -> "BatchWriter":
        if self._sql is None:
            # Imported on this thread; see the docstring of the module.
            self._sql = importlib.import_module("intellirouter.store.database")
            self._retention = importlib.import_module("intellirouter.store.retention").Retention(
                keep_days=self._spec.log_keep_days, max_bytes=self._spec.log_max_bytes
            )
        engine: Engine = self._sql.open_engine(self._spec.url, writes=True)
        self._engine = engine
        if not self._sql.is_current(engine):
            self._migrate()
            if not self._sql.is_current(engine):
                raise StoreUnavailable("The schema of the database is not current after its migration.")
        writer: BatchWriter = self._sql.BatchWriter(engine)
        self._writer = writer
        self._offsets = writer.offsets()
        self.is_open = True
        _lower_priority()  # not earlier, because a busy start could delay the opening without end
        return writer

    def _migrate(self) -> None:
        # -P: a file in the working directory must not replace a module.
        command = [sys.executable, "-P", "-m", "intellirouter.store.migrate", self._spec.url]
        deadline_s = time.monotonic() + _MIGRATION_S
        with subprocess.Popen(  # noqa: S603 - our own module and interpreter
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            process_group=0,  # Ctrl-C is for the gateway, which stops the migration itself
        ) as child:
            while True:
                try:
                    _, output = child.communicate(timeout=_IDLE_S)
                    break
                except subprocess.TimeoutExpired:
                    if self._is_time_up() or time.monotonic() >= deadline_s:
                        child.kill()
                        _, output = child.communicate()
                        break
        if child.returncode:
            lines = output.decode(errors="replace").strip().splitlines() or ["no message"]
            raise StoreUnavailable(
                f"The database {database_path(self._spec.url)} could not be upgraded (status {child.returncode}): "
                f"{lines[-1][:500].rstrip('.')}. Set store.url to another file, or remove the tables of other programs."
            )

    def _adopt(self) -> None:
        now_s = self._clock.monotonic_s()
        if now_s < self._adopt_at_s and not self._is_look_wanted:
            return
        self._is_look_wanted = False
        self._adopt_at_s = now_s + _ADOPT_EVERY_S
        self.looks_begun += 1
        self._segments += self._entries.adopt(self._own_segments(), self._offsets)
        self.unusable_entries = self._entries.unusable
        self._note_other_gateways()
        self.has_adopted = True
        self.looks_ended = self.looks_begun

    def _own_segments(self) -> set[str]:
        return {segment.path.name for segment in list(self._segments)}

    def _note_other_gateways(self) -> None:
        others = self._entries.owned
        if others:
            time.sleep(_OWN_SEGMENT_S)
            others -= self._own_segments()
        if others and not self.has_other_gateways:
            logger.warning(_OTHER_GATEWAYS, self._spec.directory)
        self.has_other_gateways = bool(others)

    def _store(self, writer: "BatchWriter", segment: SpoolSegment, end: int) -> None:
        damaged: list[bytes] = []
        try:
            position, records = self._store_together(writer, segment, end, damaged)
        except Exception as error:
            if not self._is_rejected_value(error):
                raise
            damaged = []
            position, records = self._store_singly(writer, segment, damaged)
        self._save_damaged(segment, damaged)
        segment.drained_records += records
        segment.offset = position
        if not segment.backlog_bytes and segment.is_finished:
            segment.drained_records = segment.records

    def _is_rejected_value(self, error: Exception) -> bool:
        return self._sql is not None and bool(self._sql.is_rejected_value(error))

    def _store_together(
        self, writer: "BatchWriter", segment: SpoolSegment, end: int, damaged: list[bytes]
    ) -> tuple[int, int]:
        """Store many records in one transaction, one slice per statement. Return the end position and the number."""
        position, records = segment.offset, 0
        with writer.transaction():
            while position < end and records < _BATCH_RECORDS:
                piece = _read_slice(segment, position)
                rows = rows_of(piece.bodies)
                writer.insert(rows)
                damaged += piece.damaged
                damaged += rows.rejected
                records += rows.records
                position += piece.consumed
                if self._stop_at_s is None:
                    time.sleep(_PAUSE_S)
            writer.move_cursor(segment.path.name, position)
        return position, records

    def _store_singly(self, writer: "BatchWriter", segment: SpoolSegment, damaged: list[bytes]) -> tuple[int, int]:
        """Store one record per transaction, so that one that the database rejects does not stop the rest."""
        piece = _read_slice(segment, segment.offset)
        records = 0
        for body in piece.bodies:
            rows = rows_of([body])
            damaged += rows.rejected
            records += rows.records
            try:
                with writer.transaction():
                    writer.insert(rows)
            except Exception as error:
                if not self._is_rejected_value(error):
                    raise
                damaged.append(body)
        position = segment.offset + piece.consumed
        with writer.transaction():
            writer.move_cursor(segment.path.name, position)
        damaged += piece.damaged
        return position, records

    def _save_damaged(self, segment: SpoolSegment, damaged: list[bytes]) -> None:
        if not damaged:
            return
        self.damaged_records += len(damaged)
        bad = segment.path.with_suffix(".bad")
        logger.error("Damaged records in %s: %d. They are saved in %s.", segment.path.name, len(damaged), bad.name)
        try:
            with bad.open("ab") as file:
                bad.chmod(0o600)
                room = _DAMAGE_MAX_BYTES - file.tell()
                file.write((b"\n".join(damaged) + b"\n")[: max(0, room)])
        except OSError as error:
            logger.error("The damaged records could not be saved: %s.", error.strerror)  # noqa: TRY400

    def _retain(self) -> None:
        now_s = self._clock.monotonic_s()
        if now_s < self._retain_at_s or self._is_time_up() or self._retention is None or self._engine is None:
            return
        is_unfinished = self._retention.enforce(self._engine, self._clock.epoch_us())
        self._retain_at_s = now_s + (_RETENTION_AGAIN_S if is_unfinished else _RETENTION_EVERY_S)


def _read_slice(segment: SpoolSegment, position: int) -> _Slice:
    """Read the next lines of `segment`.

    Bytes without a line feed at the end of the segment of a dead owner are a torn write. Its append never returned, so
    the record was never reported as stored.
    """
    size = _SLICE_BYTES
    while True:
        data = segment.read(position, size)
        bodies, damaged, consumed = split_lines(data, _SLICE_RECORDS)
        if consumed:
            break
        if len(data) >= MAX_LINE_BYTES:
            damaged, consumed = [data], len(data)
            break
        if len(data) < size:
            logger.info("%s ends in a torn write of %d bytes, which is dropped.", segment.path.name, len(data))
            consumed = segment.size - position
            break
        size *= 2
    return _Slice(bodies=bodies, damaged=damaged, consumed=consumed)


def _lower_priority() -> None:
    """Give the event loop's thread priority over this one. Only Linux has priorities of threads."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
