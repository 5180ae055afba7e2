"""AWS's binary event stream, both ways. Source: AWS, "Event stream encoding" (`application/vnd.amazon.eventstream`).

A message is: total length, length of the headers, CRC32 of those two; headers; payload; CRC32 of all before. All
big-endian. A header is: length of its name, name, type, value. Nothing here knows what is in the messages.
"""

import struct
from binascii import crc32
from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from intellirouter.core import errors

_PRELUDE: Final = struct.Struct("!III")
_CRC: Final = struct.Struct("!I")
_LENGTH: Final = struct.Struct("!H")
_FRAME_BYTES: Final = 16
"""Of a message without headers and payload."""
_MAX_HEADER_BYTES: Final = 128 * 1024
_MAX_BYTES: Final = 24 * 1024 * 1024
_STRING: Final = 7
_FIXED: Final = {
    2: struct.Struct("!b"),
    3: struct.Struct("!h"),
    4: struct.Struct("!i"),
    5: struct.Struct("!q"),
    8: struct.Struct("!q"),
}
"""Numbers by type; 8 is a time in milliseconds."""
_UUID_BYTES: Final = 16


class Message(Struct, frozen=True):
    headers: dict[str, Any]
    payload: bytes


def encode_message(headers: Mapping[str, str], payload: bytes) -> bytes:
    """Write one message. All headers are texts, which is all that AWS uses."""
    written = b"".join(_header(name.encode(), value.encode()) for name, value in headers.items())
    prelude = struct.pack("!II", _FRAME_BYTES + len(written) + len(payload), len(written))
    prelude += _CRC.pack(crc32(prelude))
    body = prelude + written + payload
    return body + _CRC.pack(crc32(body))


def _header(name: bytes, value: bytes) -> bytes:
    return bytes((len(name),)) + name + bytes((_STRING,)) + _LENGTH.pack(len(value)) + value


class MessageReader:
    """Reads messages from bytes that are split anywhere. Raises `UpstreamMalformed` for what is none."""

    __slots__ = ("_buffer", "_total")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._total = 0
        """Length of the message that has begun; 0 while its prelude is not complete."""

    def feed(self, data: bytes) -> list[Message]:
        """Return the messages that these bytes complete."""
        self._buffer += data
        found: list[Message] = []
        while (message := self._next()) is not None:
            found.append(message)
        return found

    def end(self) -> None:
        """Raise `UpstreamMalformed` when the bytes stop within a message."""
        if self._buffer:
            raise errors.UpstreamMalformed("The upstream's event stream ended within a message.")

    def _next(self) -> Message | None:
        buffer = self._buffer
        if not self._total:
            if len(buffer) < _PRELUDE.size:
                return None
            self._total = _checked_length(buffer)
        if len(buffer) < self._total:
            return None
        frame = bytes(buffer[: self._total])
        del buffer[: self._total]
        self._total = 0
        return _read(frame)


def _checked_length(buffer: bytearray) -> int:
    total, of_headers, checksum = _PRELUDE.unpack_from(buffer)
    if crc32(buffer[:8]) != checksum:
        raise errors.UpstreamMalformed(
            "The upstream's answer is no AWS event stream: the checksum of a prelude is wrong."
        )
    if of_headers > _MAX_HEADER_BYTES or not _FRAME_BYTES + of_headers <= total <= _MAX_BYTES:
        raise errors.UpstreamMalformed(
            f"The upstream's event stream has a message of impossible length ({total} bytes)."
        )
    length: int = total
    return length


def _read(frame: bytes) -> Message:
    if crc32(frame[:-4]) != _CRC.unpack_from(frame, len(frame) - 4)[0]:
        raise errors.UpstreamMalformed("The upstream's event stream is damaged: the checksum of a message is wrong.")
    start = _PRELUDE.size
    end = start + _PRELUDE.unpack_from(frame)[1]
    try:
        headers = _headers(frame[start:end])
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise errors.UpstreamMalformed(f"The upstream's event stream has broken headers: {error}") from None
    return Message(headers, frame[end:-4])


def _headers(data: bytes) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    at = 0
    while at < len(data):
        name_end = at + 1 + data[at]
        name = data[at + 1 : name_end].decode()
        value, at = _value(data, data[name_end], name_end + 1)
        headers[name] = value
    return headers


def _value(data: bytes, kind: int, at: int) -> tuple[Any, int]:
    """Read a header's value of this kind at this place; return it and the place behind it."""
    if kind in {0, 1}:
        return kind == 0, at
    if kind in _FIXED:
        form = _FIXED[kind]
        return form.unpack_from(data, at)[0], at + form.size
    if kind in {6, _STRING}:
        start = at + _LENGTH.size
        end = start + _LENGTH.unpack_from(data, at)[0]
    elif kind == 9:
        start, end = at, at + _UUID_BYTES
    else:
        raise errors.UpstreamMalformed(f"The upstream's event stream has a header of unknown type {kind}.")
    if end > len(data):
        raise IndexError("a value is cut off")
    value = data[start:end]
    return value.decode() if kind == _STRING else value, end
