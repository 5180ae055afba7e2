import os
import time
from pathlib import Path

import pytest

from intellirouter.store.segment import Segment
from intellirouter.store.syncer import Syncer


def dirty_segment(directory: Path) -> Segment:
    segment = Segment.create(directory, "one")
    segment.size += os.write(segment.fd, b"x\n")
    return segment


def test_dirty_segments_are_synced_in_the_background(tmp_path: Path) -> None:
    segment = dirty_segment(tmp_path)
    syncer = Syncer([segment], tmp_path, 0.01)
    deadline = time.monotonic() + 10
    while segment.synced < segment.size and time.monotonic() < deadline:
        time.sleep(0.002)
    syncer.stop()
    assert segment.synced == 2
    segment.close(deletes=True)


def test_a_disk_that_refuses_is_reported_once_and_recovers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_fd: int) -> None:
        raise OSError(5, "Input/output error")

    segment = dirty_segment(tmp_path)
    syncer = Syncer([segment], tmp_path, 3600)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", refuse)
        syncer.sync_dirty()
        syncer.sync_dirty()
    assert syncer.trouble == "cannot sync the spool: Input/output error"
    assert caplog.text.count("cannot be synced") == 1
    syncer.sync_dirty()
    assert syncer.trouble is None
    assert segment.synced == segment.size
    syncer.stop()
    segment.close(deletes=True)
