import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from intellirouter.store.spool_entries import SpoolEntries
from intellirouter.store.spool_segment import SpoolSegment


def test_segment_of_a_live_owner_cannot_be_adopted(tmp_path: Path) -> None:
    segment = SpoolSegment.create(tmp_path, "one")
    assert SpoolSegment.adopt(segment.path) is None
    segment.close(deletes=False)
    adopted = SpoolSegment.adopt(segment.path)
    assert adopted is not None
    assert adopted.is_finished
    adopted.close(deletes=True)
    assert list(tmp_path.iterdir()) == []


def test_lock_ends_with_its_process(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys, pathlib\n"
        "from intellirouter.store.spool_segment import SpoolSegment\n"
        "s = SpoolSegment.create(pathlib.Path(sys.argv[1]), 'theirs'); os.write(s.fd, b'x')\n"
        "print('held', flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"held\n"
        path = tmp_path / "theirs.spool"
        assert SpoolSegment.adopt(path) is None
        owner.kill()
    adopted = SpoolSegment.adopt(path)
    assert adopted is not None
    assert adopted.size == 1
    adopted.close(deletes=True)


def test_adopting_a_deleted_segment_is_not_an_error(tmp_path: Path) -> None:
    assert SpoolSegment.adopt(tmp_path / "gone.spool") is None


def test_no_file_is_left_when_a_segment_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "one.spool").mkdir()
    with pytest.raises(OSError):
        SpoolSegment.create(tmp_path, "one")
    assert [path.name for path in tmp_path.iterdir()] == ["one.spool"]


def test_backlog_counts_records_after_the_cursor(tmp_path: Path) -> None:
    path = tmp_path / "left.spool"
    path.write_bytes(b"aa\nbb\ncc\ntorn")
    segment = SpoolSegment.adopt(path)
    assert segment is not None
    segment.start_at(3)
    assert (segment.backlog_records, segment.backlog_bytes) == (2, 10)
    assert segment.read(3, 4) == b"bb\nc"
    segment.close(deletes=False)


def test_cursor_beyond_the_file_restarts_at_the_beginning(tmp_path: Path) -> None:
    path = tmp_path / "left.spool"
    path.write_bytes(b"aa\n")
    segment = SpoolSegment.adopt(path)
    assert segment is not None
    segment.start_at(400)
    assert segment.offset == 0
    segment.close(deletes=False)


def test_closing_twice_does_not_close_a_reused_descriptor(tmp_path: Path) -> None:
    segment = SpoolSegment.create(tmp_path, "one")
    segment.close(deletes=True)
    with (tmp_path / "other").open("wb") as other:
        segment.close(deletes=True)
        segment.sync()
        os.fstat(other.fileno())


def test_failed_write_raises_the_error_of_the_system(tmp_path: Path) -> None:
    segment = SpoolSegment.create(tmp_path, "one")
    assert segment.write(b"a\0b\n") == 4
    assert segment.path.read_bytes() == b"a\0b\n"
    segment.close(deletes=True)
    with pytest.raises(OSError, match="Bad file descriptor") as caught:
        SpoolSegment(segment.path, -1, 0, is_finished=False).write(b"x\n")
    assert caught.value.errno == errno.EBADF


def test_only_empty_files_of_dead_processes_are_removed(tmp_path: Path) -> None:
    (tmp_path / "dead.new").touch()
    (tmp_path / "odd.new").write_bytes(b"data")
    SpoolEntries(tmp_path).adopt((), {})
    assert [path.name for path in tmp_path.iterdir()] == ["odd.new"]
