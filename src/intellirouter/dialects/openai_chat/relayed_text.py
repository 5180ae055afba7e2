"""Finds endless repetition in a stream whose events are relayed without being decoded.

Only long streams are read. Until then, the length of the text is estimated from a few events, so that a usual stream
costs one comparison per block.
"""

import sys
from collections.abc import Iterator
from operator import attrgetter
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from intellirouter.dialects.adapt.repetition import MIN_REPETITION_CHARS, TextTail, check_text
from intellirouter.dialects.wire.sse import data_lines, event_data, iterate_events

FIRST_LOOK_EVENTS: Final = 16
_MAX_STEP_EVENTS: Final = 512
_UNREAD_CHARS: Final = 2 * MIN_REPETITION_CHARS
"""About how much of a stream's text is not read."""


class _Delta(Struct):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None


class _Choice(Struct):
    index: int = 0
    delta: _Delta | None = None
    text: str | None = None


class _Chunk(Struct):
    choices: list[_Choice] | None = None


class _PlainDelta(Struct, gc=False):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None


class _PlainChoice(Struct, gc=False):
    delta: _PlainDelta
    index: Literal[0] = 0
    finish_reason: None = None


class _PlainChunk(Struct, gc=False):
    """The usual event. Decoding any other event as this type fails."""

    choices: tuple[_PlainChoice]
    usage: None = None
    error: None = None


class _WholeChoice(Struct):
    finish_reason: Any = None
    message: _Delta | None = None
    text: str | None = None


class _Whole(Struct):
    choices: list[_WholeChoice]


_decode_chunk: Final = msgspec.json.Decoder(_Chunk).decode
_decode_whole: Final = msgspec.json.Decoder(_Whole).decode
_decode_chunks: Final = msgspec.json.Decoder(_Chunk).decode_lines
_decode_plain: Final = msgspec.json.Decoder(_PlainChunk).decode_lines
_choices_of: Final = attrgetter("choices")


class RelayedText:
    """Watches the text of one stream. `next_look` is the number of events at which `look` must be called."""

    __slots__ = ("_chars", "_events", "_tails", "is_read", "next_look")

    def __init__(self, *, next_look: int = FIRST_LOOK_EVENTS) -> None:
        self.next_look = next_look
        self.is_read = False
        """The text is read. Until then, its size is estimated."""
        self._events = 0
        self._chars = 0
        """An estimate."""
        self._tails: dict[int, TextTail] = {}
        """By choice. The reasoning of choice n is ~n."""

    def take_plain(self, block: bytes) -> int | None:
        """Read the text of a block and return the number of its events, if all of them are plain.

        Otherwise return None. Raises `UpstreamMalformed`. It takes half as long as two decodings, one for each task.
        """
        lines = data_lines(block)
        if lines is None:
            return None
        try:
            chunks = _decode_plain(b"\n".join(lines))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        if len(chunks) != len(lines):
            return None
        deltas = [choice.delta for (choice,) in map(_choices_of, chunks)]
        texts = [delta.content for delta in deltas if delta.content]
        self._add(0, "".join(texts))
        if len(texts) < len(deltas):
            self._add(~0, "".join([delta.reasoning_content or delta.reasoning or "" for delta in deltas]))
        return len(lines)

    def look(self, block: bytes, events: int) -> None:
        """Read the text of a block of events, after which there have been this many. Raises `UpstreamMalformed`."""
        if not self.is_read:
            self._estimate(block.partition(b"\n\n")[0] + b"\n\n", events)
            return
        for key, text in _texts(block):
            self._add(key, text)

    def _add(self, key: int, text: str) -> None:
        if text:
            tail = self._tails.get(key)
            if tail is None:
                tail = self._tails[key] = TextTail()
            tail.add(text)

    def check_end(self) -> None:
        """Check the end of an answer that has reached a limit. Raises `UpstreamMalformed`."""
        for tail in self._tails.values():
            tail.check_end()

    def _estimate(self, event: bytes, events: int) -> None:
        chars = sum(len(text) for _, text in _texts(event))
        self._chars += chars * (events - self._events)
        self._events = events
        left = _UNREAD_CHARS - self._chars
        if left <= 0:
            self.is_read, self.next_look = True, 0
        else:
            self.next_look = events + max(1, min(_MAX_STEP_EVENTS, left // (2 * max(chars, 1))))


def check_whole(body: bytes) -> None:
    """Check the choices of a complete answer for runaway repetition. Raises `UpstreamMalformed`."""
    if len(body) < MIN_REPETITION_CHARS:
        return
    try:
        choices = _decode_whole(body).choices
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return  # A member that is relayed has an unknown form.
    for choice in choices:
        is_at_limit = choice.finish_reason == "length"
        message = choice.message or _Delta()
        for text in (message.content, message.reasoning_content, message.reasoning, choice.text):
            if text and len(text) >= MIN_REPETITION_CHARS:
                check_text(text, is_at_limit=is_at_limit)


def _chunks(block: bytes) -> list[_Chunk]:
    """Return the chunks of a block. Whatever cannot be decoded has no text; the relay reports it."""
    try:
        return _decode_chunks(block[5:].replace(b"\n\ndata:", b"\n")) if block.startswith(b"data:") else _each(block)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _each(block)


def _each(block: bytes) -> list[_Chunk]:
    chunks = []
    for event in iterate_events(block):
        try:
            chunks.append(_decode_chunk(event_data(event) or b"{}"))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
    return chunks


def _texts(block: bytes) -> Iterator[tuple[int, str]]:
    """Yield the text of each choice, and its reasoning with the key ~choice."""
    choices = [choice for chunk in _chunks(block) for choice in chunk.choices or ()]
    for index in {choice.index for choice in choices}:
        mine = choices if len(choices) == 1 else [choice for choice in choices if choice.index == index]
        deltas = [choice.delta for choice in mine if choice.delta is not None]
        if text := "".join([delta.content or "" for delta in deltas] or [choice.text or "" for choice in mine]):
            yield index, text
        if reasoning := "".join([delta.reasoning_content or delta.reasoning or "" for delta in deltas]):
            yield ~index, reasoning


UNWATCHED_TEXT: Final = RelayedText(next_look=sys.maxsize)
"""For streams that are checked elsewhere. It never reads anything, so all of them share it."""
