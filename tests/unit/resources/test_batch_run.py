"""One batch's life over a real store, with lines that are answered by the test."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from intellirouter.config.runtime import BatchesSpec
from intellirouter.core import TaskOwner, Usage
from intellirouter.resources import object_store as kept_objects
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

CHAT = "/v1/chat/completions"
WAIT_S = 10.0


class Lines:
    """Answers lines; `held` lines wait until they are let go."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.at_once = 0
        self.most_at_once = 0
        self.go = asyncio.Event()
        self.go.set()
        self.then: Callable[[str], None] = lambda _: None

    async def run(self, asked: LineRequest, in_progress: set[Any]) -> LineResult:
        self.asked.append(asked.custom_id)
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        exchange = type("E", (), {"is_client_disconnected": False})()
        in_progress.add(exchange)
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cut_off = exchange.is_client_disconnected
            raise
        finally:
            self.at_once -= 1
            in_progress.discard(exchange)
        self.then(asked.custom_id)
        is_success = not asked.custom_id.startswith("bad")
        written = json.dumps({"custom_id": asked.custom_id, "body": json.loads(asked.body)}).encode() + b"\n"
        return LineResult(written, is_success, Usage(input_tokens=2, output_tokens=1))


class World:
    def __init__(self, url: str) -> None:
        self.clock = FakeClock()
        self.why: str | None = None
        self.store = ObjectStore(url, lambda: self.why)
        self.objects = AsyncObjectStore(self.store, self.clock)
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
        """Run it to its end; return what the store has of it."""
        await asyncio.wait_for(BatchRun(batch, self.parts()).run(), WAIT_S)
        return self.kept()

    def begin(self, batch: Batch) -> tuple[BatchRun, asyncio.Task[None]]:
        run = BatchRun(batch, self.parts())
        return run, self.owner.start(run.run(), "run", is_awaited=True)

    def kept(self) -> Batch:
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

    def left(self) -> int:
        return sum(len(self.store.part_marks(kind, "batch_1", "acme", "")) for kind in (INPUT, RESULT))


async def until(look: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not look():
            await asyncio.sleep(0.002)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(kept_objects, "_RETRY_S", 0.01)
    url = f"sqlite:///{tmp_path}/objects.db"
    upgrade(url)
    made = World(url)
    yield made
    made.store.close()


def result(number: int, custom_id: str, status: str = "good") -> StoredObject:
    line = json.dumps({"custom_id": custom_id, "from": "before"}).encode() + b"\n"
    return StoredObject(
        kind=RESULT, id=part_id("batch_1", number), tenant="acme", created_us=1, parent="batch_1", status=status,
        meta=b'{"input_tokens":10}', content=line,
    )  # fmt: skip


async def test_good_and_bad_lines_go_into_files_of_their_own(world: World) -> None:
    batch = await world.run(await world.batch("a", "bad b", "c", "d"))
    assert (batch.status, batch.total, batch.completed, batch.failed) == ("completed", 4, 3, 1)
    assert await world.ids(batch, "output") == ["a", "c", "d"]
    assert await world.ids(batch, "error") == ["bad b"]
    assert batch.usage == Usage(input_tokens=8, output_tokens=4)
    assert world.lines.most_at_once <= 3
    assert world.left() == 0
    assert world.slots.held == 0
    files, _ = await world.files.page("acme", PageQuery(limit=10), "batch_output")
    assert {file.id for file in files} == set(batch.files.values())


async def test_nobody_sees_the_end_before_its_files_are_there(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
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


async def test_a_file_without_lines_is_not_made(world: World) -> None:
    batch = await world.run(await world.batch("a"))
    assert set(batch.files) == {"output"}
    assert batch.document()["error_file_id"] is None


async def test_only_lines_without_a_result_are_asked_again(world: World) -> None:
    batch = await world.batch("a", "b", "c", "d")
    run = BatchRun(batch, world.parts())
    await run._validate()
    world.store.put_all([result(2, "c"), result(0, "a", "bad")])
    batch = await world.run(world.kept())
    assert sorted(world.lines.asked) == ["b", "d"]
    assert await world.ids(batch, "output") == ["b", "c", "d"]
    assert await world.ids(batch, "error") == ["a"]
    assert (batch.completed, batch.failed) == (3, 1)
    assert batch.usage == Usage(input_tokens=24, output_tokens=2)


async def test_files_half_written_are_written_anew(world: World) -> None:
    batch = await world.batch("a", "b")
    run = BatchRun(batch, world.parts())
    await run._validate()
    world.store.put_all([result(0, "a"), result(1, "b")])
    world.store.put(file_part("file-out", "acme", 0, b"half a fi"))
    batch.files = {"output": "file-out", "error": "file-err"}
    batch.move("finalizing", world.clock.epoch_us())
    world.store.put(batch.to_stored())
    batch = await world.run(world.kept())
    assert world.lines.asked == []
    assert batch.files == {"output": "file-out"}
    assert await world.ids(batch, "output") == ["a", "b"]


async def test_what_is_not_run_in_time_expires(world: World) -> None:
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


async def test_time_passes_while_lines_wait_for_their_turn(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_run, "_GRACE_S", 0.01)
    batch = await world.batch("a", "b")
    batch.times["expires_at"] = world.clock.epoch_us() // 1_000_000
    for _ in range(3):
        await world.slots.acquire()  # by other batches
    batch = await world.run(batch)
    assert (batch.status, batch.failed) == ("expired", 2)
    assert world.slots.held == 3


async def test_cancelling_lets_lines_under_way_finish(world: World) -> None:
    batch = await world.batch(*map(str, range(20)))
    world.lines.go.clear()
    run, task = world.begin(batch)
    await until(lambda: world.lines.at_once == 3)
    await run.cancel()
    assert world.kept().status == "cancelling"
    world.lines.go.set()
    await asyncio.wait_for(task, WAIT_S)
    batch = world.kept()
    assert (batch.status, batch.completed, batch.failed) == ("cancelled", 3, 17)
    assert {each["error"]["code"] for each in await world.read(batch, "error")} == {"batch_cancelled"}
    assert world.slots.held == 0


async def test_cancelling_does_not_wait_for_ever(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_run, "_GRACE_S", 0.02)
    batch = await world.batch("a", "b")
    world.lines.go.clear()
    run, task = world.begin(batch)
    await until(lambda: world.lines.at_once == 2)
    await run.cancel()
    await asyncio.wait_for(task, WAIT_S)
    assert world.lines.cut_off
    assert (world.kept().status, world.kept().failed, world.slots.held) == ("cancelled", 2, 0)


async def test_a_batch_can_be_cancelled_while_it_is_checked(world: World) -> None:
    batch = await world.batch("a")
    world.why = "opening"  # so that the check waits
    run, task = world.begin(batch)
    cancelling = world.owner.start(run.cancel(), "cancel", is_awaited=True)
    await asyncio.sleep(0)
    world.why = None
    await asyncio.wait_for(asyncio.gather(task, cancelling), WAIT_S)
    assert world.kept().status == "cancelled"
    assert world.lines.asked == []


async def test_a_restart_finishes_a_cancellation(world: World) -> None:
    batch = await world.batch("a", "b")
    await BatchRun(batch, world.parts())._validate()
    batch.move("cancelling", world.clock.epoch_us())
    world.store.put_all([result(1, "b"), batch.to_stored()])
    batch = await world.run(world.kept())
    assert (batch.status, batch.completed, batch.failed) == ("cancelled", 1, 1)
    assert await world.ids(batch, "output") == ["b"]


async def test_pausing_waits_for_what_is_under_way_and_leaves_the_rest(world: World) -> None:
    batch = await world.batch(*map(str, range(10)))
    world.lines.go.clear()
    run, task = world.begin(batch)
    await until(lambda: world.lines.at_once == 3)
    run.pause()
    world.lines.go.set()
    await asyncio.wait_for(task, WAIT_S)
    assert len(world.lines.asked) == 3
    assert world.kept().status == "in_progress"
    batch = await world.run(world.kept())
    assert (batch.status, batch.completed) == ("completed", 10)
    assert sorted(world.lines.asked) == sorted(map(str, range(10)))  # each once


async def test_the_database_may_be_away_for_a_while(world: World) -> None:
    batch = await world.batch("a", "b", "c")
    world.lines.go.clear()
    _, task = world.begin(batch)
    await until(lambda: world.lines.at_once == 3)
    world.why = "the disk is full"
    world.lines.go.set()
    await until(lambda: world.lines.at_once == 0)
    await asyncio.sleep(0.03)
    assert not task.done()
    world.why = None
    await asyncio.wait_for(task, WAIT_S)
    assert world.kept().completed == 3
    assert sorted(world.lines.asked) == ["a", "b", "c"]


async def test_results_that_come_together_are_stored_together(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.limits = BatchesSpec(concurrency=50)
    batch = await world.batch(*map(str, range(50)))
    world.lines.go.clear()
    groups: list[int] = []
    put_all = world.store.put_all

    def counted(several: list[StoredObject]) -> None:
        if several[0].kind == RESULT:
            groups.append(len(several))
        put_all(several)

    monkeypatch.setattr(world.store, "put_all", counted)
    _, task = world.begin(batch)
    await until(lambda: world.lines.at_once == 50)
    world.lines.go.set()
    await asyncio.wait_for(task, WAIT_S)
    assert sum(groups) == 50
    assert len(groups) <= 5
    assert world.kept().completed == 50


async def test_a_writer_that_is_cancelled_leaves_its_work_to_the_next(world: World) -> None:
    keeper = ResultWriter(world.objects)
    world.why = "the disk is full"
    tasks = [
        world.owner.start(keeper.write(result(number, "abc"[number])), str(number), is_awaited=True)
        for number in range(3)
    ]
    for task in tasks[:2]:
        await asyncio.sleep(0.03)
        task.cancel()
    await asyncio.sleep(0.03)
    world.why = None
    await asyncio.wait_for(tasks[2], WAIT_S)
    assert part_id("batch_1", 2) in [each.id for each in world.store.part_marks(RESULT, "batch_1", "acme", "")]


async def test_a_bug_in_a_line_does_not_stop_the_batch(world: World, caplog: pytest.LogCaptureFixture) -> None:
    def break_b(custom_id: str) -> None:
        if custom_id == "b":
            raise RuntimeError("a bug")

    world.lines.then = break_b
    batch = await world.run(await world.batch("a", "b", "c"))
    assert (batch.status, batch.completed, batch.failed) == ("completed", 2, 1)
    [error] = await world.read(batch, "error")
    assert (error["custom_id"], error["error"]["code"]) == ("b", "server_error")
    assert "a bug" in caplog.text


async def test_a_bug_in_the_batch_fails_it(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(_self: BatchRun) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(BatchRun, "_answer", broken)
    batch = await world.run(await world.batch("a"))
    assert (batch.status, [error.code for error in batch.errors]) == ("failed", ["server_error"])
    assert "batch_1" in batch.errors[0].message
    assert "a bug" in caplog.text


async def test_an_input_file_that_has_gone_fails_the_batch(world: World) -> None:
    batch = await world.batch("a")
    await world.files.delete("acme", batch.input_file_id)
    batch = await world.run(batch)
    assert (batch.status, [error.code for error in batch.errors]) == ("failed", ["file_not_found"])


async def test_an_upload_that_never_ended_is_no_file(world: World) -> None:
    file = world.files.new("acme", "half", "batch", 10, None)
    world.store.put(file.to_stored("uploading"))
    assert await world.files.find("acme", file.id) is None
    assert await world.files.page("acme", PageQuery(limit=5), None) == ([], False)
