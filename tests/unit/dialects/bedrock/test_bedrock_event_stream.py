"""AWS's binary framing is read and written, also if it is split or corrupted anywhere."""

import base64
import struct
from binascii import crc32

import pytest

from intellirouter.core import errors
from intellirouter.dialects.bedrock.event_stream import Message, MessageReader, encode_message

ALL_HEADER_TYPES = base64.b64decode(
    "AAAAYwAAAFGn3LOWAXQAAWYBAWIC/wFzA//7AWkEAAAABwFsBf/////////3AmJ5BgADYWJjAnN0BwACw7wCdHMIAAAAAAAAAHsBdQkAAQIDBAUGBwgJCgsMDQ4P"
    "e30RU/8h"
)
"""One header of every type, payload `{}`."""


def frame(headers: bytes, payload: bytes = b"") -> bytes:
    prelude = struct.pack("!II", 16 + len(headers) + len(payload), len(headers))
    prelude += struct.pack("!I", crc32(prelude))
    body = prelude + headers + payload
    return body + struct.pack("!I", crc32(body))


def test_headers_of_all_types_are_read():
    assert MessageReader().feed(ALL_HEADER_TYPES) == [
        Message(
            {
                "t": True,
                "f": False,
                "b": -1,
                "s": -5,
                "i": 7,
                "l": -9,
                "by": b"abc",
                "st": "ü",
                "ts": 123,
                "u": bytes(range(16)),
            },
            b"{}",
        )
    ]


@pytest.mark.parametrize(
    ("headers", "payload"),
    [({}, b""), ({":event-type": "x"}, b"{}"), ({"a": "", "ü": "é" * 300}, b"\x00" * 70_000)],
)
def test_a_message_is_unchanged_after_a_round_trip(headers, payload):
    assert MessageReader().feed(encode_message(headers, payload)) == [Message(headers, payload)]


def test_an_empty_message_has_the_documented_bytes():
    assert encode_message({}, b"").hex() == "000000100000000005c248eb7d98c8ff"


def test_messages_can_be_split_anywhere():
    wire = encode_message({"a": "b"}, b"{}") * 3
    whole = MessageReader().feed(wire)
    assert len(whole) == 3
    for cut in range(len(wire)):
        reader = MessageReader()
        assert reader.feed(wire[:cut]) + reader.feed(wire[cut:]) == whole
        reader.end()


def test_every_corrupted_byte_is_detected():
    wire = encode_message({":event-type": "x"}, b'{"a":1}')
    for at in range(len(wire)):
        corrupted = wire[:at] + bytes((wire[at] ^ 0x10,)) + wire[at + 1 :]
        with pytest.raises(errors.UpstreamMalformed, match="checksum"):
            MessageReader().feed(corrupted)


@pytest.mark.parametrize(
    "wire",
    [
        b'{"message":"not a stream"}',
        b"<html><body>no</body></html>",
        struct.pack("!III", 2**31, 0, crc32(struct.pack("!II", 2**31, 0))),
        struct.pack("!III", 15, 0, crc32(struct.pack("!II", 15, 0))),
        struct.pack("!III", 20, 10, crc32(struct.pack("!II", 20, 10))),
        struct.pack("!III", 2**20, 2**19, crc32(struct.pack("!II", 2**20, 2**19))),
        frame(b"\x05ab"),
        frame(b"\x01a\x07\x00\x09short"),
        frame(b"\x01a\x09short"),
        frame(b"\x01a\x04\x00"),
        frame(b"\x01a\x0a"),
        frame(b"\x01\xff\x00"),
        frame(b"\x01a\x07\x00\x01\xff"),
    ],
)
def test_invalid_bytes_are_malformed(wire):
    with pytest.raises(errors.UpstreamMalformed):
        MessageReader().feed(wire)


def test_an_end_within_a_message_is_malformed():
    reader = MessageReader()
    reader.feed(encode_message({}, b"x")[:-1])
    with pytest.raises(errors.UpstreamMalformed, match="within a message"):
        reader.end()
