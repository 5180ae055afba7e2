import logging
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from intellirouter.core import Attempt, ExchangeRecord
from intellirouter.store.record_lines import MAX_BODY_BYTES, split_lines
from intellirouter.store.spool import Spool, SpoolLimits
from intellirouter.store.spool_segment import SpoolSegment

Make = Callable[..., ExchangeRecord]


def request_id(body: bytes) -> str:
    return str(msgspec.json.decode(body)["request_id"])


def ids_on_disk(directory: Path) -> list[Any]:
    found = []
    for path in sorted(directory.glob("*.spool")):
        bodies, damaged, _ = split_lines(path.read_bytes(), 100_000)
        assert damaged == [] or all(not line for line in damaged)
        found += [request_id(body) for body in bodies]
    return found


def test_record_is_in_the_file_when_append_returns(tmp_path: Path, make_record: Make) -> None:
    spool = Spool(tmp_path)
    for number in range(3):
        spool.append(make_record(request_id=f"r{number}"))
        assert ids_on_disk(tmp_path) == [f"r{n}" for n in range(number + 1)]
    spool.close()


def test_only_the_owner_can_read_the_spool(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "a" / "b")
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700
    assert stat.S_IMODE(spool.segments[0].path.stat().st_mode) == 0o600
    spool.close()


def test_unusable_directory_fails_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError):
        Spool(tmp_path / "file")


def test_segments_rotate_by_size_and_keep_the_order_of_records(tmp_path: Path, make_record: Make) -> None:
    spool = Spool(tmp_path, limits=SpoolLimits(segment_bytes=1000))
    wanted = [f"r{n:03d}" for n in range(40)]
    for request_id in wanted:
        spool.append(make_record(request_id=request_id))
    assert len(spool.segments) > 3
    assert [segment.is_finished for segment in spool.segments] == [True] * (len(spool.segments) - 1) + [False]
    assert ids_on_disk(tmp_path) == wanted
    spool.close()


def test_full_spool_rejects_the_newest_records_and_recovers(tmp_path: Path, make_record: Make, clock: Any) -> None:
    limits = SpoolLimits(segment_bytes=500, max_total_bytes=2000, max_buffered_records=3)
    spool = Spool(tmp_path, limits=limits, clock=clock)
    while spool.failure is None:
        spool.append(make_record(request_id="old"))
    stored = len(ids_on_disk(tmp_path))
    assert "is not being drained." in spool.failure
    for number in range(4):
        spool.append(make_record(request_id=f"new{number}"))
    assert (spool.buffered_records, spool.lost_records) == (3, 2)
    assert len(ids_on_disk(tmp_path)) == stored
    for segment in spool.segments:
        segment.offset = segment.size  # as the drain does
    clock.now_s += 1
    spool.append(make_record(request_id="newest"))  # the limit of the memory still applies to this one
    assert spool.failure is None
    assert ids_on_disk(tmp_path)[stored:] == ["old", "new0", "new1"]
    assert spool.lost_records == 3
    spool.append(make_record(request_id="after"))
    assert ids_on_disk(tmp_path)[-1] == "after"
    spool.close()


def test_short_write_is_undone_and_retried(
    tmp_path: Path, make_record: Make, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path, clock=clock)
    spool.append(make_record(request_id="r0"))
    real_write = SpoolSegment.write
    monkeypatch.setattr(SpoolSegment, "write", lambda segment, line: real_write(segment, line[:50]))
    spool.append(make_record(request_id="r1"))
    spool.append(make_record(request_id="r2"))
    monkeypatch.undo()
    assert spool.buffered_records == 2
    assert spool.segments[0].path.stat().st_size == spool.segments[0].size
    clock.now_s += 1
    spool.retry()
    assert spool.buffered_records == 0
    assert spool.failure is None
    assert ids_on_disk(tmp_path) == ["r0", "r1", "r2"]
    spool.close()


def test_torn_line_that_stays_does_not_damage_other_records(
    tmp_path: Path, make_record: Make, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: Any) -> None:
        raise OSError(5, "Input/output error")

    spool = Spool(tmp_path, clock=clock)
    real_write = SpoolSegment.write
    with monkeypatch.context() as patched:
        patched.setattr(SpoolSegment, "write", lambda segment, line: real_write(segment, line[:50]))
        patched.setattr(os, "ftruncate", refuse)
        spool.append(make_record(request_id="r1"))
    with monkeypatch.context() as patched:
        patched.setattr(
            "intellirouter.store.spool_segment.SpoolSegment.create", refuse
        )  # no new segment can be created either
        spool.retry()
    assert spool.failure is None
    spool.append(make_record(request_id="r2"))
    (segment,) = spool.segments
    found, damaged, consumed = split_lines(segment.path.read_bytes(), 100)
    assert [request_id(body) for body in found] == ["r1", "r2"]
    assert (len(damaged), consumed) == (1, segment.size)
    spool.close()


def test_segment_grows_when_no_new_one_can_be_created(
    tmp_path: Path, make_record: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: Any) -> None:
        raise OSError(24, "Too many open files")

    spool = Spool(tmp_path, limits=SpoolLimits(segment_bytes=300))
    monkeypatch.setattr("intellirouter.store.spool_segment.SpoolSegment.create", refuse)
    for number in range(5):
        spool.append(make_record(request_id=f"r{number}"))
    assert ids_on_disk(tmp_path) == [f"r{n}" for n in range(5)]
    assert spool.failure is None
    spool.close()


def test_record_with_invalid_unicode_loses_its_free_text(tmp_path: Path, make_record: Make) -> None:
    attempt = Attempt(deployment="d", kind="first", started_ms=0.0, message="\ud800")
    spool = Spool(tmp_path)
    spool.append(make_record(request_id="r1", error_message="\ud800", attempts=(attempt,)))
    assert ids_on_disk(tmp_path) == ["r1"]
    assert spool.lost_records == 0
    spool.close()


def test_record_that_cannot_be_encoded_is_counted_and_logged(
    tmp_path: Path, make_record: Make, caplog: pytest.LogCaptureFixture
) -> None:
    spool = Spool(tmp_path)
    spool.append(make_record(request_id="r1", tenant="\ud800"))
    assert spool.lost_records == 1
    assert "r1" in caplog.text
    spool.close()


def test_record_beyond_the_size_limit_loses_its_bodies(tmp_path: Path, make_record: Make) -> None:
    spool = Spool(tmp_path)
    spool.append(make_record(request_id="r1", request_body="x" * MAX_BODY_BYTES))
    assert spool.segments[0].size < 2000
    assert ids_on_disk(tmp_path) == ["r1"]
    spool.close()


def test_closed_spool_counts_records_as_lost(
    tmp_path: Path, make_record: Make, caplog: pytest.LogCaptureFixture
) -> None:
    spool = Spool(tmp_path)
    spool.close()
    with caplog.at_level(logging.ERROR):
        spool.append(make_record())
    assert spool.lost_records == 1
    assert "closed" in caplog.text


def test_close_keeps_records_that_are_not_drained(tmp_path: Path, make_record: Make) -> None:
    kept, empty = Spool(tmp_path / "kept", fsync_interval_s=0.01), Spool(tmp_path / "empty", fsync_interval_s=0.01)
    kept.append(make_record(request_id="r1"))
    kept.close()
    empty.close()
    assert ids_on_disk(tmp_path / "kept") == ["r1"]
    assert list((tmp_path / "empty").iterdir()) == []
