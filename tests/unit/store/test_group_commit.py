import os
import time
from pathlib import Path

import pytest

from intellirouter.store.group_commit import GroupCommit
from intellirouter.store.spool_segment import SpoolSegment


def dirty_segment(directory: Path) -> SpoolSegment:
    segment = SpoolSegment.create(directory, "one")
    segment.size += os.write(segment.fd, b"x\n")
    return segment


def test_dirty_segments_are_synced_in_the_background(tmp_path: Path) -> None:
    segment = dirty_segment(tmp_path)
    group_commit = GroupCommit([segment], tmp_path, 0.01)
    deadline = time.monotonic() + 10
    while segment.synced_bytes < segment.size and time.monotonic() < deadline:
        time.sleep(0.002)
    group_commit.stop()
    assert segment.synced_bytes == 2
    segment.close(deletes=True)


def test_failing_disk_is_reported_once_and_recovers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_fd: int) -> None:
        raise OSError(5, "Input/output error")

    segment = dirty_segment(tmp_path)
    group_commit = GroupCommit([segment], tmp_path, 3600)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", refuse)
        group_commit.sync_dirty()
        group_commit.sync_dirty()
    assert group_commit.failure == "The spool cannot be synced to disk: Input/output error."
    assert caplog.text.count("cannot be synced") == 1
    group_commit.sync_dirty()
    assert group_commit.failure is None
    assert segment.synced_bytes == segment.size
    group_commit.stop()
    segment.close(deletes=True)
