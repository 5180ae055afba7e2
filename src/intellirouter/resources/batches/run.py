"""One batch from its input file to its output files. What is done is in the store: a run goes on where one ended.

Every answered line is an object of its own until the files are written, so that a killed process loses at most the
lines that were under way; these are asked again, the others are not.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Final

import msgspec
from msgspec import Struct

from intellirouter.config.runtime import BatchesSpec
from intellirouter.core import NO_USAGE, Clock, TaskOwner, Usage, new_id
from intellirouter.pipeline import Exchange
from intellirouter.resources.batches.input import Chunk, InputCheck, read_lines
from intellirouter.resources.batches.lines import LineRequest, LineResult, LineRunner, unexecuted_line
from intellirouter.resources.batches.semaphore import AdjustableSemaphore
from intellirouter.resources.batches.state import INPUT, RESULT, Batch, LineError
from intellirouter.resources.files.file_store import FILE, PART, FileStore, PartWriter, StoredFile
from intellirouter.resources.object_store import AsyncObjectStore
from intellirouter.store import StoredObject, part_id

logger = logging.getLogger(__name__)

_GRACE_S: Final = 30.0
"""What lines under way get to finish once their batch is cancelled or has expired."""
_GOOD: Final = "good"
_BAD: Final = "bad"
_ENDS: Final = {
    "expired": ("batch_expired", "This request could not be executed before the completion window expired."),
    "cancelled": ("batch_cancelled", "This request was not executed because the batch was cancelled."),
    "completed": ("server_error", "The gateway failed to execute this request. Send it again."),
}
"""What is message of lines without an answer, by the state the batch ends in."""


class BatchParts(Struct, frozen=True, kw_only=True):
    """What all batches share."""

    objects: AsyncObjectStore
    files: FileStore
    lines: LineRunner
    slots: AdjustableSemaphore
    limits: Callable[[], BatchesSpec]
    clock: Clock


class PendingResult(Struct):
    """A result on its way to the store."""

    stored: StoredObject
    is_kept: bool = False


class ResultWriter:
    """Puts results into the store: those that come while one transaction runs go into the next one together."""

    def __init__(self, objects: AsyncObjectStore) -> None:
        self._objects = objects
        self._waiting: list[PendingResult] = []
        self._writing = asyncio.Lock()

    async def write(self, stored: StoredObject) -> None:
        """Return when it is in the store."""
        mine = PendingResult(stored)
        self._waiting.append(mine)
        async with self._writing:
            if mine.is_kept:
                return
            group, self._waiting = self._waiting, []
            try:
                await self._objects.call_when_available(self._objects.store.put_all, [each.stored for each in group])
            except BaseException:  # whoever wrote for all of them was cancelled: the next one does it
                self._waiting = group + self._waiting
                raise
            for each in group:
                each.is_kept = True


class BatchRun:
    """Lives on one event loop, once per batch and process."""

    def __init__(self, batch: Batch, parts: BatchParts) -> None:
        self.batch = batch
        self._parts = parts
        self._writer = ResultWriter(parts.objects)
        self._owner = TaskOwner(f"batch {batch.id}")
        self._lines: set[asyncio.Task[None]] = set()
        self._in_progress: set[Exchange] = set()
        self._feeder: asyncio.Task[None] | None = None
        self._saving = asyncio.Lock()
        self._is_pausing = False

    async def run(self) -> None:
        """Take the batch from where it is to its end; or, when pausing, to where nothing is under way."""
        batch = self.batch
        try:
            if batch.status == "validating":
                await self._validate()
            if batch.status == "in_progress" and not self._is_pausing:
                await self._answer()
            if not self._is_pausing and not self.batch.is_final:
                await self._finalize()
        except Exception:  # the edge: a bug of ours must not leave the batch hanging for ever
            logger.exception("batch %s failed", batch.id)
            message = f"The gateway failed to run this batch. Report it with the id {batch.id}."
            await self._fail([LineError(code="server_error", message=message)])
        finally:
            await self._owner.stop()

    def pause(self) -> None:
        """Begin no more lines: the process is stopping. The batch goes on at the next start."""
        self._is_pausing = True
        if self._feeder is not None:
            self._feeder.cancel()

    async def cancel(self) -> None:
        """Begin no more lines, for good. Returns when the new state is stored; `run` sees to the rest."""
        self.batch.move("cancelling", self._now_us())
        self._end_soon()
        await self._save()

    def _end_soon(self) -> None:
        """Begin no more lines, and give those that are under way a while."""
        if self._feeder is not None:
            self._feeder.cancel()
            self._owner.start(self._cut_off(), "grace")

    async def _cut_off(self) -> None:
        await asyncio.sleep(_GRACE_S)
        for exchange in self._in_progress:
            exchange.is_client_gone = True  # nobody waits for these any more
        for task in self._lines:
            task.cancel()

    # -- validating ----------------------------------------------------------------------------------------------

    async def _validate(self) -> None:
        """Check the input file and keep a copy of its lines: the file may be deleted from now on."""
        batch, objects = self.batch, self._parts.objects
        file = await objects.call_when_available(
            objects.store.get, FILE, batch.input_file_id, batch.tenant, self._now_us()
        )
        if file is None:
            message = "The input file was deleted, or expired, before it had been read."
            await self._fail([LineError(code="file_not_found", message=message, param="input_file_id")])
            return
        await objects.delete_parts(INPUT, batch.id, batch.tenant)  # what a former process has got to
        check = InputCheck(batch.endpoint, self._parts.limits().max_lines)
        number = 0
        async for part in objects.parts(PART, batch.input_file_id, batch.tenant):
            if check.is_hopeless or batch.status != "validating":
                break
            number = await self._keep_input(await asyncio.to_thread(check.feed, part.content or b""), number)
        await self._keep_input(await asyncio.to_thread(check.end), number)
        if batch.status != "validating":
            return  # cancelled meanwhile
        if check.errors:
            await self._fail(check.errors)
            return
        batch.total, batch.model = check.total, check.model
        batch.move("in_progress", self._now_us())
        await self._save()

    async def _keep_input(self, chunks: list[Chunk], number: int) -> int:
        """Store chunks as the next parts of the batch's input; return the number of the part after them."""
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
        await self._end_as(failed)

    # -- in progress ---------------------------------------------------------------------------------------------

    async def _answer(self) -> None:
        """Answer all lines that have no answer, until there are none, time is up, or the batch is to end early."""
        batch = self.batch
        done = await self._count_done()
        left_s = batch.times["expires_at"] - self._now_us() / 1e6
        feeder = self._feeder = self._owner.start(self._feed(done), "feed", is_awaited=True)
        if self._is_pausing or batch.status != "in_progress":
            feeder.cancel()
        await asyncio.wait([feeder], timeout=max(0.0, left_s))
        if self._now_us() >= batch.times["expires_at"] * 1_000_000:
            self._end_soon()
        await asyncio.wait([feeder])
        if not feeder.cancelled() and (error := feeder.exception()) is not None:
            raise error
        if self._lines:
            await asyncio.wait(self._lines)

    async def _count_done(self) -> set[int]:
        """Count what has been answered, by former processes too; return the places of these lines."""
        batch = self.batch
        done: set[int] = set()
        good, usage = 0, Usage()
        async for mark in self._parts.objects.part_marks(RESULT, batch.id, batch.tenant):
            done.add(_place(mark))
            good += mark.status == _GOOD
            usage = usage.plus(msgspec.json.decode(mark.meta, type=Usage | None) or NO_USAGE)
        batch.completed, batch.failed, batch.usage = good, len(done) - good, usage
        return done

    async def _feed(self, done: set[int]) -> None:
        """Begin lines as their turns come."""
        deadline_us = self.batch.times["expires_at"] * 1_000_000
        slots = self._parts.slots
        async for place, custom_id, body in self._input():
            if place in done:
                continue
            await slots.acquire()
            # No await between the turn and its task: a turn without a task would never be given back.
            if self._now_us() >= deadline_us:
                slots.release()
                return
            task = self._owner.start(self._one(place, custom_id, body), f"line {place}")
            self._lines.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._lines.discard(task)
        self._parts.slots.release()

    async def _one(self, place: int, custom_id: str, body: bytes) -> None:
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
        await self._writer.write(self._result(place, result))
        batch.count(is_good=result.is_good, usage=result.usage)

    def _result(self, place: int, result: LineResult) -> StoredObject:
        status = _GOOD if result.is_good else _BAD
        return self._part(RESULT, place, result.line, status=status, meta=msgspec.json.encode(result.usage))

    async def _input(self) -> AsyncIterator[tuple[int, str, bytes]]:
        """Go through the lines: place, custom id, body."""
        batch = self.batch
        async for part in self._parts.objects.parts(INPUT, batch.id, batch.tenant):
            for offset, (custom_id, body) in enumerate(read_lines(part.content or b"")):
                yield int(part.meta) + offset, custom_id, body

    # -- finalizing ----------------------------------------------------------------------------------------------

    async def _finalize(self) -> None:
        """Write the output files. Done again from the beginning, under the same ids, if a process dies over it."""
        batch = self.batch
        done = await self._count_done()
        end = self._end(len(done))
        if batch.status != "finalizing" and end != "cancelled":
            batch.move("finalizing", self._now_us())
        batch.files = batch.files or {name: new_id("file-") for name in ("output", "error")}
        await self._save()
        written = await self._write_files(done, end)
        files = {name: file_id for name, file_id in batch.files.items() if written[name]}
        failed = batch.failed + batch.total - len(done)
        final = msgspec.structs.replace(batch, failed=failed, files=files, times=dict(batch.times))
        final.move(end, self._now_us())
        new = self._parts.files.new
        await self._end_as(
            final,
            *(
                new(
                    batch.tenant,
                    f"{batch.id}_{name}.jsonl",
                    "batch_output",
                    written[name],
                    batch.output_kept_s,
                    file_id,
                )
                for name, file_id in files.items()
            ),
        )

    async def _end_as(self, final: Batch, *files: StoredFile) -> None:
        """Store the end together with what came of it; only then can anybody see that it has come."""
        objects = self._parts.objects
        async with self._saving:
            await objects.call_when_available(
                objects.store.put_all, [*(file.to_stored() for file in files), final.to_stored()]
            )
            self.batch = final
        await self._clear()

    def _end(self, done: int) -> str:
        """Return the state that the batch is to end in."""
        batch = self.batch
        if "cancelling_at" in batch.times:
            return "cancelled"
        if done < batch.total and self._now_us() >= batch.times["expires_at"] * 1_000_000:
            return "expired"
        return "completed"

    async def _write_files(self, done: set[int], end: str) -> dict[str, int]:
        """Write all answers into the parts of two files; return their sizes."""
        batch, objects = self.batch, self._parts.objects
        output, error = (PartWriter(objects, batch.files[name], batch.tenant) for name in ("output", "error"))
        async for part in objects.parts(RESULT, batch.id, batch.tenant):
            await (output if part.status == _GOOD else error).write(part.content or b"")
        if len(done) < batch.total:
            code, message = _ENDS[end]
            async for place, custom_id, _ in self._input():
                if place not in done:
                    await error.write(unexecuted_line(custom_id, code, message))
        await output.flush()
        await error.flush()
        return {"output": output.size_bytes, "error": error.size_bytes}

    async def _clear(self) -> None:
        """Forget what only a running batch needs."""
        batch, objects = self.batch, self._parts.objects
        for kind in (RESULT, INPUT):
            await objects.delete_parts(kind, batch.id, batch.tenant)

    async def _save(self) -> None:
        """Store the batch as it is now."""
        objects = self._parts.objects
        async with self._saving:  # so that no older state overtakes a newer one
            await objects.call_when_available(objects.store.put, self.batch.to_stored())

    def _now_us(self) -> int:
        return self._parts.clock.epoch_us()


def _place(part: StoredObject) -> int:
    return int(part.id.rpartition(".")[2])
