"""Reads streams of ConverseStream, which are binary messages with one JSON event each.

Order: messageStart; for each block contentBlockStart (tools only), contentBlockDelta, contentBlockStop; messageStop;
metadata. Source: AWS, "ConverseStreamOutput".
"""

import base64
import binascii
from typing import Any, Final

import msgspec
from msgspec import Struct

from intellirouter.core import errors, new_id
from intellirouter.core.json_errors import describe_json_error
from intellirouter.dialects.bedrock.event_stream import Message, MessageReader
from intellirouter.dialects.bedrock.upstream_content import DIALECT
from intellirouter.dialects.bedrock.upstream_errors import decode_stream_error
from intellirouter.dialects.bedrock.upstream_response import (
    malformed,
    read_citation,
    read_image,
    read_stop,
    read_usage,
    require_text,
)
from intellirouter.dialects.ir import (
    ArgumentsDelta,
    ChoiceFinished,
    CitationDelta,
    Event,
    Foreign,
    Opaque,
    PartEnded,
    ReasoningDelta,
    ReasoningToken,
    StreamEnded,
    StreamFailed,
    StreamStarted,
    TextDelta,
    ToolCallStarted,
    UsageUpdate,
    WholePart,
)
from intellirouter.dialects.wire import large_json


class _Event(Struct):
    """The members of all kinds of events."""

    index: int = msgspec.field(default=0, name="contentBlockIndex")
    start: dict[str, Any] | None = None
    delta: dict[str, Any] | None = None
    stop_reason: str | None = msgspec.field(default=None, name="stopReason")
    additional_fields: Any = msgspec.field(default=None, name="additionalModelResponseFields")
    usage: dict[str, Any] | None = None


class _Block(Struct):
    """An open block. The pieces of tokens and images are collected until the block ends."""

    part: int
    kind: str
    signature: list[str] = msgspec.field(default_factory=list)
    redacted: list[str] = msgspec.field(default_factory=list)
    image: list[str] = msgspec.field(default_factory=list)
    format: str = ""


_decoder: Final = msgspec.json.Decoder(_Event)


class ConverseStreamDecoder:
    """Implements `protocols.StreamDecoder`."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._reader = MessageReader()
        self._blocks: dict[int, _Block] = {}
        self._part_count = 0
        self._has_started = False
        self._has_stopped = False
        self._is_finished = False

    @property
    def buffered_bytes(self) -> int:
        return self._reader.buffered_bytes

    def feed(self, data: bytes) -> list[Event]:
        events: list[Event] = []
        try:
            for message in self._reader.messages(data):
                if self._is_finished:
                    break
                self._read_message(message, events)
        except errors.UpstreamError as error:
            events.append(StreamFailed(error=error))
        return events

    def end(self) -> list[Event]:
        if self._is_finished:
            return []
        try:
            self._reader.end()
        except errors.UpstreamMalformed as error:
            return [StreamFailed(error=error)]
        if not self._has_stopped:
            cut_off = errors.UpstreamMalformed("The upstream's event stream ended without `messageStop`.")
            return [StreamFailed(error=cut_off)]
        self._is_finished = True
        return [StreamEnded()]

    def _read_message(self, message: Message, events: list[Event]) -> None:
        headers = message.headers
        if headers.get(":message-type", "event") != "event":
            raise decode_stream_error(headers, message.payload)
        kind = str(headers.get(":event-type"))
        handler = _HANDLERS.get(kind)
        if handler is None:
            if kind.endswith("Exception"):  # Some proxies write exceptions as events.
                raise decode_stream_error({":exception-type": kind, **headers}, message.payload)
            return  # an unknown event
        if self._has_stopped and handler is not _HANDLERS["metadata"]:
            raise malformed("it continues after `messageStop`")
        try:
            event = large_json.decode_as(_decoder, message.payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise malformed(describe_json_error(error)) from None
        if not self._has_started:
            self._has_started = True
            events.append(StreamStarted())
        try:
            handler(self, event, events)
        except (AttributeError, TypeError, KeyError):
            raise malformed("an event is malformed") from None

    def on_message_start(self, event: _Event, events: list[Event]) -> None:
        """Ignore the event, which contains only the role."""

    def on_block_start(self, event: _Event, events: list[Event]) -> None:
        for kind, value in (event.start or {}).items():
            if kind == "toolUse" and value.get("type") is None:
                block = self._open_block(event.index, kind, events)
                call_id = value.get("toolUseId") or new_id("call_")
                events.append(
                    ToolCallStarted(id=require_text(call_id), name=require_text(value["name"]), part=block.part)
                )
            elif kind == "image":
                self._open_block(event.index, kind, events).format = require_text(value.get("format") or "")
            elif value is not None:
                block = self._open_block(event.index, "foreign", events)
                foreign = Foreign(dialect=DIALECT, kind=kind, raw=value)
                events.append(WholePart(value=foreign, part=block.part))

    def on_block_delta(self, event: _Event, events: list[Event]) -> None:
        for kind, value in (event.delta or {}).items():
            if value is None:
                continue
            if kind in {"text", "citation"}:
                part = self._open_block(event.index, "text", events).part
                if kind == "text":
                    events.append(TextDelta(text=require_text(value), part=part))
                else:
                    events.append(CitationDelta(citation=read_citation(value), part=part))
            elif kind == "toolUse":
                self._read_arguments(event.index, value, events)
            elif kind == "reasoningContent":
                self._read_reasoning(self._open_block(event.index, kind, events), value, events)
            elif kind == "image":
                source = value.get("source") or {}
                self._open_block(event.index, kind, events).image.append(require_text(source.get("bytes") or ""))

    def _read_arguments(self, index: int, value: dict[str, Any], events: list[Event]) -> None:
        block = self._blocks.get(index)
        if block is not None and block.kind == "toolUse":
            events.append(ArgumentsDelta(text=require_text(value.get("input") or ""), part=block.part))
        elif block is None or block.kind != "foreign":
            raise malformed("it has arguments of a tool call that has not started")

    def _read_reasoning(self, block: _Block, value: dict[str, Any], events: list[Event]) -> None:
        if (text := value.get("text")) is not None:
            events.append(ReasoningDelta(text=require_text(text), part=block.part))
        if (signature := value.get("signature")) is not None:
            block.signature.append(require_text(signature))
        if (redacted := value.get("redactedContent")) is not None:
            block.redacted.append(require_text(redacted))

    def on_block_stop(self, event: _Event, events: list[Event]) -> None:
        if (block := self._blocks.pop(event.index, None)) is not None:
            self._close_block(block, events)

    def on_message_stop(self, event: _Event, events: list[Event]) -> None:
        self._close_all_blocks(events)
        if not event.stop_reason and not self._part_count:
            raise errors.UpstreamMalformed("The upstream's stream ended without an answer.")
        self._has_stopped = True
        events.append(ChoiceFinished(stop=read_stop(event.stop_reason or "", event.additional_fields)))

    def on_metadata(self, event: _Event, events: list[Event]) -> None:
        if (usage := read_usage(event.usage)) is not None:
            events.append(UsageUpdate(usage=usage))
        if self._has_stopped:
            self._is_finished = True
            events.append(StreamEnded())

    def _open_block(self, index: int, kind: str, events: list[Event]) -> _Block:
        """Return the open block of this index, or open a new one if there is none of this kind."""
        block = self._blocks.get(index)
        if block is None or block.kind != kind:
            if block is not None:
                self._close_block(block, events)
            block = self._blocks[index] = _Block(part=self._part_count, kind=kind)
            self._part_count += 1
        return block

    def _close_all_blocks(self, events: list[Event]) -> None:
        for block in self._blocks.values():
            self._close_block(block, events)
        self._blocks.clear()

    def _close_block(self, block: _Block, events: list[Event]) -> None:
        if block.redacted or block.signature:
            is_redacted = bool(block.redacted)
            value = _join_base64(block.redacted) if is_redacted else "".join(block.signature)
            token = Opaque(value, self._origin, DIALECT)
            events.append(ReasoningToken(token=token, part=block.part, is_redacted=is_redacted))
        if block.kind == "image" and any(block.image):
            media = read_image(block.format or None, {"bytes": _join_base64(block.image)})
            events.append(WholePart(value=media, part=block.part))
        events.append(PartEnded(part=block.part))


def _join_base64(pieces: list[str]) -> str:
    """Return several base64 strings as the base64 of their joined bytes."""
    if len(pieces) == 1:
        return pieces[0]
    try:
        return base64.b64encode(b"".join(base64.b64decode(piece) for piece in pieces)).decode()
    except (binascii.Error, ValueError):
        raise malformed("it contains invalid base64") from None


_HANDLERS: Final = {
    "messageStart": ConverseStreamDecoder.on_message_start,
    "contentBlockStart": ConverseStreamDecoder.on_block_start,
    "contentBlockDelta": ConverseStreamDecoder.on_block_delta,
    "contentBlockStop": ConverseStreamDecoder.on_block_stop,
    "messageStop": ConverseStreamDecoder.on_message_stop,
    "metadata": ConverseStreamDecoder.on_metadata,
}
