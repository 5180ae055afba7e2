"""WebSocket frames (RFC 6455) of a server."""

import base64
import hashlib
import struct
from typing import Final

MAX_MESSAGE_BYTES: Final = 32 * 1024 * 1024
TEXT: Final = 1
CLOSE: Final = 8
PING: Final = 9
PONG: Final = 10
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
Message = tuple[int, bytes]


class FrameError(Exception):
    """The client violated the protocol."""


def accept_key(key: str) -> str:
    """Return the value of `sec-websocket-accept` for the key of the client."""
    digest = hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()


def frame(kind: int, payload: bytes) -> bytes:
    """Encode one complete message, unmasked."""
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", 0x80 | kind, size)
    elif size < 65536:
        head = struct.pack("!BBH", 0x80 | kind, 126, size)
    else:
        head = struct.pack("!BBQ", 0x80 | kind, 127, size)
    return head + payload


class FrameReader:
    """Decodes the messages of a client from bytes that are split at any position."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._kind = 0
        self._pieces = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """Return the messages that are complete with these bytes. Raises `FrameError`."""
        self._buffer += data
        found: list[Message] = []
        while (read := self._frame()) is not None:
            kind, is_last, payload = read
            if kind >= CLOSE:
                found.append((kind, payload))
                continue
            self._kind = kind or self._kind
            self._pieces += payload
            if len(self._pieces) > MAX_MESSAGE_BYTES:
                raise FrameError("The message is too large.")
            if is_last:
                found.append((self._kind, bytes(self._pieces)))
                self._pieces.clear()
        return found

    def _frame(self) -> tuple[int, bool, bytes] | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        size, at = buffer[1] & 0x7F, 2
        if not buffer[1] & 0x80:
            raise FrameError("The frames of a client must be masked.")
        if size > 125:
            length_format = "!H" if size == 126 else "!Q"
            at += struct.calcsize(length_format)
            if len(buffer) < at:
                return None
            (size,) = struct.unpack_from(length_format, buffer, 2)
        if size > MAX_MESSAGE_BYTES:
            raise FrameError("The message is too large.")
        end = at + 4 + size
        if len(buffer) < end:
            return None
        mask = bytes(buffer[at : at + 4])
        masked = int.from_bytes(buffer[at + 4 : end], "big")
        pattern = int.from_bytes((mask * (size // 4 + 1))[:size], "big")
        payload = (masked ^ pattern).to_bytes(size, "big")
        kind, is_last = buffer[0] & 0x0F, bool(buffer[0] & 0x80)
        del buffer[:end]
        return kind, is_last, payload
