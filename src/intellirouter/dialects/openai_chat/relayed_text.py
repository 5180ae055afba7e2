"""Finds endless repetition in a stream whose events are relayed without being decoded.

Only long streams are read. Until then, the length of the text is estimated from a few events, so that a usual stream
costs one comparison per block.
"""

import re
import sys
from collections.abc import Iterator
from typing import Any, Final

import msgspec
from msgspec import Struct

from intellirouter.dialects.adapt.repetition import MIN_REPETITION_CHARS, TextTail, check_text
from intellirouter.dialects.wire.sse import event_data, iterate_events

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


class _WholeChoice(Struct):
    finish_reason: Any = None
    message: _Delta | None = None
    text: str | None = None


class _Whole(Struct):
    choices: list[_WholeChoice]


_CONTENT: Final = re.compile(rb'"(?:content|text)"[ ]*:[ ]*"((?:[^"\\]|\\.)*+)"')
_REASONING: Final = re.compile(rb'"reasoning(?:_content)?"[ ]*:[ ]*"((?:[^"\\]|\\.)*+)"')
"""They cannot match inside a JSON string, where quotes are escaped."""
_decode_string: Final = msgspec.json.Decoder(str).decode
_decode_chunk: Final = msgspec.json.Decoder(_Chunk).decode
_decode_whole: Final = msgspec.json.Decoder(_Whole).decode
_decode_chunks: Final = msgspec.json.Decoder(_Chunk).decode_lines


class RelayedText:
    """Watches the text of one stream. `next_look` is the number of events at which `look` must be called.

    The text of a stream with one choice is searched for in the bytes, that of several choices is decoded.
    """

    __slots__ = ("_chars", "_events", "_read", "_tails", "next_look")

    def __init__(self, *, has_choices: bool = False, next_look: int = FIRST_LOOK_EVENTS) -> None:
        self.next_look = next_look
        self._read = _texts if has_choices else _text_in
        self._events = 0
        self._chars = 0
        """An estimate."""
        self._tails: dict[int, TextTail] | None = None
        """By choice, once the text is read. The reasoning of choice n is ~n."""

    def look(self, block: bytes, events: int) -> None:
        """Read the text of a block of events, after which there have been this many. Raises `UpstreamMalformed`."""
        if self._tails is None:
            self._estimate(block.partition(b"\n\n")[0] + b"\n\n", events)
            return
        for key, text in self._read(block):
            tail = self._tails.get(key)
            if tail is None:
                tail = self._tails[key] = TextTail()
            tail.add(text)

    def check_end(self) -> None:
        """Check the end of an answer that has reached a limit. Raises `UpstreamMalformed`."""
        for tail in (self._tails or {}).values():
            tail.check_end()

    def _estimate(self, event: bytes, events: int) -> None:
        chars = sum(len(text) for _, text in self._read(event))
        self._chars += chars * (events - self._events)
        self._events = events
        left = _UNREAD_CHARS - self._chars
        if left <= 0:
            self._tails, self.next_look = {}, 0
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


def _text_in(block: bytes) -> Iterator[tuple[int, str]]:
    """Yield the text and the reasoning of the only choice."""
    if found := _CONTENT.findall(block):
        yield 0, _unescaped(b"".join(found))
    if found := _REASONING.findall(block):
        yield ~0, _unescaped(b"".join(found))


def _unescaped(text: bytes) -> str:
    try:
        return _decode_string(b'"' + text + b'"')
    except (msgspec.DecodeError, UnicodeDecodeError):  # half of a surrogate pair, whose other half follows
        return text.decode("utf-8", "replace")


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
