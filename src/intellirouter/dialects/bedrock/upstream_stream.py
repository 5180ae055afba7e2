"""Streams of ConverseStream: binary messages, one JSON event each. Source: AWS, "ConverseStreamOutput".

Order: messageStart; per block contentBlockStart (tools only), deltas, contentBlockStop; messageStop; metadata.
"""

import base64
import binascii
from typing import Any, Final

import msgspec
from msgspec import Struct

from intellirouter.core import errors, new_id
from intellirouter.dialects.bedrock.event_stream import Message, MessageReader
from intellirouter.dialects.bedrock.upstream_content import DIALECT
from intellirouter.dialects.bedrock.upstream_errors import error_in_stream
from intellirouter.dialects.bedrock.upstream_response import citation_of, image_of, malformed, stop_of, usage_of
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
    StreamStarted,
    TextDelta,
    ToolCallStarted,
    UsageUpdate,
    WholePart,
)


class _Event(Struct):
    """The members of all kinds of events."""

    index: int = msgspec.field(default=0, name="contentBlockIndex")
    start: dict[str, Any] | None = None
    delta: dict[str, Any] | None = None
    stop_reason: str | None = msgspec.field(default=None, name="stopReason")
    more: Any = msgspec.field(default=None, name="additionalModelResponseFields")
    usage: dict[str, Any] | None = None


class _Block(Struct):
    """One block that has begun. A token comes in pieces, and goes out whole."""

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
        self._parts = 0
        self._has_begun = False
        self._has_stopped = False
        self._is_over = False

    def feed(self, data: bytes) -> list[Event]:
        events: list[Event] = []
        for message in self._reader.feed(data):
            if not self._is_over:
                self._take(message, events)
        return events

    def end(self) -> list[Event]:
        if self._is_over:
            return []
        self._reader.end()
        if not self._has_stopped:
            raise errors.UpstreamMalformed("The upstream's event stream ended without `messageStop`.")
        self._is_over = True
        return [StreamEnded()]

    def _take(self, message: Message, events: list[Event]) -> None:
        headers = message.headers
        if headers.get(":message-type", "event") != "event":
            raise error_in_stream(headers, message.payload)
        take = _TAKES.get(str(headers.get(":event-type")))
        if take is None:
            return  # an event of a newer version
        if self._has_stopped and take is not _TAKES["metadata"]:
            raise malformed("it goes on after `messageStop`")
        try:
            event = _decoder.decode(message.payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise malformed(error) from None
        if not self._has_begun:
            self._has_begun = True
            events.append(StreamStarted())
        try:
            take(self, event, events)
        except (AttributeError, TypeError, KeyError) as error:
            raise malformed(f"an event has not the form of one ({error})") from None

    def message_start(self, event: _Event, events: list[Event]) -> None:
        """Nothing but that there is an answer."""

    def block_start(self, event: _Event, events: list[Event]) -> None:
        for kind, value in (event.start or {}).items():
            if kind == "toolUse" and value.get("type") is None:
                block = self._block(event.index, kind, events)
                call_id = value.get("toolUseId") or new_id("call_")
                events.append(ToolCallStarted(id=_text(call_id), name=_text(value["name"]), part=block.part))
            elif kind == "image":
                self._block(event.index, kind, events).format = _text(value.get("format") or "")
            elif value is not None:
                block = self._block(event.index, "foreign", events)
                foreign = Foreign(dialect=DIALECT, kind=kind, raw=value)
                events.append(WholePart(value=foreign, part=block.part))

    def block_delta(self, event: _Event, events: list[Event]) -> None:
        for kind, value in (event.delta or {}).items():
            if value is None:
                continue
            if kind in {"text", "citation"}:
                part = self._block(event.index, "text", events).part
                if kind == "text":
                    events.append(TextDelta(text=_text(value), part=part))
                else:
                    events.append(CitationDelta(citation=citation_of(value), part=part))
            elif kind == "toolUse":
                self._arguments(event.index, value, events)
            elif kind == "reasoningContent":
                self._think(self._block(event.index, kind, events), value, events)
            elif kind == "image":
                source = value.get("source") or {}
                self._block(event.index, kind, events).image.append(_text(source.get("bytes") or ""))

    def _arguments(self, index: int, value: dict[str, Any], events: list[Event]) -> None:
        block = self._blocks.get(index)
        if block is not None and block.kind == "toolUse":
            events.append(ArgumentsDelta(text=_text(value.get("input") or ""), part=block.part))
        elif block is None or block.kind != "foreign":
            raise malformed("arguments of a tool call that has not begun")

    def _think(self, block: _Block, value: dict[str, Any], events: list[Event]) -> None:
        if (text := value.get("text")) is not None:
            events.append(ReasoningDelta(text=_text(text), part=block.part))
        if (signature := value.get("signature")) is not None:
            block.signature.append(_text(signature))
        if (redacted := value.get("redactedContent")) is not None:
            block.redacted.append(_text(redacted))

    def block_stop(self, event: _Event, events: list[Event]) -> None:
        if (block := self._blocks.pop(event.index, None)) is not None:
            self._close(block, events)

    def message_stop(self, event: _Event, events: list[Event]) -> None:
        self._close_all(events)
        self._has_stopped = True
        events.append(ChoiceFinished(stop=stop_of(event.stop_reason or "", event.more)))

    def metadata(self, event: _Event, events: list[Event]) -> None:
        if (usage := usage_of(event.usage)) is not None:
            events.append(UsageUpdate(usage=usage))
        if self._has_stopped:
            self._is_over = True
            events.append(StreamEnded())

    def _block(self, index: int, kind: str, events: list[Event]) -> _Block:
        """Return the open block of this index; a new one where it is of another kind."""
        block = self._blocks.get(index)
        if block is None or block.kind != kind:
            if block is not None:
                self._close(block, events)
            block = self._blocks[index] = _Block(part=self._parts, kind=kind)
            self._parts += 1
        return block

    def _close_all(self, events: list[Event]) -> None:
        for block in self._blocks.values():
            self._close(block, events)
        self._blocks.clear()

    def _close(self, block: _Block, events: list[Event]) -> None:
        if block.redacted or block.signature:
            is_redacted = bool(block.redacted)
            value = _joined(block.redacted) if is_redacted else "".join(block.signature)
            token = Opaque(value, self._origin, DIALECT)
            events.append(ReasoningToken(token=token, part=block.part, is_redacted=is_redacted))
        if block.kind == "image" and any(block.image):
            media = image_of(block.format or None, {"bytes": _joined(block.image)})
            events.append(WholePart(value=media, part=block.part))
        events.append(PartEnded(part=block.part))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value


def _joined(pieces: list[str]) -> str:
    """Return the base64 of bytes that came in several pieces of base64."""
    if len(pieces) == 1:
        return pieces[0]
    try:
        return base64.b64encode(b"".join(base64.b64decode(piece) for piece in pieces)).decode()
    except (binascii.Error, ValueError) as error:
        raise malformed(f"bytes that are no base64 ({error})") from None


_TAKES: Final = {
    "messageStart": ConverseStreamDecoder.message_start,
    "contentBlockStart": ConverseStreamDecoder.block_start,
    "contentBlockDelta": ConverseStreamDecoder.block_delta,
    "contentBlockStop": ConverseStreamDecoder.block_stop,
    "messageStop": ConverseStreamDecoder.message_stop,
    "metadata": ConverseStreamDecoder.metadata,
}
