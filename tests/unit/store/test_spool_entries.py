"""Odd entries of a spool directory are set aside, and the segments beside them are adopted."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from intellirouter.config.runtime import StoreSpec
from intellirouter.core import ExchangeRecord
from intellirouter.store import ExchangeStore
from intellirouter.store.record_lines import encode_line
from intellirouter.store.spool_entries import SpoolEntries
from intellirouter.store.spool_segment import SpoolSegment

LINE = encode_line(b'{"a":1}')


def _directory(path: Path) -> None:
    path.mkdir()
    (path / "inside").write_text("x")


def _link(path: Path) -> None:
    target = path.with_name("target")
    target.write_bytes(LINE)
    path.symlink_to(target)


ODD: dict[str, Callable[[Path], Any]] = {
    "directory": _directory,
    "link": _link,
    "broken link": lambda path: path.symlink_to("nowhere"),
    "pipe": os.mkfifo,
    "text": lambda path: path.write_text("dear diary\n" * 3),
    "no line feed": lambda path: path.write_text("dear diary"),
    "binary": lambda path: path.write_bytes(bytes(range(256)) * 9000),
}


def listed(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def names(adopted: list[SpoolSegment]) -> list[str]:
    for each in adopted:
        each.close(deletes=False)
    return [each.path.name for each in adopted]


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("name", ["1-1-00000000.spool", "zz.spool"])
def test_odd_entry_is_set_aside_and_the_rest_is_adopted(tmp_path: Path, kind: str, name: str) -> None:
    ODD[kind](tmp_path / name)
    (tmp_path / "2-2-00000000.spool").write_bytes(LINE)
    entries = SpoolEntries(tmp_path)
    assert names(entries.adopt((), {})) == ["2-2-00000000.spool"]
    assert entries.unusable == 1
    assert f"{name}.set-aside" in listed(tmp_path)
    assert name not in listed(tmp_path)
    assert names(entries.adopt((), {})) == ["2-2-00000000.spool"]
    assert entries.unusable == 1, "it is still there"


def test_entries_of_the_same_name_are_kept_apart(tmp_path: Path) -> None:
    entries = SpoolEntries(tmp_path)
    for _ in range(3):
        (tmp_path / "x.spool").mkdir()
        entries.adopt((), {})
    assert listed(tmp_path) == ["x.spool.set-aside", "x.spool.set-aside-2", "x.spool.set-aside-3"]
    assert entries.unusable == 3


@pytest.mark.parametrize(
    "content",
    [b"", LINE, LINE[:1], LINE[:8], LINE[:9], LINE[:20], b"rubbish\n" + LINE, bytes(3_000_000) + b"\n" + LINE],
)
def test_segment_with_a_record_or_the_beginning_of_one_is_adopted(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "1.spool").write_bytes(content)
    assert names(SpoolEntries(tmp_path).adopt((), {})) == ["1.spool"]


def test_directory_like_an_unfinished_segment_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "1.new").mkdir()
    (tmp_path / "2.new").touch()
    (tmp_path / "3.spool").write_bytes(LINE)
    entries = SpoolEntries(tmp_path)
    assert names(entries.adopt((), {})) == ["3.spool"]
    assert listed(tmp_path) == ["1.new.set-aside", "3.spool"]


def test_segment_that_cannot_be_opened_is_counted_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("1.spool", "2.spool"):
        (tmp_path / name).write_bytes(LINE)
    adopt = SpoolSegment.adopt

    def fail(path: Path) -> SpoolSegment | None:
        if path.name == "1.spool":
            raise PermissionError(13, "Permission denied")
        return adopt(path)

    entries = SpoolEntries(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(SpoolSegment, "adopt", fail)
        assert names(entries.adopt((), {})) == ["2.spool"]
        assert names(entries.adopt((), {})) == ["2.spool"]
    assert entries.unusable == 1
    assert caplog.text.count("Permission denied") == 1
    assert names(entries.adopt((), {})) == ["1.spool", "2.spool"]
    assert entries.unusable == 0


async def test_store_adopts_the_rest_and_reports_the_odd_entry(
    spec: StoreSpec, make_record: Callable[..., ExchangeRecord], sql: Callable[[str], list[tuple[Any, ...]]]
) -> None:
    directory = Path(spec.spool_dir)
    directory.mkdir()
    (directory / "0-folder.spool").mkdir()
    (directory / "1-diary.spool").write_text("dear diary\n")
    (directory / "2-dead.spool").write_bytes(encode_line(msgspec.json.encode(make_record(request_id="r"))))
    store = ExchangeStore(spec)
    store.start()
    assert await store.flush(20)
    health = store.health()
    await store.stop(10)
    assert sql("SELECT request_id FROM exchange_log") == [("r",)]
    assert (health.state, health.unusable_entries, health.damaged_records) == ("ok", 2, 0)
    assert "not usable segments: 2." in health.detail
    assert (directory / "1-diary.spool.set-aside").read_text() == "dear diary\n"
