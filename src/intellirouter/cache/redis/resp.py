"""The protocol of Redis and Valkey, version 2, as far as the cache needs it. Pure.

Source: Redis documentation, "Redis serialization protocol specification".
"""

from typing import Final

_END: Final = b"\r\n"
_MAX_LINE_BYTES: Final = 64 * 1024


class ServerError(Exception):
    """The server has rejected a command. The message begins with the kind of the error: `OOM`, `NOAUTH`, `NOPERM`."""


class ProtocolError(Exception):
    """What the server has sent is not an answer to one of the cache's commands."""


Reply = bytes | int | ServerError | None
"""None: there is no such value, or the condition of a command does not hold."""


def encode_command(*parts: bytes) -> bytes:
    """Return a command and its arguments as they are sent."""
    return b"*%d\r\n" % len(parts) + b"".join([b"$%d\r\n%b\r\n" % (len(part), part) for part in parts])


class ReplyReader:
    """Reads replies from the bytes that arrive, in any pieces."""

    def __init__(self, max_value_bytes: int) -> None:
        self._max_value_bytes = max_value_bytes
        self._buffer = bytearray()
        self._needed = 0
        """How many bytes must have arrived before the next reply can be complete."""

    def feed(self, data: bytes) -> list[Reply]:
        """Return the replies that are complete now. Raises `ProtocolError`."""
        self._buffer += data
        replies: list[Reply] = []
        position = 0
        while len(self._buffer) - position >= max(self._needed, 1):
            end = self._read(position, replies)
            if end == position:
                break
            position = end
        if position:
            del self._buffer[:position]
        return replies

    def _read(self, start: int, replies: list[Reply]) -> int:
        """Read the reply at this position. Returns where it ends, or `start` if it is incomplete."""
        buffer = self._buffer
        line_end = buffer.find(_END, start)
        if line_end < 0:
            if len(buffer) - start > _MAX_LINE_BYTES:
                raise ProtocolError("The server has sent a line that is too long.")
            return start
        kind, line, end = buffer[start], bytes(buffer[start + 1 : line_end]), line_end + len(_END)
        if kind == ord("$"):
            return self._read_value(start, end, line, replies)
        if kind == ord("+"):
            replies.append(line)
        elif kind == ord(":"):
            replies.append(_number(line))
        elif kind == ord("-"):
            replies.append(ServerError(line.decode("utf-8", "replace")))
        elif kind == ord("*") and line == b"-1":
            replies.append(None)
        else:
            raise ProtocolError("The server has sent something else than a reply of Redis.")
        self._needed = 0
        return end

    def _read_value(self, start: int, begin: int, line: bytes, replies: list[Reply]) -> int:
        size = _number(line)
        if size > self._max_value_bytes:
            raise ProtocolError(f"The server has sent a value of {size} bytes, which is too large.")
        end = begin + max(size, 0)
        if size < 0:
            replies.append(None)
        elif len(self._buffer) < end + len(_END):
            self._needed = end + len(_END) - start
            return start
        else:
            replies.append(bytes(self._buffer[begin:end]))
            end += len(_END)
        self._needed = 0
        return end


def _number(line: bytes) -> int:
    try:
        return int(line)
    except ValueError:
        raise ProtocolError("The server has sent an invalid number.") from None
