"""Standard streams that nobody reads."""

import io
import os
from pathlib import Path

import pytest

from intellirouter.hosting import WorkerState, WorkerView
from intellirouter.roles.banner import HostProgress
from intellirouter.roles.standard_streams import write_text

READY = WorkerView(name="m", state=WorkerState.READY, cold_start_ms=1)


def test_text_is_written() -> None:
    out = io.StringIO()
    assert write_text(out, "text")
    assert out.getvalue() == "text"


def closed_pipe() -> io.TextIOWrapper:
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, "w")


def test_a_pipe_without_a_reader_is_not_an_error() -> None:
    with closed_pipe() as out:
        assert not write_text(out, "text")
        assert write_text(out, "discarded"), "and closing it is none either"


def test_a_pipe_whose_reader_has_stopped_is_not_waited_for() -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as out, os.fdopen(reader, "rb"):
        for _ in range(200):
            assert write_text(out, "x" * 999 + "\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_is_not_an_error() -> None:
    with Path("/dev/full").open("w") as out:
        assert not write_text(out, "text")


def test_a_closed_file_is_not_an_error() -> None:
    out = io.StringIO()
    out.close()
    assert not write_text(out, "text")


def test_progress_of_models_needs_no_reader() -> None:
    with closed_pipe() as out:
        progress = HostProgress(out)
        progress.show(READY)
        progress.show(WorkerView(name="m", state=WorkerState.STOPPED))
