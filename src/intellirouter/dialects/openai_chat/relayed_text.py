"""Finds endless repetition in a stream whose events are relayed without being decoded.

Only long texts are read. Until then, the blocks of a stream are only kept, so a usual stream costs one comparison per
block. If there are many of them and little text (up to 2,000 characters), they are set aside, and only read if the end
of the stream shows that their text matters.
"""

from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from intellirouter.dialects.adapt.repetition import (
    MAX_PERIOD_CHARS,
    MIN_REPETITION_CHARS,
    MIN_RUN_CHARS,
    TextTail,
)
from intellirouter.dialects.wire.sse import data_lines, event_data, iterate_events

_MAX_UNREAD_BYTES: Final = 4 * MIN_RUN_CHARS
"""How much of a stream is kept until it is read."""
_TAIL_CHARS: Final = MIN_RUN_CHARS + MAX_PERIOD_CHARS
_MAX_EARLY_BYTES: Final = 512 * 1024
"""How much of the beginning of a stream is set aside, as long as it has little text."""


class _Delta(Struct):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None


class _Choice(Struct):
    index: Any = 0
    delta: _Delta | None = None
    text: str | None = None


class _Chunk(Struct):
    choices: list[_Choice] | None = None


class _PlainDelta(Struct, gc=False):
    tool_calls: Annotated[list[Any], Meta(max_length=0)] | None = None
    function_call: None = None
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


_decode_chunk: Final = msgspec.json.Decoder(_Chunk).decode
_decode_chunks: Final = msgspec.json.Decoder(_Chunk).decode_lines
_decode_plain: Final = msgspec.json.Decoder(_PlainChunk).decode_lines
_choices_of: Final = attrgetter("choices")


class RelayedText:
    """Watches the text of one stream.

    Until there is so much that it could be runaway, its blocks are kept unread, and the size of its text is estimated
    from that of an event without its text. Whoever must be fast adds a block to `unread`, its size to `unread_bytes`
    and the number of its events, and calls `settle` above `max_unread_bytes`. `add` does the same for one event.
    """

    __slots__ = (
        "_chars",
        "_early",
        "_early_bytes",
        "_read_chars",
        "_tails",
        "is_read",
        "max_unread_bytes",
        "unread",
        "unread_bytes",
        "unread_events",
    )

    def __init__(self) -> None:
        self.max_unread_bytes = _MAX_UNREAD_BYTES
        self.is_read = False
        """The text is read as it arrives. Until then, the blocks are kept."""
        self.unread: list[bytes] = []
        self.unread_bytes = 0
        self.unread_events = 0
        self._early: list[bytes] = []
        """The blocks that have been set aside."""
        self._early_bytes = 0
        self._chars = 0
        """About how much text has been set aside."""
        self._read_chars = 0
        """How much text has been read as it arrived."""
        self._tails: dict[int, TextTail] = {}
        """By choice. The reasoning of choice n is ~n."""

    def take_plain(self, block: bytes) -> int | None:
        """Read the text of a block and return the number of its events, if all of them are plain.

        Otherwise return None. Raises `UpstreamMalformed`. It takes half as long as two decodings, one for each task.
        """
        chunks = plain_chunks(block, _decode_plain)
        if chunks is None:
            return None
        deltas = [choice.delta for (choice,) in map(_choices_of, chunks)]
        texts = [delta.content for delta in deltas if delta.content]
        text = "".join(texts)
        self._read_chars += len(text)
        self._add(0, text)
        if len(texts) < len(deltas):
            self._add(~0, "".join([delta.reasoning_content or delta.reasoning or "" for delta in deltas]))
        return len(chunks)

    @property
    def chars(self) -> int:
        """About how many characters the text has so far."""
        return self._chars + self._unread_chars() + self._read_chars

    def add(self, block: bytes) -> None:
        """Add an event. Raises `UpstreamMalformed`."""
        self.unread.append(block)
        self.unread_bytes += len(block)
        self.unread_events += 1
        if self.unread_bytes > self.max_unread_bytes:
            self.settle()

    def settle(self) -> None:
        """Read the blocks if there has been much text so far; otherwise set them aside. Raises `UpstreamMalformed`."""
        if not self.is_read:
            self._chars += self._unread_chars()
        if self.is_read or self._chars >= MIN_REPETITION_CHARS:
            self.read()
        else:
            self._early += self.unread
            self._early_bytes += self.unread_bytes
            if self._early_bytes > _MAX_EARLY_BYTES:
                self._early = []
            self._forget()

    def _forget(self) -> None:
        self.unread, self.unread_bytes, self.unread_events = [], 0, 0

    def _unread_chars(self) -> int:
        """Return about how many characters the text of the unread blocks has."""
        if not self.unread:
            return 0
        last = self.unread[-1]
        at = last.rfind(b"\n\n", 0, -2)
        sample = last if at < 0 else last[at + 2 :]
        envelope = len(sample) - sum([len(text) for _, text in _texts(sample)])
        return max(0, self.unread_bytes - self.unread_events * envelope)

    def read(self) -> None:
        """Read the text of the blocks so far, and from now on. Raises `UpstreamMalformed`."""
        block = b"".join(self.unread)
        self.is_read, self.max_unread_bytes = True, 0
        self._forget()
        for key, text in _texts(block):
            self._add(key, text)

    def _read_early(self, least: int) -> None:
        """Put the text that was set aside before the text that has been read, which has at least `least` characters.

        It is of no use for a text of which only the end is stored.
        """
        later = {key: "".join(tail.pieces) for key, tail in self._tails.items()}
        stored = {key: len(text) - self._tails[key].unchecked_chars for key, text in later.items()}
        keys = [key for key, size in stored.items() if least <= len(later[key]) and size < _TAIL_CHARS]
        if not keys:
            return
        early, self._early = dict(_texts(b"".join(self._early))), []
        for key in keys:
            del self._tails[key]
            self._add(key, early.get(key, ""))
            self._add(key, later[key])

    def _add(self, key: int, text: str) -> None:
        if text:
            tail = self._tails.get(key)
            if tail is None:
                tail = self._tails[key] = TextTail()
            tail.add(text)

    def check_finish(self, index: float | str = 0, *, is_at_limit: bool = False) -> None:
        """Check the text of a choice that has finished, as in complete answers. Raises `UpstreamMalformed`."""
        least = MIN_REPETITION_CHARS if is_at_limit else MIN_RUN_CHARS
        size = self.unread_bytes + self._early_bytes
        if size >= least and (is_at_limit or self._chars + self._unread_chars() >= least // 2):
            self.read()
        if self._early:
            self._read_early(0 if is_at_limit else MIN_RUN_CHARS - MIN_REPETITION_CHARS - self._chars)
        if is_at_limit:
            number = index_of(index)
            for key in (number, ~number):
                if key in self._tails:
                    self._tails[key].check_end()


class UnwatchedText(RelayedText):
    """For streams that are checked elsewhere. Nothing is read."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__()
        self.max_unread_bytes = 0

    def settle(self) -> None:
        self._forget()

    def read(self) -> None:
        self._forget()


def plain_chunks(block: bytes, decode: Callable[[bytes], list[Any]]) -> list[Any] | None:
    """Return the chunks of a block if each event is one data line that `decode` accepts; otherwise None.

    This takes half as long as a regular expression that searches for other events.
    """
    if (lines := data_lines(block)) is None:
        return None
    data, count = lines
    try:
        chunks = decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None  # The events are read one by one: a finish reason, a comment, the terminator, or a malformed event.
    return chunks if len(chunks) == count else None


def index_of(value: Any) -> int:
    """Return the index of a choice. An upstream with one choice may leave it out."""
    return value if isinstance(value, int) and value > 0 else 0


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
    for index in {index_of(choice.index) for choice in choices}:
        mine = [choice for choice in choices if index_of(choice.index) == index]
        deltas = [choice.delta for choice in mine if choice.delta is not None]
        if text := "".join([delta.content or "" for delta in deltas] or [choice.text or "" for choice in mine]):
            yield index, text
        if reasoning := "".join([delta.reasoning_content or delta.reasoning or "" for delta in deltas]):
            yield ~index, reasoning
