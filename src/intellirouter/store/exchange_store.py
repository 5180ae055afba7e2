"""The store as its users see it: a journal that accepts records at once, and a database that has them soon after."""

import asyncio
import logging
import time
from pathlib import Path
from typing import Final

from intellirouter.config.runtime import StoreSpec
from intellirouter.core import SYSTEM_CLOCK, Clock, ExchangeRecord, TaskOwner
from intellirouter.store.drain import Drain, DrainSpec
from intellirouter.store.failures import spool_failure
from intellirouter.store.health import StoreHealth, StoreUnavailable
from intellirouter.store.log_reader import LogReader
from intellirouter.store.objects import ObjectStore
from intellirouter.store.spool import Spool, SpoolLimits
from intellirouter.store.spool_segment import SpoolSegment
from intellirouter.store.store_url import check_store_url

logger = logging.getLogger(__name__)

_POLL_S: Final = 0.005
_BUFFER_RETRY_S: Final = 0.25
_LOOK_S: Final = 10.0
"""How long to wait for the drain, which may be inside a statement."""
_LOOK_POLL_S: Final = 0.05
_LAST_STATEMENT_S: Final = 2.0
_NOT_STARTED: Final = "The store has not been started."
_OPENING: Final = "The database is being opened."
_UNUSABLE: Final = "The database cannot be used. The log of the gateway says why."


class ExchangeStore:
    """Combines spool, drain and reader. Implements `core.Journal`. All methods must be called on one event loop."""

    def __init__(self, spec: StoreSpec, *, clock: Clock = SYSTEM_CLOCK, limits: SpoolLimits | None = None) -> None:
        """Raises ValueError for a URL that this version does not support. Nothing is opened yet."""
        check_store_url(spec.url)
        self._spec = spec
        self._clock = clock
        self._limits = limits
        self._spool: Spool | None = None
        self._drain: Drain | None = None
        self._tasks = TaskOwner("store")
        self.reader = LogReader(spec.url, self._unavailable_reason)
        """Reads the database, on worker threads. Raises StoreUnavailable until the database is open."""
        self.objects = ObjectStore(spec.url, self._unavailable_reason)
        """Objects that clients store in the gateway, for use on worker threads."""

    def start(self) -> None:
        """Open the spool, which accepts records from now on. Everything else happens in the background.

        Raises StoreUnavailable when the directory of the spool cannot be used. Opening and migrating the database, and
        draining the segments of dead processes, never delay or fail the start; `health` reports their progress.
        """
        directory = Path(self._spec.spool_dir)
        interval_s = self._spec.fsync_interval_s
        try:
            spool = Spool(directory, limits=self._limits, fsync_interval_s=interval_s, clock=self._clock)
        except (OSError, ValueError) as error:  # a path with a null character is a ValueError
            raise StoreUnavailable(spool_failure(error, directory)) from error
        spec = DrainSpec(
            url=self._spec.url,
            directory=directory,
            log_keep_days=self._spec.log_keep_days,
            log_max_bytes=self._spec.log_max_bytes,
        )
        self._spool = spool
        self._drain = Drain(spec, spool.segments, self._clock)
        self._drain.start()
        self._tasks.start(self._retry_buffered(spool), "retry-buffered")

    def append(self, record: ExchangeRecord) -> None:
        """Store `record`. When this returns, the kernel has accepted it, or `health` reports why not. Never waits."""
        if self._spool is None:
            raise RuntimeError("The store accepts records only between start() and stop().")
        self._spool.append(record)

    async def flush(self, timeout_s: float) -> bool:
        """Wait until all records appended before this call, also those of dead processes, are in the database.

        Returns False on timeout.
        """
        spool, drain = self._spool, self._drain
        if spool is None or drain is None:
            return True
        deadline_s = time.monotonic() + timeout_s
        spool.retry()
        targets: list[tuple[SpoolSegment, int]] | None = None
        while True:
            if targets is None and drain.has_adopted and not spool.buffered_records:
                targets = [(segment, segment.size) for segment in list(spool.segments)]
            if targets is not None and all(segment.offset >= size for segment, size in targets):
                return True
            if time.monotonic() >= deadline_s:
                return False
            drain.wake()
            await asyncio.sleep(_POLL_S)

    async def is_only_gateway(self) -> bool:
        """Look whether another gateway uses the spool directory. Return False also if that cannot be found out now."""
        drain = self._drain
        if drain is None:
            return False
        begun = drain.looks_begun
        deadline_s = time.monotonic() + _LOOK_S
        while drain.looks_ended <= begun:
            if time.monotonic() >= deadline_s:
                return False
            drain.look()
            await asyncio.sleep(_LOOK_POLL_S)
        return not drain.has_other_gateways

    async def stop(self, timeout_s: float) -> None:
        """Accept no more records, drain, sync and close.

        Records that are not drained within the timeout stay in the spool, and the next start drains them.
        """
        spool, drain = self._spool, self._drain
        if spool is None or drain is None:
            return
        await self._tasks.stop()
        spool.finish()
        drain.request_stop(timeout_s)
        # The drain may still be inside a statement when its time is up, so it gets as long as a lock can last.
        deadline_s = time.monotonic() + timeout_s + _LAST_STATEMENT_S
        while drain.is_alive and time.monotonic() < deadline_s:  # noqa: ASYNC110 - it waits for a thread
            await asyncio.sleep(_POLL_S)
        await asyncio.to_thread(spool.sync)
        health = self.health()
        if health.backlog_records:
            logger.warning("Exchange records left in the spool for the next start: %d.", health.backlog_records)
        if not drain.is_alive:
            spool.close()  # otherwise the thread may still read the files
        self.reader.close()
        self.objects.close()

    def health(self) -> StoreHealth:
        spool, drain = self._spool, self._drain
        if spool is None or drain is None:
            return StoreHealth(state="starting", detail=_NOT_STARTED)
        failures = [each for each in (spool.failure, spool.sync_failure, drain.failure) if each is not None]
        notes = [
            f"{kind} records since the start: {count}."
            for kind, count in (("Lost", spool.lost_records), ("Damaged", drain.damaged_records))
            if count
        ]
        if drain.has_other_gateways:
            notes.append(f"Another gateway uses {self._spec.spool_dir} as well.")
        if drain.unusable_entries:
            notes.append(
                f"Entries of {self._spec.spool_dir} that are not usable segments: {drain.unusable_entries}. "
                "Check whether they contain records, and remove them."
            )
        segments = list(spool.segments)
        is_starting = not drain.is_open
        return StoreHealth(
            state="degraded" if failures else "starting" if is_starting else "ok",
            detail=" ".join(failures + notes) or (_OPENING if is_starting else "ok"),
            backlog_records=spool.buffered_records + sum(segment.backlog_records for segment in segments),
            backlog_bytes=spool.buffered_bytes + sum(segment.backlog_bytes for segment in segments),
            lost_records=spool.lost_records,
            damaged_records=drain.damaged_records,
            unusable_entries=drain.unusable_entries,
            has_other_gateways=drain.has_other_gateways,
        )

    def _unavailable_reason(self) -> str | None:
        if self._drain is None:
            return _NOT_STARTED
        if self._drain.is_open:
            return None
        return _OPENING if self._drain.failure is None else _UNUSABLE  # the failure names files; clients see this

    async def _retry_buffered(self, spool: Spool) -> None:
        # Without traffic, no append would retry.
        while True:
            await asyncio.sleep(_BUFFER_RETRY_S)
            spool.retry()
