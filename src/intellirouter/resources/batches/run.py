"""Runs one batch, from its input file to its output files. All progress is stored, so a batch survives a restart.

The result of each line is stored as an object of its own until the output files are written. A killed process loses
only the results of lines in progress, and only these lines run again.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Final

import msgspec
from msgspec import Struct

from intellirouter.config.runtime import BatchesSpec
from intellirouter.core import DEFAULT_LIMITS, NO_USAGE, Clock, RequestLimits, TaskOwner, Usage, new_id
from intellirouter.pipeline import Exchange
from intellirouter.resources.batches.input import CHUNK_BYTES, Chunk, InputCheck, read_lines
from intellirouter.resources.batches.lines import LineRequest, LineResult, LineRunner, unexecuted_line
from intellirouter.resources.batches.semaphore import AdjustableSemaphore
from intellirouter.resources.batches.state import INPUT, RESULT, Batch, LineError
from intellirouter.resources.files.file_store import FILE, PART, FileStore, PartWriter, StoredFile
from intellirouter.resources.object_store import AsyncObjectStore
from intellirouter.store import StoredObject, part_id

logger = logging.getLogger(__name__)

_GRACE_S: Final = 30.0
_LARGE_CHUNK: Final = 4 * CHUNK_BYTES
"""Chunks are only larger if they consist of one long line."""
"""How long lines in progress may continue after their batch was canceled or has expired."""
_SUCCEEDED: Final = "succeeded"
_FAILED: Final = "failed"
_UNEXECUTED: Final = {
    "expired": ("batch_expired", "This request could not be executed before the completion window expired."),
    "cancelled": ("batch_cancelled", "This request was not executed because the batch was cancelled."),
    "completed": ("server_error", "The gateway failed to execute this request. Send it again."),
}
"""Code and message for lines without a result, by the final state of the batch. The first two are OpenAI's wording."""


class BatchParts(Struct, frozen=True, kw_only=True):
    """The dependencies of all batches."""

    objects: AsyncObjectStore
    files: FileStore
    lines: LineRunner
    slots: AdjustableSemaphore
    limits: Callable[[], BatchesSpec]
    clock: Clock
    request_limits: Callable[[], RequestLimits] = lambda: DEFAULT_LIMITS


class PendingResult(Struct):
    """A result that waits to be stored."""

    stored: StoredObject
    is_stored: bool = False


class ResultWriter:
    """Stores results. All results that arrive during one transaction are stored together in the next one."""

    def __init__(self, objects: AsyncObjectStore) -> None:
        self._objects = objects
        self._waiting: list[PendingResult] = []
        self._writing = asyncio.Lock()

    async def write(self, stored: StoredObject) -> None:
        """Store a result. Returns when it has been stored."""
        pending = PendingResult(stored)
        self._waiting.append(pending)
        async with self._writing:
            if pending.is_stored:
                return
            group, self._waiting = self._waiting, []
            try:
                await self._objects.call_when_available(self._objects.store.put_all, [each.stored for each in group])
            except BaseException:  # this task was canceled: the next one stores the whole group
                self._waiting = group + self._waiting
                raise
            for each in group:
                each.is_stored = True


class BatchRun:
    """Runs one batch. Use it on one event loop only."""

    def __init__(self, batch: Batch, parts: BatchParts) -> None:
        self.batch = batch
        self._parts = parts
        self._writer = ResultWriter(parts.objects)
        self._owner = TaskOwner(f"batch {batch.id}")
        self._lines: set[asyncio.Task[None]] = set()
        self._in_progress: set[Exchange] = set()
        self._starter: asyncio.Task[None] | None = None
        self._saving = asyncio.Lock()
        self._is_pausing = False

    async def run(self) -> None:
        """Continue the batch from its stored state to its end or, after `pause`, until no line is in progress."""
        batch = self.batch
        try:
            if batch.status == "validating":
                await self._validate()
            if batch.status == "in_progress" and not self._is_pausing:
                await self._run_lines()
            if not self._is_pausing and not self.batch.is_final:
                await self._finalize()
        except Exception:  # a bug in the gateway must not leave the batch unfinished forever
            logger.exception("Batch %s failed.", batch.id)
            message = (
                f"The gateway failed to run the batch. See its log, and report the problem with the id {batch.id}."
            )
            await self._fail([LineError(code="server_error", message=message)])
        finally:
            await self._owner.stop()

    def pause(self) -> None:
        """Start no more lines, because the process is stopping. The batch continues after the next start."""
        self._is_pausing = True
        if self._starter is not None:
            self._starter.cancel()

    async def cancel(self) -> None:
        """Cancel the batch. Returns when the new state is stored; `run` does the rest."""
        self.batch.move("cancelling", self._now_us())
        self._stop_starting()
        await self._save()

    def _stop_starting(self) -> None:
        """Start no more lines. Lines in progress may continue for the grace period."""
        if self._starter is not None:
            self._starter.cancel()
            self._owner.start(self._cancel_after_grace(), "grace")

    async def _cancel_after_grace(self) -> None:
        await asyncio.sleep(_GRACE_S)
        for exchange in self._in_progress:
            exchange.is_client_disconnected = True  # the client no longer waits for these
        for task in self._lines:
            task.cancel()

    # -- validating ----------------------------------------------------------------------------------------------

    async def _validate(self) -> None:
        """Validate the input file and store a copy of its lines, because the client may delete the file."""
        batch, objects = self.batch, self._parts.objects
        file = await objects.call_when_available(
            objects.store.get, FILE, batch.input_file_id, batch.tenant, self._now_us()
        )
        if file is None:
            message = "The input file was deleted or expired before it was read."
            await self._fail([LineError(code="file_not_found", message=message, param="input_file_id")])
            return
        await objects.delete_parts(INPUT, batch.id, batch.tenant)  # left by a process that was killed here
        check = InputCheck(batch.endpoint, self._parts.limits().max_lines, self._parts.request_limits())
        number = 0
        async for part in objects.parts(PART, batch.input_file_id, batch.tenant):
            if check.can_stop or batch.status != "validating":
                break
            number = await self._store_input(await asyncio.to_thread(check.feed, part.content or b""), number)
        await self._store_input(await asyncio.to_thread(check.end), number)
        if batch.status != "validating":
            return  # canceled in the meantime
        if check.errors:
            await self._fail(check.errors)
            return
        batch.total, batch.model = check.total, check.model
        batch.move("in_progress", self._now_us())
        await self._save()

    async def _store_input(self, chunks: list[Chunk], number: int) -> int:
        """Store chunks as parts of the batch's input, from part `number`. Returns the number of the next part."""
        objects = self._parts.objects
        parts = [
            self._part(INPUT, number + offset, chunk.content, meta=str(chunk.first).encode())
            for offset, chunk in enumerate(chunks)
        ]
        if parts:
            await objects.call_when_available(objects.store.put_all, parts)
        return number + len(parts)

    def _part(self, kind: str, number: int, content: bytes, *, status: str = "", meta: bytes = b"{}") -> StoredObject:
        batch = self.batch
        return StoredObject(
            kind=kind,
            id=part_id(batch.id, number),
            tenant=batch.tenant,
            created_us=self._now_us(),
            parent=batch.id,
            status=status,
            meta=meta,
            content=content,
        )

    async def _fail(self, found: list[LineError]) -> None:
        failed = msgspec.structs.replace(self.batch, errors=found, times=dict(self.batch.times))
        failed.move("failed", self._now_us())
        await self._end(failed)

    # -- in progress ---------------------------------------------------------------------------------------------

    async def _run_lines(self) -> None:
        """Run all lines without a result, until none is left, the batch expires, or it is paused or canceled."""
        batch = self.batch
        done = await self._count_done()
        left_s = batch.times["expires_at"] - self._now_us() / 1e6
        starter = self._starter = self._owner.start(self._start_lines(done), "start lines", is_awaited=True)
        if self._is_pausing or batch.status != "in_progress":
            starter.cancel()
        await asyncio.wait([starter], timeout=max(0.0, left_s))
        if self._now_us() >= batch.times["expires_at"] * 1_000_000:
            self._stop_starting()
        await asyncio.wait([starter])
        if not starter.cancelled() and (error := starter.exception()) is not None:
            raise error
        if self._lines:
            await asyncio.wait(self._lines)

    async def _count_done(self) -> set[int]:
        """Count the stored results, including those of earlier processes. Returns the indexes of their lines."""
        batch = self.batch
        done: set[int] = set()
        succeeded, usage = 0, Usage()
        async for mark in self._parts.objects.part_marks(RESULT, batch.id, batch.tenant):
            done.add(_index(mark))
            succeeded += mark.status == _SUCCEEDED
            usage = usage.plus(msgspec.json.decode(mark.meta, type=Usage | None) or NO_USAGE)
        batch.completed, batch.failed, batch.usage = succeeded, len(done) - succeeded, usage
        return done

    async def _start_lines(self, done: set[int]) -> None:
        """Start one line after another, as the concurrency limit allows."""
        deadline_us = self.batch.times["expires_at"] * 1_000_000
        slots = self._parts.slots
        async for index, custom_id, body in self._input():
            if index in done:
                continue
            await slots.acquire(self.batch.tenant)
            # No await between acquiring the slot and starting the task, so that the slot is always released.
            if self._now_us() >= deadline_us:
                slots.release()
                return
            task = self._owner.start(self._run_line(index, custom_id, body), f"line {index}")
            self._lines.add(task)
            task.add_done_callback(self._line_ended)

    def _line_ended(self, task: asyncio.Task[None]) -> None:
        self._lines.discard(task)
        self._parts.slots.release()

    async def _run_line(self, index: int, custom_id: str, body: bytes) -> None:
        batch = self.batch
        line = LineRequest(
            endpoint=batch.endpoint,
            tenant=batch.tenant,
            key_name=batch.key_name,
            custom_id=custom_id,
            body=body,
            deadline_us=batch.times["expires_at"] * 1_000_000,
        )
        result = await self._parts.lines.run(line, self._in_progress)
        await self._writer.write(self._result(index, result))
        batch.count(is_success=result.is_success, usage=result.usage)

    def _result(self, index: int, result: LineResult) -> StoredObject:
        status = _SUCCEEDED if result.is_success else _FAILED
        return self._part(RESULT, index, result.line, status=status, meta=msgspec.json.encode(result.usage))

    async def _input(self) -> AsyncIterator[tuple[int, str, bytes]]:
        """Iterate over the lines: index, custom id, body."""
        batch = self.batch
        async for part in self._parts.objects.parts(INPUT, batch.id, batch.tenant):
            content = part.content or b""
            lines = await asyncio.to_thread(read_lines, content) if len(content) > _LARGE_CHUNK else read_lines(content)
            for offset, (custom_id, body) in enumerate(lines):
                yield int(part.meta) + offset, custom_id, body

    # -- finalizing ----------------------------------------------------------------------------------------------

    async def _finalize(self) -> None:
        """Write the output files. If the process is killed, the next one writes them again under the same ids."""
        batch = self.batch
        done = await self._count_done()
        final_status = self._final_status(len(done))
        if batch.status != "finalizing" and final_status != "cancelled":
            batch.move("finalizing", self._now_us())
        batch.files = batch.files or {name: new_id("file-") for name in ("output", "error")}
        await self._save()
        written = await self._write_files(done, final_status)
        files = {name: file_id for name, file_id in batch.files.items() if written[name]}
        failed = batch.failed + batch.total - len(done)
        final = msgspec.structs.replace(batch, failed=failed, files=files, times=dict(batch.times))
        final.move(final_status, self._now_us())
        new = self._parts.files.new
        await self._end(
            final,
            *(
                new(
                    batch.tenant,
                    f"{batch.id}_{name}.jsonl",
                    "batch_output",
                    written[name],
                    batch.output_expires_after_s,
                    file_id,
                )
                for name, file_id in files.items()
            ),
        )

    async def _end(self, final: Batch, *files: StoredFile) -> None:
        """Store the final state together with the output files, and only then show it to clients."""
        objects = self._parts.objects
        async with self._saving:
            await objects.call_when_available(
                objects.store.put_all, [*(file.to_stored() for file in files), final.to_stored()]
            )
            self.batch = final
        await self._delete_parts()

    def _final_status(self, done: int) -> str:
        """Return the final state of the batch, of which `done` lines have a result."""
        batch = self.batch
        if "cancelling_at" in batch.times:
            return "cancelled"
        if done < batch.total and self._now_us() >= batch.times["expires_at"] * 1_000_000:
            return "expired"
        return "completed"

    async def _write_files(self, done: set[int], final_status: str) -> dict[str, int]:
        """Write all results to the output file and the error file. Returns their sizes."""
        batch, objects = self.batch, self._parts.objects
        output, error = (PartWriter(objects, batch.files[name], batch.tenant) for name in ("output", "error"))
        async for part in objects.parts(RESULT, batch.id, batch.tenant):
            await (output if part.status == _SUCCEEDED else error).write(part.content or b"")
        if len(done) < batch.total:
            code, message = _UNEXECUTED[final_status]
            async for index, custom_id, _ in self._input():
                if index not in done:
                    await error.write(unexecuted_line(custom_id, code, message))
        await output.flush()
        await error.flush()
        return {"output": output.size_bytes, "error": error.size_bytes}

    async def _delete_parts(self) -> None:
        """Delete the stored input and results, which only a running batch needs."""
        batch, objects = self.batch, self._parts.objects
        for kind in (RESULT, INPUT):
            await objects.delete_parts(kind, batch.id, batch.tenant)

    async def _save(self) -> None:
        """Store the current state of the batch."""
        objects = self._parts.objects
        async with self._saving:  # keeps the writes in order
            await objects.call_when_available(objects.store.put, self.batch.to_stored())

    def _now_us(self) -> int:
        return self._parts.clock.epoch_us()


def _index(part: StoredObject) -> int:
    return int(part.id.rpartition(".")[2])
