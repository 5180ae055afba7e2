"""A process that is killed at any moment: every record whose append has returned is stored exactly once."""

import random
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from intellirouter.config.runtime import StoreSpec
from intellirouter.store import ExchangeStore, SpoolLimits, migrate

BURST = 50
SEGMENT_BYTES = 100_000
KILLS = 8

CHILD = """
import asyncio, os, sys, time
from intellirouter.config.runtime import StoreSpec
from intellirouter.core import ExchangeRecord, Usage
from intellirouter.store import ExchangeStore, SpoolLimits

url, spool_dir, run, burst, segment_bytes, drains_first = sys.argv[1:]

async def main():
    store = ExchangeStore(StoreSpec(url=url, spool_dir=spool_dir, fsync_interval_s=0.05),
                          limits=SpoolLimits(segment_bytes=int(segment_bytes)))
    store.start()
    if drains_first == "yes":
        assert await store.flush(30)
    n = 0
    while True:
        done = []
        for _ in range(int(burst)):
            n += 1
            store.append(ExchangeRecord(
                request_id=f"run{run}-{n}", started_us=time.time_ns() // 1000, endpoint="/v1", tenant="t",
                status=200, duration_ms=1.0, usage=Usage(input_tokens=n), request_body="x" * (n % 700)))
            done.append(f"{n}\\n")
        os.write(1, "".join(done).encode())
        if n % 500 == 0:
            await store.flush(0.02)  # commits and deletions happen often, so kills meet them
        await asyncio.sleep(0)

asyncio.run(main())
"""


def run_and_kill(spec: StoreSpec, run: int, kill_after: int, *, drains_first: bool) -> int:
    """Return the number of the last record whose append is known to have returned."""
    arguments = [spec.url, spec.spool_dir, str(run), str(BURST), str(SEGMENT_BYTES), "yes" if drains_first else "no"]
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        last = 0
        for line in child.stdout:
            last = int(line)
            if last >= kill_after:
                break
        child.kill()
        for line in child.stdout:  # the records that were still in the pipe had been appended, too
            if line.endswith(b"\n"):
                last = int(line)
        said = child.stderr.read().decode()
    assert last >= kill_after, said
    return last


@pytest.mark.parametrize("seed", [1, 2])
async def test_kill_9_neither_loses_nor_duplicates_records(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    database = tmp_path / "store.db"
    spec = StoreSpec(url=f"sqlite:///{database}", spool_dir=str(tmp_path / "spool"))
    migrate.upgrade(spec.url)
    known = {
        run: run_and_kill(spec, run, rng.randrange(1, 9000), drains_first=rng.random() < 0.6) for run in range(KILLS)
    }

    store = ExchangeStore(spec, limits=SpoolLimits(segment_bytes=SEGMENT_BYTES))
    store.start()
    assert await store.flush(60)
    health = store.health()
    await store.stop(10)
    assert (health.lost_records, health.damaged_records) == (0, 0)
    assert list(Path(spec.spool_dir).iterdir()) == []

    connection = sqlite3.connect(database)
    for table in ("ledger_entries", "exchange_log"):
        for run, last in known.items():
            rows = connection.execute(f"SELECT request_id FROM {table} WHERE request_id LIKE 'run{run}-%'").fetchall()
            numbers = sorted(int(request_id.split("-")[1]) for (request_id,) in rows)
            assert numbers == list(range(1, len(numbers) + 1)), f"a gap in {table}"
            assert last <= len(numbers) <= last + BURST
    for request_id, tokens in connection.execute("SELECT request_id, input_tokens FROM ledger_entries"):
        assert tokens == int(request_id.split("-")[1])
    connection.close()
