"""Reads the stream of an upstream.

Blocks may start with text or input and may lack a start or stop event. Blocks of an unknown type are collected and
emitted when they end.
"""

from operator import attrgetter
from typing import Annotated, Any, ClassVar, Final, Literal

import msgspec
from msgspec import Meta, Struct

from intellirouter.core import errors
from intellirouter.core.json_errors import describe_json_error
from intellirouter.dialects.anthropic_messages.client_blocks import foreign_part, read_citation
from intellirouter.dialects.anthropic_messages.client_errors import parse_json
from intellirouter.dialects.anthropic_messages.stop_reasons import UsageCounts, implied_stop, read_stop
from intellirouter.dialects.anthropic_messages.upstream_errors import decode_error_document, decode_error_event
from intellirouter.dialects.anthropic_messages.upstream_response import read_response_part, signature_token
from intellirouter.dialects.error_causes import is_error_document
from intellirouter.dialects.ir import (
    ArgumentsDelta,
    ChoiceFinished,
    CitationDelta,
    Event,
    PartEnded,
    Reasoning,
    ReasoningDelta,
    ReasoningToken,
    StreamEnded,
    StreamFailed,
    StreamStarted,
    Text,
    TextDelta,
    ToolCall,
    ToolCallStarted,
    UsageUpdate,
    WholePart,
)
from intellirouter.dialects.wire.large_json import LARGE_BYTES, decode_as
from intellirouter.dialects.wire.lenient import reported, text_in
from intellirouter.dialects.wire.sse import EventReader, data_lines


class _Delta(Struct):
    type: str | None = None
    text: str | None = None
    partial_json: str | None = None
    thinking: str | None = None
    signature: str | None = None
    citation: Any = None
    content: Any = None
    encrypted_content: Any = None
    stop_reason: str | None = None
    stop_sequence: Any = None
    stop_details: Any = None


class _WireEvent(Struct):
    type: str | None = None
    index: int = 0
    message: dict[str, Any] | None = None
    content_block: dict[str, Any] | None = None
    delta: _Delta | None = None
    usage: dict[str, Any] | None = None
    error: Any = None


class _PlainDelta(Struct, gc=False):
    type: Literal["text_delta"]
    text: Annotated[str, Meta(min_length=1)]


class _PlainEvent(Struct, gc=False):
    """A piece of text. Decoding any other event as this type fails."""

    type: Literal["content_block_delta"]
    delta: _PlainDelta
    index: int = 0


_PLAIN_TYPE: Final = b"event: content_block_delta\n"
_PLAIN_START: Final = _PLAIN_TYPE + b"data:"
_decode_plain: Final = msgspec.json.Decoder(_PlainEvent).decode_lines
_text_of: Final = attrgetter("delta.text")
_index_of: Final = attrgetter("index")
_NO_EVENTS: Final = (b"", b"[DONE]")
"""A keep-alive of some servers, and the end of OpenAI streams, which some gateways add."""
_decoder: Final = msgspec.json.Decoder(_WireEvent)
_NO_DELTA: Final = _Delta()


class _Block:
    """An open block."""

    __slots__ = ("has_input", "input", "part", "pieces", "raw", "signature")

    def __init__(self, part: int) -> None:
        self.part = part
        self.raw: dict[str, Any] | None = None
        """The block, if it is of a type that is emitted when it ends."""
        self.input = ""
        """Arguments in the start event, which are used if no deltas follow."""
        self.has_input = False
        self.pieces: list[str] = []
        self.signature = ""


class MessageStreamDecoder:
    """Implements `protocols.StreamDecoder`."""

    def __init__(self, origin: str = "", *, joins_texts: bool = False) -> None:
        """`origin` is the endpoint that signs the reasoning of this stream.

        `joins_texts`: return one event for successive pieces of text, as far as these are fed together.
        """
        self._origin = origin
        self._joins_texts = joins_texts
        self._reader = EventReader()
        self._events: list[Event] = []
        self._blocks: dict[int, _Block] = {}
        self._part_count = 0
        self._counts = UsageCounts()
        self._has_usage = False
        self._has_calls = False
        self._has_started = False
        self._has_stop = False
        self._is_finished = False
        self._handlers = self._HANDLERS
        self._deltas = self._DELTAS

    @property
    def implied_finish(self) -> bytes:
        """The event with the stop reason, if the upstream has left it out; otherwise empty."""
        if not self._is_finished or self._has_stop:
            return b""
        reason = "tool_use" if self._has_calls else "end_turn"
        event = {
            "type": "message_delta",
            "delta": {"stop_reason": reason, "stop_sequence": None},
            "usage": {"output_tokens": self._counts.output_tokens},
        }
        return b"event: message_delta\ndata: " + msgspec.json.encode(event) + b"\n\n"

    @property
    def buffered_bytes(self) -> int:
        return self._reader.buffered_bytes

    def feed(self, data: bytes) -> list[Event]:
        if self._joins_texts and not self._reader.buffered_bytes:
            start, end = _plain_span(data)
            if start < end and (plain := _plain_events(data[start:end])):
                before = self._reader.feed(data[:start])
                events = self._read_events(before)
                if self._is_finished or (events and isinstance(events[-1], StreamFailed)):
                    return events
                events.append(self._joined(plain))
                return events + self._read_events(self._reader.feed(data[end:]), len(before) + len(plain))
        return self._read_events(self._reader.feed(data))

    def _joined(self, plain: list[_PlainEvent]) -> TextDelta:
        index = plain[0].index
        block = self._blocks.get(index) or self._open_block(index)
        return TextDelta(text="".join(map(_text_of, plain)), part=block.part, pieces=len(plain))

    def end(self) -> list[Event]:
        events = self._read_events(self._reader.end())
        if not (self._is_finished or (events and isinstance(events[-1], StreamFailed))):
            cut_off = errors.UpstreamMalformed("The upstream's stream ended without `message_stop`.")
            events.append(StreamFailed(error=cut_off))
        return events

    def _read_events(self, found: list[bytes], count: int = 0) -> list[Event]:
        """Read events. `count`: how many have been read of what was fed."""
        try:
            for data in found:
                if self._is_finished:
                    break
                self._read_event(data)
                count += 1
            if self._reader.has_failed and not self._is_finished:
                self._reader.check(decode_error_event)
        except errors.UpstreamError as error:
            self._events.append(StreamFailed(error=error, read_documents=count))
        events, self._events = self._events, []
        return events

    def _read_event(self, data: bytes) -> None:
        try:
            event = _decoder.decode(data) if len(data) <= LARGE_BYTES else decode_as(_decoder, data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            if data.strip() in _NO_EVENTS:
                return
            if is_error_document(document := parse_json(data)):
                raise decode_error_document(document, data) from None
            message = f"The upstream sent an invalid event: {describe_json_error(error)}."
            raise errors.UpstreamMalformed(message) from None
        if event.type is not None and (handler := self._handlers.get(event.type)) is not None:
            handler(self, event)
        elif event.type == "error" or (event.type is None and event.error):
            raise decode_error_document({"error": event.error or {}}, data)
        elif event.type is None and is_error_document(document := parse_json(data)):
            raise decode_error_document(document, data)
        # Pings and unknown events are ignored.

    def _on_message_start(self, event: _WireEvent) -> None:
        message = event.message or {}
        usage = message.get("usage")
        if not self._has_started:
            self._has_started = True
            self._update_usage(usage)
            tier = text_in(usage, "service_tier") if isinstance(usage, dict) else ""
            self._events.append(
                StreamStarted(
                    id=text_in(message, "id"),
                    model=text_in(message, "model"),
                    usage=reported(self._counts.usage()) if self._has_usage else None,
                    service_tier=tier,
                )
            )

    def _update_usage(self, usage: Any) -> None:
        if isinstance(usage, dict):
            self._has_usage = True
            self._counts.update(usage)

    def _on_block_start(self, event: _WireEvent) -> None:
        if event.index in self._blocks:
            self._close_block(event.index)
        block = self._open_block(event.index)
        raw = event.content_block or {}
        if not raw.get("type"):
            return
        part = read_response_part(_fill_missing_members(raw), f"content_block {event.index}", self._origin)
        match part:
            case Text():
                if part.text:
                    self._events.append(TextDelta(text=part.text, part=block.part))
                for citation in part.citations:
                    self._events.append(CitationDelta(citation=citation, part=block.part))
            case Reasoning():
                if part.is_redacted and part.token is not None:
                    self._events.append(ReasoningToken(token=part.token, part=block.part, is_redacted=True))
                elif part.text:
                    self._events.append(ReasoningDelta(text=part.text, part=block.part))
                block.signature = "" if part.is_redacted else text_in(raw, "signature")
            case ToolCall():
                self._has_calls = True
                block.input = part.arguments
                self._events.append(ToolCallStarted(id=part.id, name=part.name, part=block.part))
            case _:
                block.raw = dict(raw)

    def _open_block(self, index: int) -> _Block:
        block = self._blocks[index] = _Block(self._part_count)
        self._part_count += 1
        return block

    def _on_block_delta(self, event: _WireEvent) -> None:
        block = self._blocks.get(event.index) or self._open_block(event.index)
        delta = event.delta or _NO_DELTA
        handler = self._deltas.get(delta.type or "")
        if handler is not None:
            handler(self, block, delta)

    def _on_text(self, block: _Block, delta: _Delta) -> None:
        if delta.text:
            self._events.append(TextDelta(text=delta.text, part=block.part))

    def _on_input(self, block: _Block, delta: _Delta) -> None:
        if not delta.partial_json:
            return
        block.has_input = True
        if block.raw is not None:
            block.pieces.append(delta.partial_json)
        else:
            self._events.append(ArgumentsDelta(text=delta.partial_json, part=block.part))

    def _on_thinking(self, block: _Block, delta: _Delta) -> None:
        if delta.thinking:
            self._events.append(ReasoningDelta(text=delta.thinking, part=block.part))

    def _on_signature(self, block: _Block, delta: _Delta) -> None:
        block.signature = delta.signature or block.signature

    def _on_citation(self, block: _Block, delta: _Delta) -> None:
        if isinstance(delta.citation, dict):
            self._events.append(CitationDelta(citation=read_citation(delta.citation), part=block.part))

    def _on_compaction(self, block: _Block, delta: _Delta) -> None:
        if block.raw is not None:
            for name, value in (("content", delta.content), ("encrypted_content", delta.encrypted_content)):
                if value is not None:
                    block.raw[name] = value

    def _on_block_stop(self, event: _WireEvent) -> None:
        if event.index in self._blocks:
            self._close_block(event.index)

    def _close_block(self, index: int) -> None:
        block = self._blocks.pop(index)
        if block.raw is not None:
            if block.pieces:
                block.raw["input"] = _parse_input("".join(block.pieces))
            self._events.append(WholePart(value=foreign_part(block.raw), part=block.part))
        elif block.signature and (token := signature_token(block.signature, self._origin)) is not None:
            self._events.append(ReasoningToken(token=token, part=block.part))
        elif block.input not in {"", "{}"} and not block.has_input:
            self._events.append(ArgumentsDelta(text=block.input, part=block.part))
        self._events.append(PartEnded(part=block.part))

    def _close_all_blocks(self) -> None:
        for index in list(self._blocks):
            self._close_block(index)

    def _on_message_delta(self, event: _WireEvent) -> None:
        self._close_all_blocks()
        self._update_usage(event.usage)
        if event.usage is not None and (usage := reported(self._counts.usage())) is not None:
            self._events.append(UsageUpdate(usage=usage))
        delta = event.delta or _NO_DELTA
        if delta.stop_reason and not self._has_stop:
            self._has_stop = True
            self._events.append(
                ChoiceFinished(stop=read_stop(delta.stop_reason, delta.stop_sequence, delta.stop_details))
            )

    def _on_message_stop(self, event: _WireEvent) -> None:  # noqa: ARG002 - it is empty
        self._close_all_blocks()
        if not self._has_stop and not self._part_count:
            raise errors.UpstreamMalformed("The upstream's stream ended without an answer.")
        if not self._has_stop:
            self._events.append(ChoiceFinished(stop=implied_stop(has_calls=self._has_calls)))
        self._events.append(StreamEnded())
        self._is_finished = True

    _HANDLERS: ClassVar[dict[str, Any]] = {
        "message_start": _on_message_start,
        "content_block_start": _on_block_start,
        "content_block_delta": _on_block_delta,
        "content_block_stop": _on_block_stop,
        "message_delta": _on_message_delta,
        "message_stop": _on_message_stop,
    }
    _DELTAS: ClassVar[dict[str, Any]] = {
        "text_delta": _on_text,
        "input_json_delta": _on_input,
        "thinking_delta": _on_thinking,
        "signature_delta": _on_signature,
        "citations_delta": _on_citation,
        "compaction_delta": _on_compaction,
    }


def _plain_span(data: bytes) -> tuple[int, int]:
    """Return where the pieces of text in these bytes begin and end. Other events may be among them."""
    start, last = data.find(_PLAIN_START), data.rfind(_PLAIN_START)
    is_alone = start == 0 or data[start - 2 : start] == b"\n\n"
    return (start, data.find(b"\n\n", last) + 2) if is_alone and last > start >= 0 else (0, 0)


def _plain_events(block: bytes) -> list[_PlainEvent]:
    """Return the events if all of them are pieces of the same text; otherwise none."""
    if (lines := data_lines(block, _PLAIN_TYPE)) is None:
        return []
    data, count = lines
    try:
        events = _decode_plain(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []
    is_one_text = len(events) == count and len(set(map(_index_of, events))) == 1
    return events if is_one_text else []


def _fill_missing_members(raw: dict[str, Any]) -> dict[str, Any]:
    """Return the content block with the members that compatible servers leave out."""
    kind = raw["type"]
    return {"text": ""} | raw if kind == "text" else {"data": ""} | raw if kind == "redacted_thinking" else raw


def _parse_input(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {"_raw": text}
