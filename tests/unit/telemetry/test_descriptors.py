"""Writing to a pipe whose reader is slow, stopped or gone never waits."""

import os
import threading
import time
from collections.abc import Iterator

import pytest

from intellirouter.telemetry.descriptors import DescriptorWriter, is_writable

ENTRY = "x" * 999 + "\n"


class Pipe:
    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()

    def read_all(self) -> bytes:
        """Close the writing end when it is idle, and read everything."""
        data = b""
        os.set_blocking(self.reader, False)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                data += os.read(self.reader, 65536)
            except BlockingIOError:
                if not [thread for thread in threading.enumerate() if thread.name == "log-writer"]:
                    return data
                time.sleep(0.01)
        raise AssertionError("The writer has not ended.")


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    for descriptor in (pipe.reader, pipe.writer):
        try:
            os.close(descriptor)
        except OSError:
            continue


def test_entries_are_written_at_once(pipe: Pipe) -> None:
    DescriptorWriter(pipe.writer).write("one \udc80 entry\n")
    assert os.read(pipe.reader, 100) == b"one \\udc80 entry\n"
    assert not [thread for thread in threading.enumerate() if thread.name == "log-writer"]


def test_entries_for_a_slow_reader_wait_in_order(pipe: Pipe) -> None:
    writer = DescriptorWriter(pipe.writer)
    for number in range(500):
        writer.write(f"{number:03}{ENTRY}")
    assert not is_writable(pipe.writer)
    lines = pipe.read_all().splitlines()
    assert [int(line[:3]) for line in lines] == list(range(500))
    writer.write("later\n")
    assert os.read(pipe.reader, 100) == b"later\n"


def test_what_waits_is_bounded_and_what_is_dropped_is_counted(pipe: Pipe) -> None:
    writer = DescriptorWriter(pipe.writer, max_waiting_bytes=10_000)
    for _ in range(200):
        writer.write(ENTRY)
    lines = pipe.read_all().splitlines()
    written = len(lines) - 1
    assert 70 <= written <= 90
    assert lines[-1] == f"{200 - written} log entries were dropped, because the log was not read.".encode()


def test_a_reader_that_has_ended_is_not_an_error(pipe: Pipe) -> None:
    writer = DescriptorWriter(pipe.writer)
    for _ in range(200):
        writer.write(ENTRY)
    os.close(pipe.reader)
    writer.wait(10)
    writer.write(ENTRY)
    assert is_writable(pipe.writer)
