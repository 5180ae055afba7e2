"""Files that are not files do not block their reader."""

import os
import threading
from pathlib import Path

import pytest

from intellirouter.core import read_bounded


def test_a_file_is_read_up_to_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 200_000)
    assert read_bounded(path, 200_000) == b"x" * 200_000
    assert len(read_bounded(path, 10)) == 11
    assert len(read_bounded(Path("/dev/zero"), 100_000)) == 100_001


def test_a_pipe_without_a_writer_does_not_block(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(TimeoutError):
        read_bounded(path, 100, timeout_s=0.2)


def test_a_pipe_that_is_written_to_is_read() -> None:
    reader, writer = os.pipe()
    thread = threading.Timer(0.05, lambda: (os.write(writer, b"secret"), os.close(writer)))
    thread.start()
    try:
        assert read_bounded(Path(f"/dev/fd/{reader}"), 100) == b"secret"
    finally:
        thread.join()
        os.close(reader)


def test_a_pipe_that_stays_silent_is_an_error() -> None:
    reader, writer = os.pipe()
    try:
        with pytest.raises(OSError, match="did not arrive in time"):
            read_bounded(Path(f"/dev/fd/{reader}"), 100, timeout_s=0.1)
    finally:
        os.close(reader)
        os.close(writer)


def test_a_directory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        read_bounded(tmp_path, 100)
