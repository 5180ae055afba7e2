"""Reads and writes AWS's binary event stream (`application/vnd.amazon.eventstream`).

A message consists of a prelude (total length, length of the headers, CRC32 of both), headers, payload, and the CRC32 of
everything before. A header consists of the length of its name, name, type and value. All numbers are big-endian.

Source: AWS, "Event stream encoding".
"""

import struct
from binascii import crc32
from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec import Struct

from intellirouter.core import errors

_PRELUDE: Final = struct.Struct("!III")
_CRC: Final = struct.Struct("!I")
_LENGTH: Final = struct.Struct("!H")
_MIN_MESSAGE_BYTES: Final = 16
"""The size of a message without headers and payload."""
_MAX_HEADER_BYTES: Final = 128 * 1024
_MAX_BYTES: Final = 24 * 1024 * 1024
_STRING: Final = 7
_NUMBERS: Final = {
    2: struct.Struct("!b"),
    3: struct.Struct("!h"),
    4: struct.Struct("!i"),
    5: struct.Struct("!q"),
    8: struct.Struct("!q"),
}
"""Formats of numbers by header type. Type 8 is a time in milliseconds."""
_UUID_BYTES: Final = 16


class Message(Struct, frozen=True):
    headers: dict[str, Any]
    payload: bytes


def encode_message(headers: Mapping[str, str], payload: bytes) -> bytes:
    """Write one message. All headers are strings, because AWS uses no other types."""
    encoded_headers = b"".join(_encode_header(name.encode(), value.encode()) for name, value in headers.items())
    prelude = struct.pack("!II", _MIN_MESSAGE_BYTES + len(encoded_headers) + len(payload), len(encoded_headers))
    prelude += _CRC.pack(crc32(prelude))
    body = prelude + encoded_headers + payload
    return body + _CRC.pack(crc32(body))


def _encode_header(name: bytes, value: bytes) -> bytes:
    return bytes((len(name),)) + name + bytes((_STRING,)) + _LENGTH.pack(len(value)) + value


class MessageReader:
    """Reads messages from bytes that can be split anywhere. Raises `UpstreamMalformed` for invalid bytes."""

    __slots__ = ("_buffer", "_message_bytes")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._message_bytes = 0
        """The length of the current message; 0 until its prelude is complete."""

    @property
    def buffered_bytes(self) -> int:
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Message]:
        """Return the messages that these bytes complete."""
        return list(self.messages(data))

    def messages(self, data: bytes) -> Iterator[Message]:
        """Yield the messages that these bytes complete, also those before an invalid one."""
        self._buffer += data
        while (message := self._next_message()) is not None:
            yield message

    def end(self) -> None:
        """Raise `UpstreamMalformed` if the bytes end within a message."""
        if self._buffer:
            raise errors.UpstreamMalformed("The upstream's event stream ended within a message.")

    def _next_message(self) -> Message | None:
        buffer = self._buffer
        if not self._message_bytes:
            if len(buffer) < _PRELUDE.size:
                return None
            self._message_bytes = _message_length(buffer)
        if len(buffer) < self._message_bytes:
            return None
        frame = bytes(buffer[: self._message_bytes])
        del buffer[: self._message_bytes]
        self._message_bytes = 0
        return _decode_message(frame)


def _message_length(buffer: bytearray) -> int:
    total, headers_length, checksum = _PRELUDE.unpack_from(buffer)
    if crc32(buffer[:8]) != checksum:
        raise errors.UpstreamMalformed(
            "The upstream did not return an AWS event stream: the checksum of a prelude is wrong."
        )
    if headers_length > _MAX_HEADER_BYTES or not _MIN_MESSAGE_BYTES + headers_length <= total <= _MAX_BYTES:
        raise errors.UpstreamMalformed(
            f"The upstream's event stream contains a message of invalid length ({total} bytes)."
        )
    length: int = total
    return length


def _decode_message(frame: bytes) -> Message:
    if crc32(frame[:-4]) != _CRC.unpack_from(frame, len(frame) - 4)[0]:
        raise errors.UpstreamMalformed("The upstream's event stream is corrupted: the checksum of a message is wrong.")
    start = _PRELUDE.size
    end = start + _PRELUDE.unpack_from(frame)[1]
    try:
        headers = _decode_headers(frame[start:end])
    except (struct.error, IndexError, UnicodeDecodeError):
        raise errors.UpstreamMalformed("The upstream's event stream contains invalid headers.") from None
    return Message(headers, frame[end:-4])


def _decode_headers(data: bytes) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    offset = 0
    while offset < len(data):
        name_end = offset + 1 + data[offset]
        name = data[offset + 1 : name_end].decode()
        value, offset = _decode_value(data, data[name_end], name_end + 1)
        headers[name] = value
    return headers


def _decode_value(data: bytes, header_type: int, offset: int) -> tuple[Any, int]:
    """Read a header value of this type. Return it and the offset of the next header."""
    if header_type in {0, 1}:
        return header_type == 0, offset
    if header_type in _NUMBERS:
        number = _NUMBERS[header_type]
        return number.unpack_from(data, offset)[0], offset + number.size
    if header_type in {6, _STRING}:
        start = offset + _LENGTH.size
        end = start + _LENGTH.unpack_from(data, offset)[0]
    elif header_type == 9:
        start, end = offset, offset + _UUID_BYTES
    else:
        raise errors.UpstreamMalformed(f"The upstream's event stream contains a header of unknown type {header_type}.")
    if end > len(data):
        raise IndexError("a value is cut off")
    value = data[start:end]
    return value.decode() if header_type == _STRING else value, end
