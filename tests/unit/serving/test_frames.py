"""Frames of WebSocket clients: heads, fragments, masks, limits, and input that arrives in pieces."""

import struct

import pytest

from intellirouter.serving import frames
from intellirouter.serving.frames import Control, FrameError, FrameReader, Pending

MASK = b"\x01\x02\x03\x04"
TEXT, BINARY, CONTINUATION, PING, CLOSE = 1, 2, 0, 9, 8


def frame(opcode: int, payload: bytes = b"", *, is_final: bool = True) -> bytes:
    size, first = len(payload), is_final << 7 | opcode
    if size < 126:
        head = struct.pack("!BB", first, 128 | size)
    elif size < 65536:
        head = struct.pack("!BBH", first, 128 | 126, size)
    else:
        head = struct.pack("!BBQ", first, 128 | 127, size)
    return head + MASK + bytes(byte ^ MASK[at % 4] for at, byte in enumerate(payload))


def read_all(reader: FrameReader) -> list[object]:
    """Return what has arrived. Raises `FrameError`."""
    found: list[object] = []
    while (result := reader.read()) is not Pending.INPUT:
        if result is Pending.MEMORY:
            reader.granted_bytes += reader.wanted_bytes
        elif result is not Pending.MORE:
            found.append(result)
    return found


INPUT = (
    frame(TEXT, "héllo".encode())
    + frame(BINARY, bytes(range(256)) * 300)
    + frame(TEXT, b"a", is_final=False)
    + frame(PING, b"ping")
    + frame(CONTINUATION, b"", is_final=False)
    + frame(CONTINUATION, b"b" * 200)
    + frame(TEXT)
    + frame(CLOSE, b"\x03\xe8")
)
OUTPUT = [
    "héllo",
    bytes(range(256)) * 300,
    Control(PING, frame(PING, b"ping")),
    "a" + "b" * 200,
    "",
    Control(CLOSE, frame(CLOSE, b"\x03\xe8")),
]


@pytest.mark.parametrize("size", [1, 3, 7, 1000, len(INPUT)])
def test_input_may_arrive_in_any_pieces(size: int) -> None:
    reader, found = FrameReader(1_000_000), list[object]()
    for at in range(0, len(INPUT), size):
        reader.feed(INPUT[at : at + size])
        found += read_all(reader)
    assert found == OUTPUT
    assert not reader.has_input


def test_one_call_reads_one_frame() -> None:
    reader = FrameReader(1000)
    reader.feed(frame(TEXT, b"a", is_final=False) + frame(CONTINUATION, b"b") + frame(TEXT, b"c"))
    assert [reader.read() for _ in range(4)] == [Pending.MORE, "ab", "c", Pending.INPUT]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x81\x01a", 1002),  # without a mask
        (b"\xc1\x80" + MASK, 1002),  # a reserved bit
        (b"\x83\x80" + MASK, 1002),  # a reserved opcode
        (b"\x09\x80" + MASK, 1002),  # a fragment of a ping
        (b"\x89\xfe\x00\x7e" + MASK, 1002),  # a ping of 126 bytes
        (frame(CONTINUATION, b"a"), 1002),
        (frame(TEXT, b"a", is_final=False) + frame(TEXT, b"a"), 1002),
        (frame(TEXT, b"\xff"), 1007),
        (b"\x81\xff" + struct.pack("!Q", 1001), 1009),  # known before the payload arrives
        (b"\x81\xff" + b"\xff" * 8, 1009),
        (frame(TEXT, b"a" * 600, is_final=False) + frame(CONTINUATION, b"a" * 401, is_final=False), 1009),
        (frame(TEXT, is_final=False) + frame(CONTINUATION, is_final=False) * frames.MAX_FRAGMENTS, 1008),
    ],
)
def test_input_that_breaks_the_protocol_or_a_limit_is_rejected(data: bytes, code: int) -> None:
    reader = FrameReader(1000)
    reader.feed(data)
    with pytest.raises(FrameError) as raised:
        read_all(reader)
    assert raised.value.code == code
    assert len(raised.value.reason) <= 123


def test_large_message_is_not_read_before_its_memory_is_granted() -> None:
    size = frames.UNRESERVED_BYTES + 10
    reader = FrameReader(1_000_000)
    sent = frame(TEXT, b"a" * size)
    reader.feed(sent[:-1])
    assert reader.read() is Pending.MEMORY
    assert reader.wanted_bytes == 10
    reader.granted_bytes += 10
    assert reader.read() is Pending.INPUT
    reader.feed(sent[-1:])
    assert reader.read() == "a" * size


def test_message_of_unknown_size_gets_memory_in_growing_steps_up_to_the_limit() -> None:
    limit, piece = 4_000_000, b"a" * 1000
    reader, steps = FrameReader(limit), list[int]()
    reader.feed(frame(BINARY, is_final=False) + frame(CONTINUATION, piece, is_final=False) * 4000)
    while (result := reader.read()) is not Pending.INPUT:
        if result is Pending.MEMORY:
            steps.append(reader.wanted_bytes)
            reader.granted_bytes += reader.wanted_bytes
    assert len(steps) < 10
    assert reader.granted_bytes == limit
