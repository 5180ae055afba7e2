"""The store as its users see it: a journal that takes records at once, and a database that has them soon after."""

import asyncio
import logging
import time
from pathlib import Path
from typing import Final

from intellirouter.config.runtime import StoreSpec
from intellirouter.core import SYSTEM_CLOCK, Clock, ExchangeRecord, TaskOwner
from intellirouter.store.drain import Drain, DrainSpec
from intellirouter.store.health import StoreHealth
from intellirouter.store.location import check_store_url
from intellirouter.store.objects import ObjectStore
from intellirouter.store.reader import LogReader
from intellirouter.store.segment import Segment
from intellirouter.store.spool import Spool, SpoolLimits

logger = logging.getLogger(__name__)

_POLL_S: Final = 0.005
_HELD_RETRY_S: Final = 0.25
_LAST_STATEMENT_S: Final = 2.0


class ExchangeStore:
    """Spool, drain and reader together. Implements `core.Journal`. All methods belong to one event loop."""

    def __init__(self, spec: StoreSpec, *, clock: Clock = SYSTEM_CLOCK, limits: SpoolLimits | None = None) -> None:
        """ValueError for a URL that this version cannot use. Nothing is opened yet."""
        check_store_url(spec.url)
        self._spec = spec
        self._clock = clock
        self._limits = limits
        self._spool: Spool | None = None
        self._drain: Drain | None = None
        self._tasks = TaskOwner("store")
        self.reader = LogReader(spec.url, self._why_unreadable)
        """Reads the database; for worker threads. StoreUnavailable until the database is open."""
        self.objects = ObjectStore(spec.url, self._why_unreadable)
        """What clients leave with the gateway; for worker threads."""

    def start(self) -> None:
        """Open the spool, which takes records from now on, and let the rest happen in the background.

        OSError when the spool's directory cannot be used. Opening and migrating the database and draining what
        dead processes left never delays or fails the start; `health` tells how it goes.
        """
        directory = Path(self._spec.spool_dir)
        spool = Spool(directory, limits=self._limits, fsync_interval_s=self._spec.fsync_interval_s, clock=self._clock)
        spec = DrainSpec(
            url=self._spec.url,
            directory=directory,
            log_keep_days=self._spec.log_keep_days,
            log_max_bytes=self._spec.log_max_bytes,
        )
        self._spool = spool
        self._drain = Drain(spec, spool.segments, self._clock)
        self._drain.start()
        self._tasks.start(self._retry_held(spool), "retry-held")

    def append(self, record: ExchangeRecord) -> None:
        """Keep `record`: when this returns, the kernel has it (or `health` says why not). Never waits."""
        if self._spool is None:
            raise RuntimeError("the store takes records between start() and stop()")
        self._spool.append(record)

    async def flush(self, timeout_s: float) -> bool:
        """Wait until all that was appended before this call, by dead processes too, is in the database.

        False when the time ran out first.
        """
        spool, drain = self._spool, self._drain
        if spool is None or drain is None:
            return True
        deadline_s = time.monotonic() + timeout_s
        spool.retry()
        targets: list[tuple[Segment, int]] | None = None
        while True:
            if targets is None and drain.has_adopted and not spool.held_records:
                targets = [(segment, segment.size) for segment in list(spool.segments)]
            if targets is not None and all(segment.offset >= size for segment, size in targets):
                return True
            if time.monotonic() >= deadline_s:
                return False
            drain.wake()
            await asyncio.sleep(_POLL_S)

    async def stop(self, timeout_s: float) -> None:
        """Take no more records, drain what there is, sync and close.

        What is not drained when the time is up stays in the spool; the next start drains it.
        """
        spool, drain = self._spool, self._drain
        if spool is None or drain is None:
            return
        await self._tasks.stop()
        spool.finish()
        drain.request_stop(timeout_s)
        # The drain may be inside one last statement when its time is up; it is given as long as a lock can last.
        deadline_s = time.monotonic() + timeout_s + _LAST_STATEMENT_S
        while drain.is_alive and time.monotonic() < deadline_s:  # noqa: ASYNC110 - it is a thread we wait for
            await asyncio.sleep(_POLL_S)
        await asyncio.to_thread(spool.sync)
        health = self.health()
        if health.backlog_records:
            logger.warning("%d exchange records stay in the spool for the next start", health.backlog_records)
        if not drain.is_alive:
            spool.close()  # otherwise the thread may still read the files; they end with the process
        self.reader.close()
        self.objects.close()

    def health(self) -> StoreHealth:
        spool, drain = self._spool, self._drain
        if spool is None or drain is None:
            return StoreHealth(state="starting", detail="not started")
        troubles = [
            f"{name}: {trouble}"
            for name, trouble in (
                ("spool", spool.trouble),
                ("disk", spool.sync_trouble),
                ("database", drain.trouble),
            )
            if trouble is not None
        ]
        remarks = [
            f"{count} records {what} since the start"
            for count, what in ((spool.lost_records, "lost"), (drain.damaged_records, "damaged"))
            if count
        ]
        segments = list(spool.segments)
        is_starting = not drain.is_open
        return StoreHealth(
            state="degraded" if troubles else "starting" if is_starting else "ok",
            detail="; ".join(troubles + remarks) or ("the database is being opened" if is_starting else "ok"),
            backlog_records=spool.held_records + sum(segment.backlog_records for segment in segments),
            backlog_bytes=spool.held_bytes + sum(segment.backlog_bytes for segment in segments),
            lost_records=spool.lost_records,
            damaged_records=drain.damaged_records,
        )

    def _why_unreadable(self) -> str | None:
        if self._drain is None:
            return "the store has not been started"
        return None if self._drain.is_open else (self._drain.trouble or "the database is being opened")

    async def _retry_held(self, spool: Spool) -> None:
        # Without traffic nobody else would try again.
        while True:
            await asyncio.sleep(_HELD_RETRY_S)
            spool.retry()
