"""The relay of an OpenAI chat stream: bytes pass; events are looked at only where something may matter.

Until the first content event nothing is released, so that failover stays silent. Then whole events are relayed as
they came; one regular expression finds those with a finish, usage, an error or the end in them.
"""

import re
from typing import Any, Final

import msgspec
from msgspec import Struct

from intellirouter.core import Usage, errors
from intellirouter.dialects.openai.errors import decode_error_in_stream, encode_error_event
from intellirouter.dialects.openai.usage import NOT_REPORTED, decode_usage
from intellirouter.dialects.wire.sse import EventSplitter, check_utf8, event_data, has_foreign_lines, split_events

_MATTERS: Final = re.compile(rb'"usage"[ ]*:[ ]*\{|"error"[ ]*:|"finish_reason"[ ]*:[ ]*"')
_DONE: Final = b"[DONE]"
_END: Final = b"data: [DONE]\n\n"
_UNASKED_USAGE: Final = re.compile(rb',[ ]*"usage"[ ]*:[ ]*null')
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
    delta: _Delta | None = None
    finish_reason: str | None = None
    text: Any = None


class _Chunk(Struct):
    choices: list[_Choice] | None = None
    usage: msgspec.Raw = NOT_REPORTED
    error: Any = None


class _AnyObject(Struct):
    """Decoding it checks that a text is one JSON object, and builds nothing of it."""


_decode_chunk: Final = msgspec.json.Decoder(_Chunk)
_check_objects: Final = msgspec.json.Decoder(_AnyObject).decode_lines


class ChatStreamRelay:
    """Implements `protocols.StreamRelay`. `keeps_usage`: the client asked for the usage chunk itself."""

    __slots__ = (
        "_held",
        "_held_bytes",
        "_keeps_usage",
        "_splitter",
        "_tail",
        "content_events",
        "error",
        "finish_reason",
        "has_content",
        "is_finished",
        "usage",
    )

    def __init__(self, *, keeps_usage: bool) -> None:
        self._keeps_usage = keeps_usage
        self._splitter = EventSplitter()
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._tail = b""
        self.has_content = False
        self.is_finished = False
        self.usage: Usage | None = None
        self.finish_reason: str | None = None
        self.content_events = 0
        self.error: errors.UpstreamError | None = None

    def feed(self, data: bytes) -> bytes:
        if self.is_finished:
            return b""
        block = self._splitter.feed(data)
        if not block:
            return b""
        check_utf8(block)
        return self._relayed(block) if self.has_content else self._look_into(block)

    def fail(self, error: errors.GatewayError) -> bytes:
        return encode_error_event(error)

    def _relayed(self, block: bytes) -> bytes:
        """Relay what comes after the first content: the events before the first that may matter go together."""
        found = _MATTERS.search(block)
        cut = len(block) if found is None else block.rfind(b"\n\n", 0, found.start()) + 2
        plain = block[:cut]
        if not (count := _plain_events(plain)):
            return self._look_into(block)
        self.content_events += count
        plain = self._without_null_usage(plain)
        return plain if found is None else plain + self._look_into(block[cut:])

    def _look_into(self, block: bytes) -> bytes:
        out: list[bytes] = []
        at = 0
        for event in split_events(block):
            had_content = self.has_content
            at += len(event)
            kept = self._take(event)
            if self.is_finished:
                break
            if kept:
                out.append(kept)
            if self.has_content and not had_content:
                out, self._held = self._held + out, []
                out.append(self._relayed(block[at:]))
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
            raise errors.UpstreamMalformed("The upstream's stream brings no content.")

    def _take(self, event: bytes) -> bytes:
        """Read one event; return what the client gets of it."""
        data = event_data(event)
        if data is None:
            if has_foreign_lines(event):
                raise _no_event_stream(event)
            return event  # a comment or keep-alive
        if data.strip() == _DONE:
            self.is_finished, self._tail = True, event if event.endswith(b"\n\n") else _END
            return b""
        try:
            chunk = _decode_chunk.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise errors.UpstreamMalformed(f"The upstream sent a stream event that is no chunk: {error}") from None
        if chunk.error:
            return self._take_error(event, data)
        return self._take_chunk(event, chunk)

    def _take_chunk(self, event: bytes, chunk: _Chunk) -> bytes:
        usage = decode_usage(chunk.usage)
        if usage is not None:
            self.usage = usage
        if not chunk.choices:
            if usage is not None and not self._keeps_usage:
                return b""
            return event
        for choice in chunk.choices:
            if choice.finish_reason:
                self.finish_reason = choice.finish_reason
                self.has_content = True
            elif choice.text or (choice.delta is not None and _says_something(choice.delta)):
                self.has_content = True
                self.content_events += 1
        return self._without_null_usage(event)

    def _take_error(self, event: bytes, data: bytes) -> bytes:
        error = decode_error_in_stream(data)
        if not self.has_content:
            raise error
        self.error, self.is_finished, self._tail = error, True, event
        return b""

    def _without_null_usage(self, block: bytes) -> bytes:
        """Our opt-in makes OpenAI say `usage: null` in every chunk; a client that did not ask would not see that.

        The pattern cannot match inside a JSON string, where quotes are escaped.
        """
        if self._keeps_usage or b'"usage"' not in block:
            return block
        return _UNASKED_USAGE.sub(b"", block)

    def end(self) -> bytes:
        if not self.is_finished and (rest := self._splitter.rest()).strip():
            check_utf8(rest)
            out = self._look_into(rest if rest.endswith(b"\n\n") else rest.rstrip(b"\r\n") + b"\n\n")
        else:
            out = b""
        if self.is_finished:
            return b"".join(self._held) + out + self._tail
        if self.finish_reason is None:
            raise errors.UpstreamMalformed("The upstream's stream ended without a finish.")
        return out + _END


def _plain_events(block: bytes) -> int:
    """Return how many events a block has when each is one data line with one JSON object; otherwise 0.

    Twice as fast as a pattern of the lines' shape, which would let broken JSON pass.
    """
    lines = block[5:].replace(b"\n\ndata:", b"\n")
    count = (len(block) - 5 - len(lines)) // 6 + 1
    # Two line ends an event, all of them accounted for: no other line stands between.
    if b"\r" in block or not block.startswith(b"data:") or block.count(b"\n") != 2 * count or block[-2:] != b"\n\n":
        return 0
    try:
        return count if len(_check_objects(lines)) == count else 0
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return 0  # looked at one by one: a comment, the end, or what is malformed


def _no_event_stream(text: bytes) -> errors.UpstreamError:
    """Some vendors answer a stream's request with a plain error document under HTTP 200: it says what is wrong."""
    try:
        document = _decode_chunk.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        document = None
    if document is not None and document.error:
        return decode_error_in_stream(text)
    return errors.UpstreamMalformed("The upstream's answer is no event stream.")


def _says_something(delta: _Delta) -> bool:
    return bool(
        delta.content
        or delta.tool_calls
        or delta.reasoning_content
        or delta.reasoning
        or delta.refusal
        or delta.function_call
        or delta.audio
    )
