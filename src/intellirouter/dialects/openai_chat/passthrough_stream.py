"""The relay of an OpenAI chat stream, which decodes events only where necessary.

Nothing is released before the first event with content, so that the gateway can fall back without the client noticing.
After that, complete events are relayed unchanged, many at a time. Only those with a finish reason, the usage or an
error are read one by one.
"""

import re
from collections.abc import Callable
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from intellirouter.core import Usage, errors, estimate_tokens
from intellirouter.core.json_errors import describe_json_error
from intellirouter.dialects.error_causes import FAILED_FINISHES
from intellirouter.dialects.openai.client_errors import encode_error_event
from intellirouter.dialects.openai.upstream_errors import (
    decode_error_in_stream,
    error_without_answer,
    failed_finish,
)
from intellirouter.dialects.openai.usage import NOT_REPORTED, read_usage
from intellirouter.dialects.openai_chat.complete_calls import CallCompletion
from intellirouter.dialects.openai_chat.relayed_text import RelayedText, plain_chunks
from intellirouter.dialects.wire.search import contains
from intellirouter.dialects.wire.sse import (
    LARGE_EVENT_BYTES,
    EventSplitter,
    check_utf8,
    has_foreign_lines,
    iterate_data,
    last_boundary,
    valid_utf8_bytes,
)

_MATTERS: Final = re.compile(rb'"usage"[ ]*:[ ]*\{|"error"[ ]*:|"finish_reason"[ ]*:[ ]*"')
_ERROR_TYPE: Final = re.compile(rb"event:[ ]?error[\r\n]")
_DONE: Final = b"[DONE]"
_END: Final = b"data: [DONE]\n\n"
_KEEP_ALIVE: Final = b":\n\n"
_NULL_USAGE: Final = re.compile(rb',[ ]*"usage"[ ]*:[ ]*null')
_COMMENT_STARTS: Final = (b":", b"\n")
_LAST_EVENTS: Final = 3
"""The finish reason, the usage, `[DONE]`."""
_MAX_HELD_BYTES: Final = 256 * 1024


class _Delta(Struct):
    content: Any = None
    tool_calls: Any = None
    function_call: Any = None
    refusal: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    audio: Any = None


class _Choice(Struct):
    index: float | str | None = 0
    delta: _Delta | None = None
    finish_reason: str | None = None
    text: Any = None
    error: Any = None


class _Chunk(Struct):
    choices: list[_Choice] | None = None
    usage: msgspec.Raw = NOT_REPORTED
    error: Any = None


class _PlainDelta(Struct, gc=False):
    tool_calls: Annotated[list[Any], Meta(max_length=0)] | None = None
    function_call: None = None


class _PlainChoice(Struct, gc=False):
    delta: _PlainDelta | None = None
    index: Literal[0] | None = 0
    finish_reason: None = None


class _PlainFunction(Struct, gc=False):
    name: Annotated[str, Meta(max_length=0)] | None = None


class _PlainCall(Struct, gc=False):
    """A piece of a tool call that is not its first one."""

    index: int
    function: _PlainFunction | None = None


class _PlainCallDelta(Struct, gc=False):
    tool_calls: list[_PlainCall] | None = None


class _PlainCallChoice(Struct, gc=False):
    delta: _PlainCallDelta | None = None
    index: Literal[0] | None = 0
    finish_reason: None = None


class _PlainChunk(Struct, gc=False):
    """An event that needs no reading. Decoding any other event as this type fails, also one without choices."""

    choices: Annotated[list[_PlainChoice], Meta(min_length=1)]
    usage: None = None
    error: None = None


class _PlainCallChunk(Struct, gc=False):
    """The same in a stream whose tool calls have begun."""

    choices: Annotated[list[_PlainCallChoice], Meta(min_length=1)]
    usage: None = None
    error: None = None


_decode_chunk: Final = msgspec.json.Decoder(_Chunk)
_check_plain: Final = msgspec.json.Decoder(_PlainChunk).decode_lines
_check_plain_calls: Final = msgspec.json.Decoder(_PlainCallChunk).decode_lines
_check_none: Final = msgspec.json.Decoder(None).decode_lines
"""For a stream with several choices: no event is plain, because it matters to which choice it belongs."""


class ChatStreamRelay:
    """Implements `protocols.StreamRelay`. `keeps_usage`: the client has requested the usage chunk itself."""

    __slots__ = (
        "_calls",
        "_check",
        "_finishes",
        "_first_chunk",
        "_held",
        "_held_bytes",
        "_is_malformed",
        "_keeps_usage",
        "_splitter",
        "_tail",
        "_text",
        "content_events",
        "error",
        "finish_reason",
        "has_content",
        "is_finished",
        "is_heavy",
        "usage",
    )

    def __init__(self, *, keeps_usage: bool, text: RelayedText | None = None) -> None:
        self._keeps_usage = keeps_usage
        self._splitter = EventSplitter()
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._tail = b""
        self._first_chunk = b""
        """The first event with choices. A finish that the upstream has left out is built from it."""
        self._check: Callable[[bytes], list[Any]] = _check_plain
        self._calls: dict[float | str, CallCompletion] = {}
        """By choice."""
        self._finishes: dict[float | str, str] = {}
        """The finish reason to put in for each choice if the upstream leaves it out; empty if the choice has one."""
        self._text = text or RelayedText()
        self._is_malformed = False
        self.has_content = False
        self.is_finished = False
        self.is_heavy = False
        self.usage: Usage | None = None
        self.finish_reason: str | None = None
        self.content_events = 0
        self.error: errors.UpstreamError | None = None

    @property
    def produced_tokens(self) -> int:
        return max(self.content_events, estimate_tokens(self._text.chars))

    @property
    def buffered_bytes(self) -> int:
        return self._splitter.buffered_bytes

    def feed(self, data: bytes) -> bytes:
        if self.is_finished:
            return b""
        block = self._splitter.feed(data)
        if not block:
            self.is_heavy = self._splitter.buffered_bytes > LARGE_EVENT_BYTES
            return b""
        self.is_heavy = False
        try:
            check_utf8(block)
        except errors.UpstreamMalformed as error:
            return self._relay_until(block, error)
        return self._relay(block) if self.has_content else self._inspect(block)

    def _relay_until(self, block: bytes, error: errors.UpstreamMalformed) -> bytes:
        """Relay the valid events at the beginning of a block that is not valid UTF-8."""
        valid = block[: last_boundary(block[: valid_utf8_bytes(block)])]
        out = b""
        if valid:
            out = self._relay(valid) if self.has_content else self._inspect(valid)
        if not out:
            raise error
        return out if self.is_finished else self._end_malformed(error, out)

    def _end_malformed(self, error: errors.UpstreamMalformed, out: bytes) -> bytes:
        """Return what came before a malformed event. `end` raises its error."""
        self.error, self.is_finished = error.with_traceback(None), True
        self._is_malformed = True
        return out

    def fail(self, error: errors.GatewayError) -> bytes:
        return encode_error_event(error)

    def _relay(self, block: bytes) -> bytes:
        """Relay events after the first content. The events before the first one to read are relayed as a block."""
        cut = _last_events(block) if block.endswith(_END) else len(block)
        if not self._is_plain(block[:cut]):
            found = _MATTERS.search(block)
            cut = 0 if found is None else block.rfind(b"\n\n", 0, found.start()) + 2
            if not self._is_plain(block[:cut]):
                return self._inspect(block)
        plain = self._without_null_usage(block[:cut])
        if cut == len(block):
            return plain
        try:
            return plain + self._inspect(block[cut:])
        except errors.UpstreamMalformed as error:
            if not plain:
                raise
            return self._end_malformed(error, plain)

    def _is_plain(self, block: bytes) -> bool:
        """Return whether all events of a block are plain. If so, they are counted, and their text is checked."""
        text = self._text
        if text.is_read and self._check is not _check_none and (count := text.take_plain(block)) is not None:
            self.content_events += count
            return True
        chunks = plain_chunks(block, self._check)
        if chunks is None:
            return False
        if not (count := len(chunks)):
            return True  # comments
        self.content_events += count
        text.unread.append(block)
        text.unread_bytes += len(block)
        text.unread_events += count
        if text.unread_bytes > text.max_unread_bytes:
            text.settle()
        return True

    def _inspect(self, block: bytes) -> bytes:
        out: list[bytes] = []
        at = 0
        for event, data in iterate_data(block):
            had_content = self.has_content
            at += len(event)
            try:
                relayed = _checked(event) if data is None else self._read_event(event, data)
            except errors.UpstreamMalformed as error:
                if not had_content or not out:
                    raise
                return self._end_malformed(error, b"".join(out))
            if self.is_finished:
                break
            if relayed:
                out.append(relayed)
            if self.has_content and not had_content:
                out, self._held = self._held + out, []
                try:
                    out.append(self._relay(block[at:]))
                except errors.UpstreamMalformed as error:
                    return self._end_malformed(error, b"".join(out))
                break
        if not self.has_content and not self.is_finished:
            self._hold(out)
            return b""
        released, self._held = self._held + out, []
        return b"".join(released)

    def _hold(self, events: list[bytes]) -> None:
        self._held += events
        self._held_bytes += sum(map(len, events))
        if self._held_bytes > _MAX_HELD_BYTES:
            raise errors.UpstreamMalformed(
                f"The upstream's stream has no content in its first {_MAX_HELD_BYTES} bytes."
            )

    def _read_event(self, event: bytes, data: bytes) -> bytes:
        """Read one event, and return what the client gets for it."""
        if (stripped := data.strip()) == _DONE:
            return self._read_done(event)
        if not stripped:
            return _KEEP_ALIVE  # Clients cannot decode an event whose data is empty.
        try:
            chunk = _decode_chunk.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise errors.UpstreamMalformed(
                f"The upstream sent an invalid chat completion chunk: {describe_json_error(error)}."
            ) from None
        if chunk.error:
            return self._end_with_error(decode_error_in_stream(data), event)
        return self._read_chunk(event, data, chunk)

    def _read_done(self, event: bytes) -> bytes:
        """Read the terminator. A finish that the upstream has left out is put in.

        It is not recorded: whether the answer is complete is unknown.
        """
        if not self.has_content:
            raise errors.UpstreamMalformed("The upstream's stream ended without an answer.")
        terminator = event if event.endswith(b"\n\n") else _END
        if any(self._finishes.values()):
            self._text.check_finish()
            missing = {index: reason for index, reason in self._finishes.items() if reason}
            self.finish_reason = None
            terminator = b"".join(_finish_event(self._first_chunk, *each) for each in missing.items()) + terminator
        self.is_finished, self._tail = True, terminator
        return b""

    def _read_chunk(self, event: bytes, data: bytes, chunk: _Chunk) -> bytes:
        if chunk.usage is not NOT_REPORTED:
            self.usage = read_usage(chunk.usage) or self.usage
            if not chunk.choices and bytes(chunk.usage).startswith(b"{"):
                return event if self._keeps_usage else b""
        if not chunk.choices:
            if chunk.choices is None and (error := _error_without_answer(event, data)) is not None:
                return self._end_with_error(error, encode_error_event(error))
            return event
        if not self._first_chunk:
            self._first_chunk = data
        if self._complete_calls(chunk.choices):
            event = _with_calls(data, chunk.choices)
        return self._read_choices(event, chunk.choices)

    def _complete_calls(self, choices: list[_Choice]) -> bool:
        """Complete the tool calls in place. Returns whether anything was missing."""
        is_changed = False
        for choice in choices:
            if choice.delta is not None and choice.delta.tool_calls:
                calls = self._calls.setdefault(choice.index or 0, CallCompletion())
                is_changed = calls.complete(choice.delta.tool_calls) or is_changed
                if calls.is_renumbering:
                    self._check = _check_none
        return is_changed

    def _read_choices(self, event: bytes, choices: list[_Choice]) -> bytes:
        if is_joint := len(choices) > 1:
            self._text.add(event)
        for choice in choices:
            index = choice.index or 0
            if index or (choice.delta is not None and (choice.delta.tool_calls or choice.delta.function_call)):
                self._note_unusual(choice, index)
            elif index not in self._finishes:
                self._finishes[index] = "stop"
            if choice.finish_reason or choice.error:
                if (error := _failure(choice)) is not None:
                    return self._end_with_error(error, event + encode_error_event(error))
                self._read_finish(choice, index, b"" if is_joint else event)
            elif choice.text or (choice.delta is not None and _has_content(choice.delta)):
                self.has_content = True
                self.content_events += 1
                if not is_joint:
                    self._text.add(event)
        return self._without_null_usage(event)

    def _note_unusual(self, choice: _Choice, index: float | str) -> None:
        """Note that there are several choices, or that a choice has tool calls."""
        if index:
            self._check = _check_none
        elif self._check is _check_plain:
            self._check = _check_plain_calls
        delta = choice.delta
        if delta is None or not (delta.tool_calls or delta.function_call):
            self._finishes.setdefault(index, "stop")
        elif self._finishes.get(index) != "":
            self._finishes[index] = "tool_calls" if delta.tool_calls else "function_call"

    def _read_finish(self, choice: _Choice, index: float | str, event: bytes) -> None:
        reason = choice.finish_reason
        if event and (choice.text or (choice.delta is not None and _has_content(choice.delta))):
            self._text.add(event)
        self._text.check_finish(index, is_at_limit=reason == "length")
        self._finishes[index] = ""
        self.finish_reason = reason
        self.has_content = True

    def _end_with_error(self, error: errors.UpstreamError, event: bytes) -> bytes:
        """Raise the error if there is no content yet; otherwise end the stream with its event."""
        if not self.has_content:
            raise error
        self.error, self.is_finished, self._tail = error, True, event
        return b""

    def _without_null_usage(self, block: bytes) -> bytes:
        """Remove `"usage": null`, which OpenAI adds to every chunk because of the opt-in, for clients without it.

        The pattern cannot match inside a JSON string, because quotes are escaped there.
        """
        if self._keeps_usage or not contains(block, b'"usage"'):
            return block
        return _NULL_USAGE.sub(b"", block)

    def end(self) -> bytes:
        if not self.is_finished and (rest := self._splitter.rest()).strip():
            check_utf8(rest)
            out = self._inspect(rest if rest.endswith(b"\n\n") else rest.rstrip(b"\r\n") + b"\n\n")
        else:
            out = b""
        if self._is_malformed and self.error is not None:
            raise self.error
        if self.is_finished:
            return b"".join(self._held) + out + self._tail
        if self.finish_reason is None or any(self._finishes.values()):
            raise errors.UpstreamMalformed("The upstream's stream was cut off: it ended without a finish reason.")
        return out + _END


def _with_calls(data: bytes, choices: list[_Choice]) -> bytes:
    """Return the event with the completed tool calls of its choices."""
    chunk = msgspec.json.decode(data)
    for raw, choice in zip(chunk["choices"], choices, strict=True):
        if choice.delta is not None and choice.delta.tool_calls:
            raw["delta"]["tool_calls"] = choice.delta.tool_calls
    return b"data: " + msgspec.json.encode(chunk) + b"\n\n"


def _finish_event(first_chunk: bytes, index: float | str, reason: str) -> bytes:
    """Return the event with the finish reason that a choice lacks, with the members of the stream's first chunk."""
    chunk = msgspec.json.decode(first_chunk)
    finish: dict[str, Any] = {"index": index, "finish_reason": reason}
    has_text = any("text" in choice for choice in chunk["choices"])
    chunk["choices"] = [{**finish, "text": "", "logprobs": None} if has_text else {**finish, "delta": {}}]
    chunk.pop("usage", None)
    return b"data: " + msgspec.json.encode(chunk) + b"\n\n"


def _last_events(block: bytes) -> int:
    """Return the offset of the events at the end of a stream that are never plain."""
    at = len(block) - 2
    for _ in range(_LAST_EVENTS):
        at = block.rfind(b"\n\n", 0, at)
        if at < 0:
            return 0
    return at + 2


def _checked(event: bytes) -> bytes:
    """Return an event without data, such as a comment. Raises `UpstreamMalformed` for one of another format."""
    is_one_line = event.startswith(_COMMENT_STARTS) and event.find(b"\n") >= len(event) - 2
    if not is_one_line and has_foreign_lines(event):
        raise _not_an_event_stream(event)
    return event


def _error_without_answer(event: bytes, data: bytes) -> errors.UpstreamError | None:
    """Return the error that an event without choices reports by its data or its type."""
    if (error := error_without_answer(data)) is not None:
        return error
    return decode_error_in_stream(data) if _ERROR_TYPE.match(event) else None


def _failure(choice: _Choice) -> errors.UpstreamError | None:
    """Return the error of a choice that has failed."""
    if choice.error:
        return decode_error_in_stream(msgspec.json.encode({"error": choice.error}))
    return failed_finish(choice.finish_reason) if choice.finish_reason in FAILED_FINISHES else None


def _not_an_event_stream(text: bytes) -> errors.UpstreamError:
    """Return the error for something else than an event stream, such as an error document with HTTP status 200."""
    try:
        document = _decode_chunk.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        document = None
    if document is not None and document.error:
        return decode_error_in_stream(text)
    return errors.UpstreamMalformed("The upstream's response is not an event stream.")


def _has_content(delta: _Delta) -> bool:
    return bool(
        delta.content
        or delta.tool_calls
        or delta.reasoning_content
        or delta.reasoning
        or delta.refusal
        or delta.function_call
        or delta.audio
    )
