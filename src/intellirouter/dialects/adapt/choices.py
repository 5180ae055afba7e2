"""Several choices from upstreams that give one: the same request several times, the answers as one.

The pipeline sends the copies and hands their bytes over in frames: 1 byte copy, 4 bytes length, the bytes; a frame
without bytes ends its copy. Here the frames are read and the answers joined: copy k becomes choice k.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import structs

from intellirouter.core import NO_USAGE, Usage, errors
from intellirouter.dialects.ir import Choice, Event, Response, StreamEnded, StreamStarted, UsageUpdate
from intellirouter.dialects.protocols import StreamDecoder

MAX_COPIES: Final = 16
_HEAD: Final = struct.Struct(">BI")


def frame(copy: int, data: bytes) -> bytes:
    """Return one frame of copy number `copy`; without data, its end."""
    return _HEAD.pack(copy, len(data)) + data


def read_frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Return the frames of `data`, which holds whole ones."""
    at = 0
    while at < len(data):
        copy, size = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        yield copy, data[at : at + size]
        at += size


def joined(responses: Sequence[Response]) -> Response:
    """Return the answers as one: the first one's id and model, everybody's choices and usage."""
    first = responses[0]
    choices = [each.choices[0] if each.choices else Choice() for each in responses]
    usages = [each.usage for each in responses if each.usage is not None]
    total = sum_of(usages) if len(usages) == len(responses) else None
    return structs.replace(first, choices=choices, usage=total)


def sum_of(usages: Sequence[Usage]) -> Usage:
    total = NO_USAGE
    for usage in usages:
        total = total.plus(usage)
    return total


class FanDecoder:
    """Implements `protocols.StreamDecoder` over frames: one decoder a copy, their events as choices of one stream."""

    def __init__(self, decoders: Sequence[StreamDecoder]) -> None:
        self._decoders = decoders
        self._usages: dict[int, Usage] = {}
        self._ended: set[int] = set()
        self._has_begun = False

    def feed(self, data: bytes) -> list[Event]:
        events: list[Event] = []
        for copy, piece in read_frames(data):
            decoder = self._decoders[copy]
            for event in decoder.feed(piece) if piece else decoder.end():
                self._take(copy, event, events)
        return events

    def _take(self, copy: int, event: Event, events: list[Event]) -> None:
        match event:
            case StreamStarted():
                if event.usage is not None:
                    self._usages[copy] = event.usage
                if not self._has_begun:
                    self._has_begun = True
                    events.append(structs.replace(event, usage=None))
            case UsageUpdate():
                self._usages[copy] = event.usage
                if len(self._usages) == len(self._decoders):
                    events.append(UsageUpdate(usage=sum_of(list(self._usages.values()))))
            case StreamEnded():
                self._ended.add(copy)
                if len(self._ended) == len(self._decoders):
                    events.append(event)
            case _:
                event.choice = copy
                events.append(event)

    def end(self) -> list[Event]:
        if len(self._ended) < len(self._decoders):
            raise errors.UpstreamMalformed("One of several answers was cut off.")
        return []
