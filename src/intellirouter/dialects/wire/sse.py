"""Incremental parsing of server-sent events: any split and line ending, comments, several data lines, a missing end."""

import re
from collections.abc import Callable, Iterable, Iterator
from io import BytesIO
from itertools import repeat
from typing import Final

from msgspec import Struct

from intellirouter.core import errors

_LINE_END: Final = re.compile(rb"\r\n|\n|\r")
_BLANK_LINE: Final = re.compile(rb"\n\r?\n|\r\r")
LARGE_EVENT_BYTES: Final = 32 * 1024
"""The size of events that may take too long to process on the event loop."""
CR: Final = ord("\r")
_DATA: Final = b"data:"
_FIELDS: Final = (b"data", b"event", b"id", b"retry")
_LF: Final = ord("\n")
"""Integers, because `in` tries to use a `bytes` operand as an integer first, and takes ten times as long for it."""
_ERROR_STARTS: Final = (b"event: error", b"event:error")
_ERROR_TYPE: Final = re.compile(rb"(?:^|[\r\n])event: ?error *(?:[\r\n]|$)")
_OVERLAP_BYTES: Final = 2
"""One less than the longest blank line."""


class SseEvent(Struct, frozen=True):
    """One event. `data` is its data lines, joined with LF; `event` is its type, empty if it has none."""

    data: str
    event: str = ""
    id: str = ""


class EventSplitter:
    """Splits a byte stream at blank lines into blocks of complete events, without changing a byte.

    `feed` returns the bytes up to the end of the last complete event, and buffers the rest. Raises `UpstreamMalformed`
    if an event is larger than `limit_bytes`.
    """

    __slots__ = ("_limit", "_overlap", "_parts", "buffered_bytes")

    def __init__(self, limit_bytes: int = 16 * 1024 * 1024) -> None:
        self._limit = limit_bytes
        self._clear()

    def _clear(self) -> None:
        self._parts: list[bytes] = []
        self.buffered_bytes = 0
        self._overlap = b""
        """The last buffered bytes, which may be the beginning of a blank line. Only these are searched again."""

    def feed(self, data: bytes) -> bytes:
        if not self.buffered_bytes and data.endswith(b"\n\n"):
            return data  # The usual case: only complete events.
        overlap = self._overlap
        cut = last_boundary(overlap + data if overlap else data)
        if not cut:
            self._buffer(data)
            return b""
        cut -= len(overlap)
        waiting = self._parts
        if waiting or cut < len(data):
            self._clear()
            self._buffer(data[cut:])
            waiting.append(data[:cut])
            return b"".join(waiting)
        return data

    def _buffer(self, data: bytes) -> None:
        if data:
            self._parts.append(data)
            self.buffered_bytes += len(data)
            self._overlap = (self._overlap + data)[-_OVERLAP_BYTES:]
            if self.buffered_bytes > self._limit:
                raise errors.UpstreamAnswerTooLarge(
                    f"An event of the upstream's stream is larger than {self._limit} bytes."
                )

    def documents(self, block: bytes) -> list[bytes]:
        """Split a block after each event with data. What follows the last of them is left out."""
        found: list[bytes] = []
        waiting = b""
        for event in split_events(block):
            waiting += event
            if event_data(event) is not None and _BLANK_LINE.search(event):
                found.append(waiting)
                waiting = b""
        return found

    def rest(self) -> bytes:
        """Return the buffered bytes, which no blank line has ended, and clear the buffer."""
        rest = b"".join(self._parts)
        self._clear()
        return rest


def last_boundary(buffer: bytes) -> int:
    """Return the offset after the last blank line; 0 if there is none."""
    if CR not in buffer:
        blank_line = buffer.rfind(b"\n\n")
        return blank_line + 2 if blank_line >= 0 else 0
    end = 0
    for match in _BLANK_LINE.finditer(buffer):
        end = match.end()
    return end


def split_events(block: bytes) -> list[bytes]:
    """Split a block of complete events after each blank line. The parts joined are the block."""
    if CR not in block:
        parts = [event + b"\n\n" for event in block.split(b"\n\n")]
        rest = parts.pop()[:-2]
        return [*parts, rest] if rest else parts
    parts = []
    start = 0
    for match in _BLANK_LINE.finditer(block):
        parts.append(block[start : match.end()])
        start = match.end()
    if start < len(block):
        parts.append(block[start:])
    return parts


def iterate_events(block: bytes) -> Iterator[bytes]:
    """Do the same as `split_events` one by one, for callers that need only the first events."""
    if CR in block:
        yield from split_events(block)
        return
    start = 0
    while (end := block.find(b"\n\n", start) + 2) > 1:
        yield block[start:end]
        start = end
    if start < len(block):
        yield block[start:]


def iterate_data(block: bytes) -> Iterator[tuple[bytes, bytes | None]]:
    """Yield each event of a block with its `event_data`."""
    start = 0
    if CR not in block:
        while (end := block.find(b"\n\n", start)) >= 0:
            event = block[start : end + 2]
            if event.startswith(b"data:") and block.find(b"\n", start) == end:  # the usual case
                yield event, event[5:].strip(b" \n")
            else:
                yield event, event_data(event)
            start = end + 2
    for event in split_events(block[start:]):
        yield event, event_data(event)


def data_lines(block: bytes, type_line: bytes = b"") -> tuple[bytes, int] | None:
    """Return the data of all events of a block, each with a line end, and the number of events.

    Returns None unless each event consists of `type_line`, if any, one data line and a blank line.
    """
    if CR in block:
        return None
    lines = BytesIO(block).readlines()  # a third of the time of a search for blank lines, with a check of all line ends
    step = 3 if type_line else 2
    data = lines[step - 2 :: step]
    count = len(data)
    if len(lines) != step * count or lines[step - 1 :: step].count(b"\n") != count:
        return None
    if type_line and lines[::step].count(type_line) != count:
        return None
    joined = b"".join(map(bytes.removeprefix, data, repeat(_DATA)))
    has_only_data = len(joined) == len(block) - count * (len(type_line) + len(_DATA) + 1)
    return (joined, count) if has_only_data else None


def event_data(event: bytes) -> bytes | None:
    """Return the data of one raw event (data lines joined with LF); None if it has no data line."""
    # The usual cases: one data line, alone or after the event's type.
    start = 5 if event.startswith(b"data:") else 0
    if not start and event.startswith(b"event:"):
        start = event.find(b"\n") + 6
        if start < 6 or event[start - 5 : start] != b"data:":
            start = 0
    if start and event.find(b"\n", start) >= len(event) - 2 and CR not in event:
        return event[start:].strip(b" \n")
    lines: list[bytes] = []
    for line in _LINE_END.split(event):
        if line.startswith(b"data:"):
            lines.append(line[6:] if line[5:6] == b" " else line[5:])
        elif line == b"data":
            lines.append(b"")
    return b"\n".join(lines) if lines else None


def has_foreign_lines(event: bytes) -> bool:
    """Return whether an event has lines that are neither SSE fields nor comments, for example of an HTML page."""
    return any(
        line and not line.startswith(b":") and line.split(b":", 1)[0] not in _FIELDS for line in _LINE_END.split(event)
    )


def _without_cut_line(rest: bytes) -> bytes:
    """Remove the last line if the stream was cut off within the name of its field, such as `dat`."""
    start = max(rest.rfind(b"\n"), rest.rfind(b"\r")) + 1
    line = rest[start:]
    return rest[:start] if any(field.startswith(line) for field in _FIELDS) else rest


class EventReader:
    """Reads and validates the data of a stream's events.

    `feed` returns the data of each event that the bytes complete, including `[DONE]`, and skips comments. It stops at
    the first event of the type `error`, at text that is not valid UTF-8, at anything that is not an event stream, such
    as HTML or a JSON document, and at an event larger than `limit_bytes`. `check` then raises the error: what was
    returned with it comes first.
    """

    __slots__ = ("_error_data", "_failure", "_splitter", "has_failed")

    def __init__(self, limit_bytes: int = 16 * 1024 * 1024) -> None:
        self._splitter = EventSplitter(limit_bytes)
        self._failure: errors.UpstreamMalformed | None = None
        self._error_data = b""
        self.has_failed = False

    @property
    def buffered_bytes(self) -> int:
        return self._splitter.buffered_bytes

    def check(self, decode_error: Callable[[bytes], errors.UpstreamError]) -> None:
        """Raise the error at which the reader has stopped. `decode_error` decodes the data of an error event."""
        if self.has_failed:
            raise self._failure or decode_error(self._error_data)

    def feed(self, data: bytes) -> list[bytes]:
        try:
            block = self._splitter.feed(data)
        except errors.UpstreamAnswerTooLarge as error:
            self._fail(error)
            return []
        if not block:
            return []
        return self._read(block) if block.isascii() else self._read_checked(block)

    def end(self) -> list[bytes]:
        """Return the data of the last event if no blank line ends it."""
        rest = _without_cut_line(self._splitter.rest())
        return self._read_checked(rest) if rest.strip() else []

    def _fail(self, error: errors.UpstreamMalformed | None) -> None:
        self._failure, self.has_failed = error, True

    def _read_checked(self, block: bytes) -> list[bytes]:
        if (size := valid_utf8_bytes(block)) == len(block):
            return self._read(block)
        found = self._read(block[: last_boundary(block[:size])])
        if not self.has_failed:
            self._fail(not_utf8())
        return found

    def _read(self, block: bytes) -> list[bytes]:
        found: list[bytes] = []
        if CR in block:
            self._read_each(split_events(block), found)
            return found
        for event in block.split(b"\n\n"):
            # The usual cases: one data line, alone or after the event's type. `_read_each` handles the others.
            first, _, rest = event.partition(b"\n")
            if first.startswith(b"event:"):
                line = b"" if first.startswith(_ERROR_STARTS) else rest
            else:
                line = b"" if rest else first
            if line.startswith(b"data:") and _LF not in line:
                found.append(line[5:].strip(b" "))
            elif event and not self._read_each([event], found):
                break
        return found

    def _read_each(self, events: Iterable[bytes], found: list[bytes]) -> bool:
        """Add the data of each event to `found`. Returns whether there is nothing at which the reader stops."""
        for event in events:
            text = event_data(event)
            if text is not None and is_error_event(event):
                self._error_data, self.has_failed = text, True
            elif text is not None:
                found.append(text)
            elif has_foreign_lines(event):
                self._fail(errors.UpstreamMalformed(f"The upstream sent {_quoted(event)} instead of an event stream."))
            if self.has_failed:
                return False
        return True


def is_error_event(event: bytes) -> bool:
    """Return whether a raw event has the type `error`."""
    return _ERROR_TYPE.search(event) is not None


def _quoted(text: bytes) -> str:
    """Return the text for an error message, or "a web page" for HTML, which would not help."""
    text = text.strip()
    return "a web page" if text.startswith(b"<") else f"`{text[:300].decode('utf-8', 'replace')}`"


class LineSplitter:
    """Splits newline-delimited JSON into blocks of complete lines, with the same contract as `EventSplitter`."""

    __slots__ = ("_limit", "_parts", "buffered_bytes")

    def __init__(self, limit_bytes: int = 16 * 1024 * 1024) -> None:
        self._limit = limit_bytes
        self._parts: list[bytes] = []
        self.buffered_bytes = 0

    def feed(self, data: bytes) -> bytes:
        cut = data.rfind(b"\n") + 1
        if not cut:
            self._buffer(data)
            return b""
        parts, self._parts, self.buffered_bytes = self._parts, [], 0
        self._buffer(data[cut:])
        parts.append(data[:cut])
        return b"".join(parts)

    def _buffer(self, data: bytes) -> None:
        if data:
            self._parts.append(data)
            self.buffered_bytes += len(data)
            if self.buffered_bytes > self._limit:
                raise errors.UpstreamAnswerTooLarge(
                    f"An event of the upstream's stream is larger than {self._limit} bytes."
                )

    def documents(self, block: bytes) -> list[bytes]:
        """Split a block after each line that is not blank. What follows the last of them is left out."""
        return [line + b"\n" for line in block.split(b"\n")[:-1] if line.strip()]

    def rest(self) -> bytes:
        """Return the buffered bytes, which no newline has ended, and clear the buffer."""
        rest, self._parts, self.buffered_bytes = b"".join(self._parts), [], 0
        return rest


def check_utf8(block: bytes) -> None:
    """Raise `UpstreamMalformed` for text that is not valid UTF-8, which clients could not decode."""
    if not block.isascii():
        try:
            block.decode()
        except UnicodeDecodeError:
            raise not_utf8() from None


def not_utf8() -> errors.UpstreamMalformed:
    return errors.UpstreamMalformed("The upstream sent text that is not valid UTF-8.")


def valid_utf8_bytes(block: bytes) -> int:
    """Return how many bytes at the beginning of a block are valid UTF-8."""
    try:
        block.decode()
    except UnicodeDecodeError as error:
        return error.start
    return len(block)


class SseParser:
    """Parses a stream into events according to the HTML standard. Used by clients and tests."""

    __slots__ = ("_event_type", "_is_at_start", "_last_id", "_lines", "_rest")

    def __init__(self) -> None:
        self._is_at_start = True
        self._rest = b""
        self._lines: list[str] = []
        self._event_type = ""
        self._last_id = ""

    def feed(self, data: bytes) -> list[SseEvent]:
        """Return the events that these bytes complete."""
        buffer = self._rest + data
        # A CR at the end may be the first half of a CRLF, so it only ends the line when the next byte is known.
        hold = 1 if buffer.endswith(b"\r") else 0
        lines = _LINE_END.split(buffer[: len(buffer) - hold])
        self._rest = lines.pop() + buffer[len(buffer) - hold :]
        events: list[SseEvent] = []
        for line in lines:
            self._take(line.decode("utf-8", "replace"), events)
        return events

    def _take(self, line: str, events: list[SseEvent]) -> None:
        if self._is_at_start:
            line = line.removeprefix("\ufeff")
            self._is_at_start = False
        if not line:
            if self._lines:
                events.append(SseEvent("\n".join(self._lines), self._event_type, self._last_id))
            self._lines, self._event_type = [], ""
            return
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._lines.append(value)
        elif name == "event":
            self._event_type = value
        elif name == "id" and "\0" not in value:
            self._last_id = value
