"""How a stream's chunks are cut: SSE with `alt=sse`, otherwise one JSON array that grows. Told apart by the first byte.

Both keep every byte, so that a stream can be relayed as it came.
"""

import re
from typing import Final

from intellirouter.core import errors
from intellirouter.dialects.wire.sse import EventReader, EventSplitter, check_utf8, split_events

_LIMIT_BYTES: Final = 16 * 1024 * 1024
_SIGN: Final = re.compile(rb'["\\{}\[\]]')
_IN_STRING: Final = re.compile(rb'["\\]')
_SPACE: Final = b" \t\r\n"
_BETWEEN: Final = b" \t\r\n,"
_LAST: Final = re.compile(
    rb'"finish_?[rR]eason"\s*:\s*"(?!"|FINISH_REASON_UNSPECIFIED)|"block_?[rR]eason"\s*:\s*"[A-Z]'
)
"""What only the last chunk of a candidate has."""


class ArrayCutter:
    """Cuts a growing JSON array after each of its elements.

    `feed` returns the elements that the bytes complete, each with the bytes before it (the bracket, commas, space).
    `is_closed`: the array's end has been seen. Raises `UpstreamMalformed` past `limit_bytes` for one element.
    """

    __slots__ = ("_at", "_buffer", "_depth", "_in_string", "_limit", "is_closed")

    def __init__(self, limit_bytes: int = _LIMIT_BYTES) -> None:
        self._limit = limit_bytes
        self._buffer = bytearray()
        self._at = 0
        """What lies before has been looked at."""
        self._depth = 0
        self._in_string = False
        self.is_closed = False

    def feed(self, data: bytes) -> list[bytes]:
        buffer = self._buffer
        buffer += data
        found: list[bytes] = []
        start = 0
        while not self.is_closed and (sign := self._next_sign()) >= 0:
            char = buffer[sign]
            self._at = sign + 1
            if self._in_string:
                if char == 0x5C:  # a backslash: the next byte is no sign
                    if sign + 1 == len(buffer):
                        self._at = sign
                        break
                    self._at = sign + 2
                else:
                    self._in_string = False
            elif char == 0x22:
                self._in_string = True
            elif char in b"{[":
                self._depth += 1
            elif char in b"}]":
                self._depth -= 1
                if self._depth == 1:
                    found.append(bytes(buffer[start : self._at]))
                    start = self._at
                self.is_closed = self._depth <= 0
        else:
            self._at = len(buffer)
        if start:
            del buffer[:start]
            self._at -= start
        if len(buffer) > self._limit:
            raise errors.UpstreamMalformed(f"one stream event is larger than {self._limit} bytes")
        return found

    def _next_sign(self) -> int:
        match = (_IN_STRING if self._in_string else _SIGN).search(self._buffer, self._at)
        return match.start() if match else -1

    def rest(self) -> bytes:
        """Return what belongs to no complete element, the closing bracket included, and forget it."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        self._at = 0
        return rest


class ChunkReader:
    """Reads a stream's chunks, each the JSON of one `GenerateContentResponse`, split anywhere."""

    __slots__ = ("_array", "_head", "_is_alone", "_sse")

    def __init__(self) -> None:
        self._head = b""
        self._array: ArrayCutter | None = None
        self._is_alone = False
        """No stream at all: one document, as for a request that asked for none."""
        self._sse: EventReader | None = None

    @property
    def is_closed(self) -> bool:
        """The stream has said that it is over, which only the array does."""
        return self._array is not None and self._array.is_closed

    def feed(self, data: bytes) -> list[bytes]:
        if self._sse is not None:
            return self._sse.feed(data)
        if self._array is None:
            self._head += data
            first = self._head.lstrip(_SPACE)[:1]
            if not first:
                return []
            data, self._head = self._head, b""
            if first not in b"[{":
                self._sse = EventReader()
                return self._sse.feed(data)
            self._array, self._is_alone = _cutter(first), first == b"{"
        found = [element.lstrip(_BETWEEN).removeprefix(b"[") for element in self._array.feed(data)]
        for element in found:
            check_utf8(element)
        return found

    def end(self) -> list[bytes]:
        """Return the data of a last event that nothing closes. Raises `UpstreamMalformed` for an array cut short."""
        if self._sse is not None:
            return self._sse.end()
        if self._array is not None and not self._array.is_closed and not self._is_alone:
            raise errors.UpstreamMalformed("The upstream's stream was cut off inside its array.")
        return []


def _cutter(first: bytes) -> ArrayCutter:
    """Return a cutter of an array, or of one document alone (an error that came instead of the stream)."""
    cutter = ArrayCutter()
    if first == b"{":
        cutter.feed(b"[")
    return cutter


class ChunkSplitter:
    """Cuts a stream into blocks of whole chunks, keeping every byte. Implements `route.Splitter`.

    A Gemini stream has no terminator. So that the exchange is settled before the client has its last byte, the chunk
    that says why the answer ended waits, with all that follows, until `rest`.
    """

    __slots__ = ("_array", "_head", "_last", "_sse")

    def __init__(self) -> None:
        self._head = b""
        self._array: ArrayCutter | None = None
        self._sse: EventSplitter | None = None
        self._last: list[bytes] | None = None

    def feed(self, data: bytes) -> bytes:
        if self._sse is None and self._array is None:
            self._head += data
            first = self._head.lstrip(_SPACE)[:1]
            if not first:
                return b""
            data, self._head = self._head, b""
            if first == b"[":
                self._array = ArrayCutter()
            else:
                self._sse = EventSplitter()
        if self._array is not None:
            return self._out(self._array.feed(data))
        block = self._sse.feed(data) if self._sse is not None else b""
        if not block or (self._last is None and not _LAST.search(block)):
            return block
        return self._out(split_events(block))

    def _out(self, chunks: list[bytes]) -> bytes:
        for index, chunk in enumerate(chunks):
            if self._last is None and _LAST.search(chunk):
                self._last = []
            if self._last is not None:
                self._last += chunks[index:]
                return b"".join(chunks[:index])
        return b"".join(chunks)

    def rest(self) -> bytes:
        last, self._last = self._last or [], None
        tail = self._head
        if self._array is not None:
            tail = self._array.rest()
        elif self._sse is not None:
            tail = self._sse.rest()
        return b"".join(last) + tail
