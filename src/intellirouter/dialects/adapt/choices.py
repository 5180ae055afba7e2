"""Several choices from upstreams that return one: the same request is sent several times, and the answers are joined.

The pipeline sends the copies of the request and passes the bytes of their responses on in frames. A frame consists of
one byte with the number of the copy, four bytes with the length, and the bytes; an empty frame ends its copy. The
response to copy k becomes choice k.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import structs

from intellirouter.core import NO_USAGE, Usage, errors
from intellirouter.dialects.ir import Choice, Event, Response, StreamEnded, StreamFailed, StreamStarted, UsageUpdate
from intellirouter.dialects.protocols import StreamDecoder

MAX_COPIES: Final = 16
_HEAD: Final = struct.Struct(">BI")


def frame(copy: int, data: bytes) -> bytes:
    """Return one frame of copy number `copy`. Without data, it ends the copy."""
    return _HEAD.pack(copy, len(data)) + data


def read_frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the frames of `data`, which must consist of complete frames."""
    at = 0
    while at < len(data):
        copy, size = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        yield copy, data[at : at + size]
        at += size


class _FrameReader:
    """Reads frames from bytes that can be split anywhere. The bytes of a frame are passed on as they arrive."""

    def __init__(self) -> None:
        self._head = b""
        self._copy = 0
        self._missing = 0
        """How many bytes of the current frame have not arrived."""

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield the number of a copy and some of its bytes, or no bytes at its end."""
        at = 0
        while at < len(data):
            if self._missing:
                piece = data[at : at + self._missing]
                self._missing -= len(piece)
            else:
                piece = data[at : at + _HEAD.size - len(self._head)]
                self._head += piece
                at += len(piece)
                if len(self._head) < _HEAD.size:
                    return
                self._copy, self._missing = _HEAD.unpack(self._head)
                self._head = b""
                if self._missing:
                    continue
                piece = b""
            at += len(piece)
            yield self._copy, piece


def join_responses(responses: Sequence[Response]) -> Response:
    """Return one response with the id and model of the first one, and the choices and total usage of all."""
    first = responses[0]
    choices = [each.choices[0] if each.choices else Choice() for each in responses]
    usages = [each.usage for each in responses if each.usage is not None]
    total = total_usage(usages) if len(usages) == len(responses) else None
    return structs.replace(first, choices=choices, usage=total)


def total_usage(usages: Sequence[Usage]) -> Usage:
    total = NO_USAGE
    for usage in usages:
        total = total.plus(usage)
    return total


class ChoicesDecoder:
    """Implements `protocols.StreamDecoder` for frames: one decoder per copy, whose events become one choice."""

    def __init__(self, decoders: Sequence[StreamDecoder]) -> None:
        self._decoders = decoders
        self._usages: dict[int, Usage] = {}
        self._ended: set[int] = set()
        self._has_started = False
        self._frames = _FrameReader()

    @property
    def buffered_bytes(self) -> int:
        return max(decoder.buffered_bytes for decoder in self._decoders)

    def feed(self, data: bytes) -> list[Event]:
        events: list[Event] = []
        for copy, piece in self._frames.feed(data):
            decoder = self._decoders[copy]
            for event in decoder.feed(piece) if piece else decoder.end():
                self._add(copy, event, events)
                if event.__class__ is StreamFailed:
                    return events
        return events

    def _add(self, copy: int, event: Event, events: list[Event]) -> None:
        match event:
            case StreamStarted():
                if event.usage is not None:
                    self._usages[copy] = event.usage
                if not self._has_started:
                    self._has_started = True
                    events.append(structs.replace(event, usage=None))
            case UsageUpdate():
                self._usages[copy] = event.usage
                if len(self._usages) == len(self._decoders):
                    events.append(UsageUpdate(usage=total_usage(list(self._usages.values()))))
            case StreamEnded():
                self._ended.add(copy)
                if len(self._ended) == len(self._decoders):
                    events.append(event)
            case StreamFailed():
                events.append(event)
            case _:
                event.choice = copy
                events.append(event)

    def end(self) -> list[Event]:
        if len(self._ended) == len(self._decoders):
            return []
        cut_off = errors.UpstreamMalformed("The stream of at least one of the requested choices was cut off.")
        return [StreamFailed(error=cut_off)]
