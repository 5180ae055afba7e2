import asyncio
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from intellirouter.config.runtime import StoreSpec
from intellirouter.core import ExchangeRecord, Usage
from intellirouter.store import ExchangeStore, LogFilter, SpoolLimits, StoreHealth, StoreUnavailable
from intellirouter.store.database import HEAD

Make = Callable[..., ExchangeRecord]
Sql = Callable[..., list[tuple[Any, ...]]]


async def reaches(store: ExchangeStore, wanted: Callable[[StoreHealth], bool], timeout_s: float = 20) -> StoreHealth:
    deadline = time.monotonic() + timeout_s
    while not wanted(store.health()):
        assert time.monotonic() < deadline, store.health()
        await asyncio.sleep(0.005)
    return store.health()


async def test_first_start_creates_the_database_while_records_are_accepted(tmp_path: Path, make_record: Make) -> None:
    path = tmp_path / "data" / "router.db"
    store = ExchangeStore(StoreSpec(url=f"sqlite:///{path}", spool_dir=str(tmp_path / "spool")))
    assert store.health().state == "starting"
    began = time.monotonic()
    store.start()
    record = make_record()
    store.append(record)
    assert time.monotonic() - began < 1
    assert store.health().state == "starting"
    assert store.health().backlog_records == 1
    with pytest.raises(StoreUnavailable, match="being opened"):
        await asyncio.to_thread(store.reader.get, record.request_id)
    assert await store.flush(60)
    assert store.health() == StoreHealth(state="ok", detail="ok")
    assert await asyncio.to_thread(store.reader.get, record.request_id) == msgspec.json.encode(record)
    await store.stop(5)
    assert list((tmp_path / "spool").iterdir()) == []


def test_importing_the_store_does_not_import_sqlalchemy() -> None:
    script = "import sys, intellirouter.store; print([m for m in sys.modules if m in ('sqlalchemy', 'alembic')])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_url_of_another_database_is_rejected_before_anything_is_opened(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="PostgreSQL is not available in this version"):
        ExchangeStore(StoreSpec(url="postgresql://h/d", spool_dir=str(tmp_path / "spool")))
    assert list(tmp_path.iterdir()) == []


def test_appending_before_the_start_is_an_error(spec: StoreSpec, make_record: Make) -> None:
    with pytest.raises(RuntimeError, match=r"between start\(\) and stop\(\)"):
        ExchangeStore(spec).append(make_record())


async def test_stop_drains_the_spool_and_works_without_a_start(spec: StoreSpec, make_record: Make, sql: Sql) -> None:
    store = ExchangeStore(spec, limits=SpoolLimits(segment_bytes=2000))
    await store.stop(1)
    store.start()
    for _ in range(50):
        store.append(make_record())
    await store.stop(10)
    assert sql("SELECT count(*) FROM ledger_entries") == [(50,)]
    assert sql("SELECT count(*) FROM exchange_log") == [(50,)]
    assert sql("SELECT count(*) FROM spool_cursor") == [(0,)]
    assert list(Path(spec.spool_dir).iterdir()) == []


async def test_draining_the_same_segment_again_has_no_effect(spec: StoreSpec, make_record: Make, sql: Sql) -> None:
    store = ExchangeStore(spec)
    store.start()
    for number in range(20):
        store.append(make_record(request_id=f"r{number}"))
    (segment,) = Path(spec.spool_dir).glob("*.spool")
    copy = segment.read_bytes()
    await store.stop(10)
    before = sql("SELECT * FROM ledger_entries"), sql("SELECT * FROM exchange_log")
    (Path(spec.spool_dir) / segment.name).write_bytes(copy)
    (Path(spec.spool_dir) / "0-other.spool").write_bytes(copy)
    again = ExchangeStore(spec)
    again.start()
    assert await again.flush(20)
    await again.stop(10)
    assert (sql("SELECT * FROM ledger_entries"), sql("SELECT * FROM exchange_log")) == before
    assert list(Path(spec.spool_dir).iterdir()) == []


async def test_segments_of_dead_processes_are_adopted_and_a_torn_tail_is_dropped(
    spec: StoreSpec, make_record: Make, sql: Sql
) -> None:
    from intellirouter.store.record_lines import encode_line

    directory = Path(spec.spool_dir)
    directory.mkdir()
    lines = [encode_line(msgspec.json.encode(make_record(request_id=f"r{n}"))) for n in range(3)]
    (directory / "1-dead.spool").write_bytes(lines[0] + b"rubbish\n" + lines[1] + lines[2][:40])
    (directory / "1-dead.new").touch()
    store = ExchangeStore(spec)
    store.start()
    store.append(make_record(request_id="mine"))
    assert await store.flush(20)
    assert sql("SELECT request_id FROM exchange_log ORDER BY 1") == [("mine",), ("r0",), ("r1",)]
    health = store.health()
    assert (health.state, health.damaged_records, health.backlog_records) == ("ok", 1, 0)
    assert health.detail == "Damaged records since the start: 1."
    await store.stop(10)
    assert [path.name for path in directory.iterdir()] == ["1-dead.bad"]
    assert (directory / "1-dead.bad").read_bytes() == b"rubbish\n"


async def test_segment_that_another_process_leaves_later_is_adopted(
    spec: StoreSpec, make_record: Make, clock: Any, sql: Sql
) -> None:
    from intellirouter.store.record_lines import encode_line

    store = ExchangeStore(spec, clock=clock)
    store.start()
    assert await store.flush(20)
    line = encode_line(msgspec.json.encode(make_record(request_id="theirs", started_us=clock.now_us)))
    left = Path(spec.spool_dir) / "1-dead.spool"
    left.write_bytes(line)
    clock.now_s += 31
    deadline = time.monotonic() + 10
    while left.exists() and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
    await store.stop(10)
    assert sql("SELECT request_id FROM exchange_log") == [("theirs",)]


async def test_failed_migration_is_reported_and_retried(tmp_path: Path, make_record: Make) -> None:
    path = tmp_path / "store.db"
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("CREATE TABLE exchange_log (mine TEXT)")  # a file of another program
    store = ExchangeStore(StoreSpec(url=f"sqlite:///{path}", spool_dir=str(tmp_path / "spool")))
    store.start()
    store.append(make_record(request_id="r1"))
    health = await reaches(store, lambda health: health.state == "degraded", 60)
    assert "could not be upgraded (status 1): table exchange_log already exists." in health.detail
    other.execute("DROP TABLE exchange_log")
    other.close()
    assert await store.flush(60)
    await store.stop(10)


async def test_line_beyond_the_size_limit_is_skipped(spec: StoreSpec, make_record: Make, sql: Sql) -> None:
    from intellirouter.store.record_lines import MAX_LINE_BYTES, encode_line

    directory = Path(spec.spool_dir)
    directory.mkdir()
    whole = encode_line(msgspec.json.encode(make_record(request_id="r1")))
    (directory / "1-dead.spool").write_bytes(b"\0" * (MAX_LINE_BYTES + 5_000_000) + whole)
    store = ExchangeStore(spec)
    store.start()
    assert await store.flush(20)
    await store.stop(10)
    assert sql("SELECT request_id FROM exchange_log") == [("r1",)]


async def test_value_that_the_database_rejects_does_not_stop_other_records(
    spec: StoreSpec, make_record: Make, sql: Sql
) -> None:
    store = ExchangeStore(spec)
    store.start()
    for number in range(5):
        store.append(make_record(request_id=f"r{number}", usage=Usage(input_tokens=2**63 if number == 2 else number)))
    assert await store.flush(20)
    assert store.health().damaged_records == 1
    await store.stop(10)
    assert sql("SELECT request_id FROM ledger_entries ORDER BY 1") == [("r0",), ("r1",), ("r3",), ("r4",)]
    (bad,) = Path(spec.spool_dir).iterdir()
    assert b'"r2"' in bad.read_bytes()


async def test_damaged_records_do_not_affect_other_records(spec: StoreSpec, make_record: Make, sql: Sql) -> None:
    from intellirouter.store.record_lines import encode_line

    directory = Path(spec.spool_dir)
    directory.mkdir()
    count = 3000  # more than a transaction, and many slices
    with (directory / "1-dead.spool").open("wb") as left:
        for number in range(count):
            tokens = 2**63 if number in {700, 2500} else number
            record = make_record(request_id=f"r{number:04d}", usage=Usage(input_tokens=tokens))
            left.write(encode_line(msgspec.json.encode(record)))
            if number == 1500:
                left.write(b"rubbish\n")
    store = ExchangeStore(spec)
    store.start()
    assert await store.flush(20)
    health = store.health()
    await store.stop(10)
    assert (health.damaged_records, health.backlog_records, health.lost_records) == (3, 0, 0)
    wanted = [(f"r{number:04d}",) for number in range(count) if number not in {700, 2500}]
    for table in ("ledger_entries", "exchange_log"):
        assert sql(f"SELECT request_id FROM {table} ORDER BY 1") == wanted
    assert len((directory / "1-dead.bad").read_bytes().splitlines()) == 3


async def test_locked_database_delays_records_and_loses_none(
    spec: StoreSpec, database: Path, make_record: Make, sql: Sql
) -> None:
    store = ExchangeStore(spec)
    store.start()
    await reaches(store, lambda health: health.state == "ok")
    other = sqlite3.connect(database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    store.append(make_record(request_id="r1"))
    health = await reaches(store, lambda health: health.state == "degraded")
    assert "database is locked" in health.detail
    assert health.backlog_records == 1
    assert not await store.flush(0.01)
    other.execute("ROLLBACK")
    other.close()
    assert await store.flush(20)
    assert (await reaches(store, lambda health: health.state == "ok")).lost_records == 0
    await store.stop(10)
    assert sql("SELECT request_id FROM ledger_entries") == [("r1",)]


async def test_records_that_stop_cannot_drain_are_drained_by_the_next_start(
    spec: StoreSpec, database: Path, make_record: Make, sql: Sql
) -> None:
    other = sqlite3.connect(database, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    store = ExchangeStore(spec)
    store.start()
    store.append(make_record(request_id="r1"))
    await store.stop(0.1)
    other.execute("ROLLBACK")
    other.close()
    assert sql("SELECT count(*) FROM ledger_entries") == [(0,)]
    again = ExchangeStore(spec)
    again.start()
    assert await again.flush(20)
    await again.stop(10)
    assert sql("SELECT request_id FROM ledger_entries") == [("r1",)]


@pytest.mark.parametrize("fault", ["newer schema", "not a database"])
async def test_unusable_database_is_reported_and_records_stay_in_the_spool(
    spec: StoreSpec, database: Path, make_record: Make, sql: Sql, fault: str
) -> None:
    good = shutil.copy(database, database.with_suffix(".good"))
    if fault == "newer schema":
        sql("UPDATE alembic_version SET version_num = '0999'")
    else:
        database.write_bytes(b"junk" * 2000)
    store = ExchangeStore(spec)
    store.start()
    store.append(make_record(request_id="r1"))
    health = await reaches(store, lambda health: health.state == "degraded")
    assert ("newer than this version" if fault == "newer schema" else "is not an SQLite database") in health.detail
    assert health.backlog_records == 1
    with pytest.raises(StoreUnavailable):
        await asyncio.to_thread(store.reader.get, "r1")
    if fault == "newer schema":
        sql(f"UPDATE alembic_version SET version_num = '{HEAD}'")
    else:
        shutil.copy(good, database)
    assert await store.flush(20)
    await store.stop(10)
    assert sql("SELECT request_id FROM ledger_entries") == [("r1",)]


async def test_retention_runs_in_the_drain(spec: StoreSpec, make_record: Make, clock: Any, sql: Sql) -> None:
    store = ExchangeStore(msgspec.structs.replace(spec, log_keep_days=1.0), clock=clock)
    store.start()
    store.append(make_record(request_id="1-old", started_us=clock.now_us - 2 * 86_400_000_000))
    store.append(make_record(request_id="2-new", started_us=clock.now_us))
    assert await store.flush(20)
    clock.now_s += 61  # the next minute
    deadline = time.monotonic() + 10
    while sql("SELECT request_id FROM exchange_log") != [("2-new",)] and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
    await store.stop(10)
    assert sql("SELECT request_id FROM exchange_log") == [("2-new",)]
    assert sql("SELECT count(*) FROM ledger_entries") == [(2,)]


async def test_readers_and_the_writer_do_not_block_each_other(spec: StoreSpec, make_record: Make) -> None:
    store = ExchangeStore(spec, limits=SpoolLimits(segment_bytes=20_000))
    store.start()
    await reaches(store, lambda health: health.state == "ok")

    def read_until(total: int) -> int:
        reads, seen = 0, -1
        deadline = time.monotonic() + 20
        while seen < total and time.monotonic() < deadline:
            totals = store.reader.ledger_totals(0, by=())
            assert totals[0].requests >= seen
            seen = totals[0].requests
            assert len(store.reader.list_exchanges(LogFilter(), limit=5).rows) <= 5
            reads += 1
        assert seen == total
        return reads

    readers = [asyncio.to_thread(read_until, 2000) for _ in range(3)]
    watching = asyncio.gather(*readers)
    for _ in range(20):
        for _ in range(100):
            store.append(make_record())
        await asyncio.sleep(0)
    assert await store.flush(20)
    assert min(await watching) >= 1
    assert store.health().state == "ok"
    await store.stop(10)


FULL_DISK = """
import asyncio, json, resource, sys, time
from intellirouter.config.runtime import StoreSpec
from intellirouter.core import ExchangeRecord, Usage
from intellirouter.store import ExchangeStore

def record(n):
    return ExchangeRecord(request_id=f"r{n:03d}", started_us=n, endpoint="/v1", tenant="t", status=200,
                          duration_ms=1.0, usage=Usage(input_tokens=n))

async def main():
    store = ExchangeStore(StoreSpec(url=sys.argv[1], spool_dir=sys.argv[2], fsync_interval_s=0.01))
    store.start()
    assert await store.flush(20)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))  # from here on no file takes a byte beyond its 100th
    for n in range(50):
        store.append(record(n))
        await asyncio.sleep(0)
    full = store.health()
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, hard))
    flushed = await store.flush(20)
    deadline = time.monotonic() + 20
    while store.health().state != "ok" and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
    after = store.health()
    await store.stop(10)
    print(json.dumps([full.state, full.detail, full.backlog_records, flushed, after.state, after.lost_records]))

asyncio.run(main())
"""


def test_full_disk_delays_records_and_loses_none(spec: StoreSpec, sql: Sql) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, spec.url, spec.spool_dir], capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    state, detail, waiting, flushed, after, lost = msgspec.json.decode(done.stdout)
    assert (state, waiting) == ("degraded", 50)
    assert "The disk may be full." in detail or "File too large" in detail
    assert (flushed, after, lost) == (True, "ok", 0)
    assert sql("SELECT request_id, input_tokens FROM ledger_entries ORDER BY 1") == [
        (f"r{n:03d}", n) for n in range(50)
    ]
    assert list(Path(spec.spool_dir).iterdir()) == []


async def test_another_gateway_on_the_same_spool_is_noticed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spec = StoreSpec(url=f"sqlite:///{tmp_path}/router.db", spool_dir=str(tmp_path / "spool"))
    first, second = ExchangeStore(spec), ExchangeStore(spec)
    assert not await first.is_only_gateway()  # it has not been started
    first.start()
    await reaches(first, lambda health: health.state == "ok")
    assert await first.is_only_gateway()
    assert not caplog.records
    second.start()
    await reaches(second, lambda health: health.has_other_gateways)
    assert f"Another gateway uses {spec.spool_dir} as well." in second.health().detail
    assert second.health().state == "ok"
    assert not await first.is_only_gateway()
    assert not await second.is_only_gateway()
    assert len([each for each in caplog.records if "Another gateway uses the spool" in each.message]) == 2
    await first.stop(5)
    assert await second.is_only_gateway()
    assert not second.health().has_other_gateways
    await second.stop(5)
