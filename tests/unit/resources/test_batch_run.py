"""Running a batch with a real store and scripted lines."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from intellirouter.config.runtime import BatchesSpec
from intellirouter.core import TaskOwner, Usage
from intellirouter.resources import object_store
from intellirouter.resources.batches import run as batch_run
from intellirouter.resources.batches.lines import LineRequest, LineResult
from intellirouter.resources.batches.run import BatchParts, BatchRun, ResultWriter
from intellirouter.resources.batches.semaphore import AdjustableSemaphore
from intellirouter.resources.batches.state import INPUT, RESULT, WINDOW_S, Batch, read_batch
from intellirouter.resources.files.file_store import FileStore, file_part
from intellirouter.resources.object_store import AsyncObjectStore, PageQuery
from intellirouter.store import ObjectStore, StoredObject, part_id
from intellirouter.store.migrate import upgrade
from intellirouter.testing import FakeClock
from tests.support.objects import is_only_gateway

CHAT = "/v1/chat/completions"
WAIT_S = 10.0


class Lines:
    """Runs lines. While `gate` is cleared, they wait."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.in_progress = 0
        self.max_in_progress = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.then: Callable[[str], None] = lambda _: None

    async def run(self, line: LineRequest, in_progress: set[Any]) -> LineResult:
        self.started.append(line.custom_id)
        self.in_progress += 1
        self.max_in_progress = max(self.in_progress, self.max_in_progress)
        exchange = type("E", (), {"is_client_disconnected": False})()
        in_progress.add(exchange)
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.was_marked_disconnected = exchange.is_client_disconnected
            raise
        finally:
            self.in_progress -= 1
            in_progress.discard(exchange)
        self.then(line.custom_id)
        is_success = not line.custom_id.startswith("bad")
        encoded = json.dumps({"custom_id": line.custom_id, "body": json.loads(line.body)}).encode() + b"\n"
        return LineResult(encoded, is_success, Usage(input_tokens=2, output_tokens=1))


class World:
    def __init__(self, url: str) -> None:
        self.clock = FakeClock()
        self.unavailable: str | None = None
        self.store = ObjectStore(url, lambda: self.unavailable)
        self.objects = AsyncObjectStore(self.store, self.clock, is_only_gateway)
        self.files = FileStore(self.objects, self.clock)
        self.lines = Lines()
        self.owner = TaskOwner("test")
        self.limits = BatchesSpec(concurrency=3)
        self.slots = AdjustableSemaphore(lambda: self.limits.concurrency)

    def parts(self) -> BatchParts:
        lines: Any = self.lines
        return BatchParts(
            objects=self.objects,
            files=self.files,
            lines=lines,
            slots=self.slots,
            limits=lambda: self.limits,
            clock=self.clock,
        )

    async def batch(self, *ids: str) -> Batch:
        text = b"".join(
            json.dumps({"custom_id": each, "method": "POST", "url": CHAT, "body": {"model": each}}).encode() + b"\n"
            for each in ids
        )
        file = self.files.new("acme", "input.jsonl", "batch", len(text), None)
        await self.files.save(file, memoryview(text))
        now_s = self.clock.epoch_us() // 1_000_000
        times = {"created_at": now_s, "expires_at": now_s + WINDOW_S}
        batch = Batch(id="batch_1", tenant="acme", key_name=None, endpoint=CHAT, input_file_id=file.id, times=times)
        self.store.put(batch.to_stored())
        return batch

    async def run(self, batch: Batch) -> Batch:
        """Run the batch to its end and return it as stored."""
        await asyncio.wait_for(BatchRun(batch, self.parts()).run(), WAIT_S)
        return self.stored()

    def begin(self, batch: Batch) -> tuple[BatchRun, asyncio.Task[None]]:
        run = BatchRun(batch, self.parts())
        return run, self.owner.start(run.run(), "run", is_awaited=True)

    def stored(self) -> Batch:
        found = self.store.get("batch", "batch_1", "acme", self.clock.epoch_us())
        assert found is not None
        return read_batch(found)

    async def read(self, batch: Batch, name: str) -> list[dict[str, Any]]:
        if name not in batch.files:
            return []
        content = b"".join([piece async for piece in self.files.pieces("acme", batch.files[name])])
        file = await self.files.find("acme", batch.files[name])
        assert file is not None
        assert file.metadata.bytes == len(content)
        return [json.loads(each) for each in content.splitlines()]

    async def ids(self, batch: Batch, name: str) -> list[str]:
        return [each["custom_id"] for each in await self.read(batch, name)]

    def remaining_parts(self) -> int:
        return sum(len(self.store.part_marks(kind, "batch_1", "acme", "")) for kind in (INPUT, RESULT))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.002)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(object_store, "_RETRY_S", 0.01)
    url = f"sqlite:///{tmp_path}/objects.db"
    upgrade(url)
    made = World(url)
    yield made
    made.store.close()


def result(number: int, custom_id: str, status: str = "succeeded") -> StoredObject:
    line = json.dumps({"custom_id": custom_id, "from": "before"}).encode() + b"\n"
    return StoredObject(
        kind=RESULT, id=part_id("batch_1", number), tenant="acme", created_us=1, parent="batch_1", status=status,
        meta=b'{"input_tokens":10}', content=line,
    )  # fmt: skip


async def test_results_are_split_into_output_and_error_file(world: World) -> None:
    batch = await world.run(await world.batch("a", "bad b", "c", "d"))
    assert (batch.status, batch.total, batch.completed, batch.failed) == ("completed", 4, 3, 1)
    assert await world.ids(batch, "output") == ["a", "c", "d"]
    assert await world.ids(batch, "error") == ["bad b"]
    assert batch.usage == Usage(input_tokens=8, output_tokens=4)
    assert world.lines.max_in_progress <= 3
    assert world.remaining_parts() == 0
    assert world.slots.held == 0
    files, _ = await world.files.page("acme", PageQuery(limit=10), "batch_output")
    assert {file.id for file in files} == set(batch.files.values())


async def test_final_state_is_visible_only_after_the_files_are_stored(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = BatchRun(await world.batch("a"), world.parts())
    seen: list[str] = []
    put_all = world.store.put_all

    def looked(several: list[StoredObject]) -> None:
        if several[-1].kind == "batch":
            seen.append(run.batch.status)
        put_all(several)

    monkeypatch.setattr(world.store, "put_all", looked)
    await asyncio.wait_for(run.run(), WAIT_S)
    assert seen == ["finalizing"]
    assert run.batch.status == "completed"


async def test_empty_output_file_is_not_created(world: World) -> None:
    batch = await world.run(await world.batch("a"))
    assert set(batch.files) == {"output"}
    assert batch.document()["error_file_id"] is None


async def test_only_lines_without_a_result_run_after_a_restart(world: World) -> None:
    batch = await world.batch("a", "b", "c", "d")
    run = BatchRun(batch, world.parts())
    await run._validate()
    world.store.put_all([result(2, "c"), result(0, "a", "failed")])
    batch = await world.run(world.stored())
    assert sorted(world.lines.started) == ["b", "d"]
    assert await world.ids(batch, "output") == ["b", "c", "d"]
    assert await world.ids(batch, "error") == ["a"]
    assert (batch.completed, batch.failed) == (3, 1)
    assert batch.usage == Usage(input_tokens=24, output_tokens=2)


async def test_partially_written_files_are_written_again(world: World) -> None:
    batch = await world.batch("a", "b")
    run = BatchRun(batch, world.parts())
    await run._validate()
    world.store.put_all([result(0, "a"), result(1, "b")])
    world.store.put(file_part("file-out", "acme", 0, b"half a fi"))
    batch.files = {"output": "file-out", "error": "file-err"}
    batch.move("finalizing", world.clock.epoch_us())
    world.store.put(batch.to_stored())
    batch = await world.run(world.stored())
    assert world.lines.started == []
    assert batch.files == {"output": "file-out"}
    assert await world.ids(batch, "output") == ["a", "b"]


async def test_lines_that_do_not_run_in_time_expire(world: World) -> None:
    batch = await world.batch("a", "b", "c", "d", "e")
    world.limits = BatchesSpec(concurrency=1)
    world.lines.then = lambda custom_id: world.clock.advance(WINDOW_S) if custom_id == "b" else None
    batch = await world.run(batch)
    assert (batch.status, batch.completed, batch.failed) == ("expired", 2, 3)
    assert "expired_at" in batch.times
    assert world.slots.held == 0
    assert await world.ids(batch, "output") == ["a", "b"]
    assert [each["error"]["code"] for each in await world.read(batch, "error")] == ["batch_expired"] * 3
    assert all(each["response"] is None for each in await world.read(batch, "error"))


async def test_batch_expires_while_its_lines_wait_for_a_slot(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_run, "_GRACE_S", 0.01)
    batch = await world.batch("a", "b")
    batch.times["expires_at"] = world.clock.epoch_us() // 1_000_000
    for _ in range(3):
        await world.slots.acquire()  # by other batches
    batch = await world.run(batch)
    assert (batch.status, batch.failed) == ("expired", 2)
    assert world.slots.held == 3


async def test_cancel_lets_lines_in_progress_finish(world: World) -> None:
    batch = await world.batch(*map(str, range(20)))
    world.lines.gate.clear()
    run, task = world.begin(batch)
    await until(lambda: world.lines.in_progress == 3)
    await run.cancel()
    assert world.stored().status == "cancelling"
    world.lines.gate.set()
    await asyncio.wait_for(task, WAIT_S)
    batch = world.stored()
    assert (batch.status, batch.completed, batch.failed) == ("cancelled", 3, 17)
    assert {each["error"]["code"] for each in await world.read(batch, "error")} == {"batch_cancelled"}
    assert world.slots.held == 0


async def test_cancel_ends_lines_in_progress_after_the_grace_period(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_run, "_GRACE_S", 0.02)
    batch = await world.batch("a", "b")
    world.lines.gate.clear()
    run, task = world.begin(batch)
    await until(lambda: world.lines.in_progress == 2)
    await run.cancel()
    await asyncio.wait_for(task, WAIT_S)
    assert world.lines.was_marked_disconnected
    assert (world.stored().status, world.stored().failed, world.slots.held) == ("cancelled", 2, 0)


async def test_batch_can_be_canceled_while_it_is_validated(world: World) -> None:
    batch = await world.batch("a")
    world.unavailable = "opening"  # so that the validation waits
    run, task = world.begin(batch)
    cancelling = world.owner.start(run.cancel(), "cancel", is_awaited=True)
    await asyncio.sleep(0)
    world.unavailable = None
    await asyncio.wait_for(asyncio.gather(task, cancelling), WAIT_S)
    assert world.stored().status == "cancelled"
    assert world.lines.started == []


async def test_restart_finishes_a_cancellation(world: World) -> None:
    batch = await world.batch("a", "b")
    await BatchRun(batch, world.parts())._validate()
    batch.move("cancelling", world.clock.epoch_us())
    world.store.put_all([result(1, "b"), batch.to_stored()])
    batch = await world.run(world.stored())
    assert (batch.status, batch.completed, batch.failed) == ("cancelled", 1, 1)
    assert await world.ids(batch, "output") == ["b"]


async def test_pause_waits_for_lines_in_progress_and_starts_no_others(world: World) -> None:
    batch = await world.batch(*map(str, range(10)))
    world.lines.gate.clear()
    run, task = world.begin(batch)
    await until(lambda: world.lines.in_progress == 3)
    run.pause()
    world.lines.gate.set()
    await asyncio.wait_for(task, WAIT_S)
    assert len(world.lines.started) == 3
    assert world.stored().status == "in_progress"
    batch = await world.run(world.stored())
    assert (batch.status, batch.completed) == ("completed", 10)
    assert sorted(world.lines.started) == sorted(map(str, range(10)))  # each of them once


async def test_batch_waits_while_the_database_is_unavailable(world: World) -> None:
    batch = await world.batch("a", "b", "c")
    world.lines.gate.clear()
    _, task = world.begin(batch)
    await until(lambda: world.lines.in_progress == 3)
    world.unavailable = "the disk is full"
    world.lines.gate.set()
    await until(lambda: world.lines.in_progress == 0)
    await asyncio.sleep(0.03)
    assert not task.done()
    world.unavailable = None
    await asyncio.wait_for(task, WAIT_S)
    assert world.stored().completed == 3
    assert sorted(world.lines.started) == ["a", "b", "c"]


async def test_concurrent_results_are_stored_in_one_transaction(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.limits = BatchesSpec(concurrency=50)
    batch = await world.batch(*map(str, range(50)))
    world.lines.gate.clear()
    groups: list[int] = []
    put_all = world.store.put_all

    def counted(several: list[StoredObject]) -> None:
        if several[0].kind == RESULT:
            groups.append(len(several))
        put_all(several)

    monkeypatch.setattr(world.store, "put_all", counted)
    _, task = world.begin(batch)
    await until(lambda: world.lines.in_progress == 50)
    world.lines.gate.set()
    await asyncio.wait_for(task, WAIT_S)
    assert sum(groups) == 50
    assert len(groups) <= 5
    assert world.stored().completed == 50


async def test_results_of_a_canceled_writer_are_stored_by_the_next(world: World) -> None:
    writer = ResultWriter(world.objects)
    world.unavailable = "the disk is full"
    tasks = [
        world.owner.start(writer.write(result(number, "abc"[number])), str(number), is_awaited=True)
        for number in range(3)
    ]
    for task in tasks[:2]:
        await asyncio.sleep(0.03)
        task.cancel()
    await asyncio.sleep(0.03)
    world.unavailable = None
    await asyncio.wait_for(tasks[2], WAIT_S)
    assert part_id("batch_1", 2) in [each.id for each in world.store.part_marks(RESULT, "batch_1", "acme", "")]


async def test_exception_in_a_line_does_not_stop_the_batch(world: World, caplog: pytest.LogCaptureFixture) -> None:
    def break_b(custom_id: str) -> None:
        if custom_id == "b":
            raise RuntimeError("a bug")

    world.lines.then = break_b
    batch = await world.run(await world.batch("a", "b", "c"))
    assert (batch.status, batch.completed, batch.failed) == ("completed", 2, 1)
    [error] = await world.read(batch, "error")
    assert (error["custom_id"], error["error"]["code"]) == ("b", "server_error")
    assert "a bug" in caplog.text


async def test_exception_in_the_batch_fails_it(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(_self: BatchRun) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(BatchRun, "_run_lines", broken)
    batch = await world.run(await world.batch("a"))
    assert (batch.status, [error.code for error in batch.errors]) == ("failed", ["server_error"])
    assert "batch_1" in batch.errors[0].message
    assert "a bug" in caplog.text


async def test_missing_input_file_fails_the_batch(world: World) -> None:
    batch = await world.batch("a")
    await world.files.delete("acme", batch.input_file_id)
    batch = await world.run(batch)
    assert (batch.status, [error.code for error in batch.errors]) == ("failed", ["file_not_found"])


async def test_incomplete_upload_is_not_visible(world: World) -> None:
    file = world.files.new("acme", "half", "batch", 10, None)
    world.store.put(file.to_stored("uploading"))
    assert await world.files.find("acme", file.id) is None
    assert await world.files.page("acme", PageQuery(limit=5), None) == ([], False)
