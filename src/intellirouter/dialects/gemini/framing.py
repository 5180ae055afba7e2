"""Splits streams into chunks. A stream is SSE (`alt=sse`) or a JSON array, which is detected by the first byte.

Splitters keep every byte, so that a stream can be relayed unchanged.
"""

import re
from collections.abc import Callable
from typing import Final

from intellirouter.core import errors
from intellirouter.dialects.wire.sse import EventReader, EventSplitter, check_utf8, split_events

_MAX_ELEMENT_BYTES: Final = 16 * 1024 * 1024
_STRUCTURAL: Final = re.compile(rb'["\\{}\[\]]')
_IN_STRING: Final = re.compile(rb'["\\]')
_SPACE: Final = b" \t\r\n"
_SEPARATORS: Final = b" \t\r\n,"
_FINAL_CHUNK: Final = re.compile(
    rb'"finish_?[rR]eason"\s*:\s*"(?!"|FINISH_REASON_UNSPECIFIED)|"block_?[rR]eason"\s*:\s*"[A-Z]'
)
"""Matches only the last chunk of a candidate."""


class ArraySplitter:
    """Splits a JSON array after each of its elements.

    `feed` returns the elements that the bytes complete, each with the bytes before it (bracket, comma, white space).
    `is_closed`: the end of the array has been read. Raises `UpstreamMalformed` if an element exceeds `limit_bytes`.
    """

    __slots__ = ("_buffer", "_depth", "_in_string", "_limit", "_position", "is_closed")

    def __init__(self, limit_bytes: int = _MAX_ELEMENT_BYTES) -> None:
        self._limit = limit_bytes
        self._buffer = bytearray()
        self._position = 0
        """All bytes before this position have been scanned."""
        self._depth = 0
        self._in_string = False
        self.is_closed = False

    @property
    def buffered_bytes(self) -> int:
        return len(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        buffer = self._buffer
        buffer += data
        elements: list[bytes] = []
        start = 0
        while not self.is_closed and (position := self._next_structural()) >= 0:
            byte = buffer[position]
            self._position = position + 1
            if self._in_string:
                if byte == 0x5C:  # a backslash escapes the next byte
                    if position + 1 == len(buffer):
                        self._position = position
                        break
                    self._position = position + 2
                else:
                    self._in_string = False
            elif byte == 0x22:
                self._in_string = True
            elif byte in b"{[":
                self._depth += 1
            elif byte in b"}]":
                self._depth -= 1
                if self._depth == 1:
                    elements.append(bytes(buffer[start : self._position]))
                    start = self._position
                self.is_closed = self._depth <= 0
        else:
            self._position = len(buffer)
        if start:
            del buffer[:start]
            self._position -= start
        if len(buffer) > self._limit:
            raise errors.UpstreamAnswerTooLarge(f"A chunk of the upstream's stream is larger than {self._limit} bytes.")
        return elements

    def _next_structural(self) -> int:
        match = (_IN_STRING if self._in_string else _STRUCTURAL).search(self._buffer, self._position)
        return match.start() if match else -1

    def rest(self) -> bytes:
        """Return and remove the bytes after the last complete element, including the closing bracket."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        self._position = 0
        return rest


class ChunkReader:
    """Reads the chunks of a stream that can be split anywhere. Each is the JSON of one `GenerateContentResponse`."""

    __slots__ = ("_array", "_failure", "_is_single_document", "_sse")

    def __init__(self) -> None:
        self._array: ArraySplitter | None = None
        self._failure: errors.UpstreamMalformed | None = None
        self._is_single_document = False
        """The body is one document instead of a stream."""
        self._sse: EventReader | None = None

    @property
    def is_closed(self) -> bool:
        """The stream is complete. Only arrays have such an end."""
        return self._array is not None and self._array.is_closed

    @property
    def buffered_bytes(self) -> int:
        source = self._sse or self._array
        return 0 if source is None else source.buffered_bytes

    def check(self, decode_error: Callable[[bytes], errors.UpstreamError]) -> None:
        """Raise the error at which the reader has stopped, as `EventReader.check` does."""
        if self._failure is not None:
            raise self._failure
        if self._sse is not None:
            self._sse.check(decode_error)

    def feed(self, data: bytes) -> list[bytes]:
        if self._sse is not None:
            return self._sse.feed(data)
        if self._array is None:
            data = data.lstrip(_SPACE)
            first = data[:1]
            if not first:
                return []
            if first not in b"[{":
                self._sse = EventReader()
                return self._sse.feed(data)
            self._array, self._is_single_document = _new_splitter(first), first == b"{"
        elements: list[bytes] = []
        try:
            for element in self._array.feed(data):
                check_utf8(element)
                elements.append(element.lstrip(_SEPARATORS).removeprefix(b"["))
        except errors.UpstreamMalformed as error:
            self._failure = error
        return elements

    def end(self) -> list[bytes]:
        """Return the data of a last event without a blank line. An incomplete array is an error."""
        if self._sse is not None:
            return self._sse.end()
        if self._array is not None and not self._array.is_closed and not self._is_single_document:
            self._failure = errors.UpstreamMalformed("The upstream's stream was cut off inside its array.")
        return []


def _new_splitter(first: bytes) -> ArraySplitter:
    """Return a splitter for an array, or for a single document, for example an error instead of a stream."""
    splitter = ArraySplitter()
    if first == b"{":
        splitter.feed(b"[")
    return splitter


class ChunkSplitter:
    """Splits a stream into blocks of complete chunks and keeps every byte. Implements `protocols.Splitter`.

    A Gemini stream has no terminator. The chunk with the finish reason, and everything after it, is held back until
    `rest` is called, so that the exchange is settled before the client gets its last byte.
    """

    __slots__ = ("_array", "_head", "_held_bytes", "_held_chunks", "_sse")

    def __init__(self) -> None:
        self._head: list[bytes] = []
        """White space before the first chunk."""
        self._array: ArraySplitter | None = None
        self._sse: EventSplitter | None = None
        self._held_chunks: list[bytes] | None = None
        self._held_bytes = 0

    @property
    def buffered_bytes(self) -> int:
        source = self._sse or self._array
        return 0 if source is None else source.buffered_bytes

    def feed(self, data: bytes) -> bytes:
        if self._sse is None and self._array is None:
            first = data.lstrip(_SPACE)[:1]
            self._head.append(data)
            if not first:
                self._check_held(len(data))
                return b""
            data = b"".join(self._head)
            self._head.clear()
            if first == b"[":
                self._array = ArraySplitter()
            else:
                self._sse = EventSplitter()
        if self._array is not None:
            return self._hold_final_chunk(self._array.feed(data))
        block = self._sse.feed(data) if self._sse is not None else b""
        if not block or (self._held_chunks is None and not _FINAL_CHUNK.search(block)):
            return block
        return self._hold_final_chunk(split_events(block))

    def _hold_final_chunk(self, chunks: list[bytes]) -> bytes:
        for index, chunk in enumerate(chunks):
            if self._held_chunks is None and _FINAL_CHUNK.search(chunk):
                self._held_chunks = []
            if self._held_chunks is not None:
                self._held_chunks += chunks[index:]
                self._check_held(sum(map(len, chunks[index:])))
                return b"".join(chunks[:index])
        return b"".join(chunks)

    def documents(self, block: bytes) -> list[bytes]:
        """Split a block after each complete chunk. What follows the last of them is left out."""
        if self._array is None:
            return EventSplitter().documents(block)
        array, is_start = ArraySplitter(), block.lstrip(_SPACE).startswith(b"[")
        if is_start:
            return array.feed(block)
        elements = array.feed(b"[" + block)
        return [elements[0][1:], *elements[1:]] if elements else []

    def _check_held(self, added: int) -> None:
        self._held_bytes += added
        if self._held_bytes > _MAX_ELEMENT_BYTES:
            raise errors.UpstreamAnswerTooLarge(
                f"The upstream's stream continues for more than {_MAX_ELEMENT_BYTES} bytes without content."
            )

    def rest(self) -> bytes:
        held, self._held_chunks = self._held_chunks or [], None
        tail = b"".join(self._head)
        if self._array is not None:
            tail = self._array.rest()
        elif self._sse is not None:
            tail = self._sse.rest()
        return b"".join(held) + tail
