"""Writes a client stream. Complete responses are written by the same code.

The order is `response.created`, `response.in_progress`, items by `output_index`, then the terminator, which is
`response.completed`, `.incomplete` or `.failed`; there is no `[DONE]`. Reasoning and messages are closed before the
next item begins, but parallel tool calls may interleave. `sequence_number` counts from 0 without gaps.
Source: OpenAI API reference, "Streaming events".
"""

import re
import time
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Final

import msgspec

from intellirouter.core import Call, LossReport, Usage, errors, new_id
from intellirouter.dialects.ir import (
    ArgumentsDelta,
    ChoiceFinished,
    CitationDelta,
    Event,
    Media,
    Opaque,
    PartEnded,
    ReasoningDelta,
    ReasoningToken,
    RefusalDelta,
    Stop,
    StreamStarted,
    TextDelta,
    ToolCallStarted,
    UsageUpdate,
    WholePart,
)
from intellirouter.dialects.openai_responses.client_output import (
    CallItem,
    CustomCallItem,
    MessageItem,
    OutputItem,
    ReasoningItem,
    UnwrappedCallItem,
    WholeItem,
)
from intellirouter.dialects.openai_responses.fields import DIALECT
from intellirouter.dialects.openai_responses.relayed_items import RelayedItems
from intellirouter.dialects.openai_responses.response_envelope import (
    Outcome,
    ResponseEnvelope,
    outcome_of,
    write_error,
    write_usage,
)
from intellirouter.dialects.wire.answer_estimate import estimated_usage

_SEQUENCE_NUMBER: Final = re.compile(rb'"sequence_number"[ ]*:[ ]*(\d{1,9})')
"""It cannot match inside a JSON string, where quotes are escaped."""
_IN_PROGRESS: Final = Outcome("in_progress")
_encode: Final = msgspec.json.Encoder().encode


class _Events:
    """The events that have been written. Items refer to them, not to their writer, which refers to the items."""

    def __init__(self) -> None:
        self._out: list[bytes] = []
        self.sequence = 0

    def send(self, kind: str, members: dict[str, Any]) -> None:
        event = {"type": kind, "sequence_number": self.sequence, **members}
        self.sequence += 1
        self._out.append(b"event: %b\ndata: %b\n\n" % (kind.encode(), _encode(event)))

    def taken(self) -> bytes:
        out, self._out = b"".join(self._out), []
        return out


class _NoEvents(_Events):
    def send(self, kind: str, members: dict[str, Any]) -> None:
        """Write nothing, because the response is not streamed."""


class ResponseWriter:
    """Implements `protocols.StreamEncoder` and `protocols.ResumingEncoder`. `finish` returns the complete response."""

    def __init__(self, call: Call, losses: LossReport) -> None:
        self._call = call
        self._response_id = new_id("resp_")
        self._losses = losses
        self._events = self._new_events()
        self._has_begun = False
        self._items: list[OutputItem] = []
        self._closable: list[OutputItem] = []
        """The items to close before another one begins: all open ones except incomplete tool calls."""
        self._by_part: dict[int, OutputItem] = {}
        self._stop: Stop | None = None
        self._usage: Usage | None = None
        self._relayed = RelayedItems()

    def _new_events(self) -> _Events:
        return _Events()

    @property
    def response_id(self) -> str:
        """The id that the client sees."""
        return self._response_id

    @cached_property
    def _envelope(self) -> ResponseEnvelope:
        """Built on first use, because a writer of a relayed stream usually writes nothing."""
        return ResponseEnvelope(self._call, self._response_id)

    def encode(self, events: Sequence[Event]) -> bytes:
        for event in events:
            self._process(event)
        return self._events.taken()

    def end(self) -> bytes:
        response = self.finish()
        self._events.send(f"response.{response['status']}", {"response": response})
        return self._events.taken()

    def fail(self, error: errors.GatewayError) -> bytes:
        if self._has_begun:
            outcome = Outcome("failed", error=write_error(error))
            output = [item.final for item in self._items if item.final is not None]
            self._events.send("response.failed", {"response": self._envelope.write(outcome, output, None)})
        else:
            self._events.send("error", {"code": error.code, "message": error.message, "param": error.param})
        return self._events.taken()

    def resume(self, block: bytes) -> None:
        """Implements `protocols.ResumingEncoder`."""
        if numbers := _SEQUENCE_NUMBER.findall(block):
            self._events.sequence = int(numbers[-1]) + 1

    def observe(self, block: bytes) -> None:
        """Implements `protocols.ResumingEncoder`."""
        self.resume(block)
        self._relayed.observe(block)

    @property
    def can_take_over(self) -> bool:
        """Implements `protocols.ResumingEncoder`."""
        return not self._relayed.has_complete_text

    def take_over(self, events: Sequence[Event]) -> None:
        """Implements `protocols.ResumingEncoder`. Items that are complete are those of the relayed stream."""
        sequence, relayed = self._events.sequence, self._relayed
        self._response_id = relayed.response_id or self._response_id
        self.encode([event for event in events if isinstance(event, StreamStarted)])
        for item_id, done in relayed.items.items():
            if done is None:
                message = MessageItem(self._events.send, len(self._items), item_id)
                self._items.append(message)
                self._closable.append(message)
            else:
                self._items.append(WholeItem(self._events.send, len(self._items), done))
                self._items[-1].close("completed")
        self.encode([event for event in events if isinstance(event, TextDelta)])
        self._events.sequence = sequence

    def finish(self) -> dict[str, Any]:
        """Close all items and return the complete response."""
        self._start_response(StreamStarted())
        has_refusal = any(isinstance(item, MessageItem) and item.has_refusal for item in self._items)
        outcome = outcome_of(self._stop, has_refusal=has_refusal)
        if not self._items and outcome.status == "completed":
            self._open_message(0).add_text(0, "", None)
        last = len(self._items) - 1
        for index, item in enumerate(self._items):
            if item.final is None:
                item.close(outcome.item_status if index == last else "completed")
        self._envelope.completed_s = max(int(time.time()), self._envelope.created_s)
        output = [item.final for item in self._items]
        usage = self._usage or estimated_usage(self._call, self._losses, output)
        return self._envelope.write(outcome, output, write_usage(usage))

    def _start_response(self, event: StreamStarted) -> None:
        if self._has_begun:
            return
        self._has_begun = True
        envelope = self._envelope
        envelope.created_s, envelope.service_tier = event.created_s or int(time.time()), event.service_tier
        envelope.model = event.model or envelope.model
        response = envelope.write(_IN_PROGRESS, [], None)
        self._events.send("response.created", {"response": response})
        self._events.send("response.in_progress", {"response": response})

    def _process(self, event: Event) -> None:
        if isinstance(event, StreamStarted):
            self._usage = event.usage or self._usage
            self._start_response(event)
        elif isinstance(event, UsageUpdate):
            self._usage = event.usage
        elif getattr(event, "choice", 0) == 0:
            self._start_response(StreamStarted())
            self._write_event(event)
        else:
            self._losses.add("n", "dropped", "only the first choice is returned")

    def _write_event(self, event: Event) -> None:  # noqa: C901 - one case per event
        match event:
            case TextDelta():
                if event.text or event.logprobs or self._is_open(event.part, MessageItem):
                    self._open_message(event.part).add_text(event.part, event.text, event.logprobs)
            case ReasoningDelta():
                self._write_reasoning(event)
            case ArgumentsDelta():
                call = self._by_part.get(event.part)
                if isinstance(call, CallItem) and call.final is None:
                    call.add_arguments(event.text)
            case ToolCallStarted():
                self._start_tool_call(event)
            case PartEnded():
                self._end_item(event.part)
            case RefusalDelta():
                self._open_message(event.part).add_refusal(event.part, event.text)
            case ReasoningToken():
                self._write_reasoning_token(event)
            case CitationDelta():
                if not self._open_message(event.part).add_citation(event.part, event.citation):
                    self._losses.dropped("output[].content[].citations")
            case WholePart():
                self._write_whole_part(event)
            case ChoiceFinished():
                self._stop = event.stop

    def _close_items(self) -> None:
        """Close the open items before a new one begins, except for incomplete tool calls."""
        closable, self._closable = self._closable, []
        for item in sorted(closable, key=_index) if len(closable) > 1 else closable:
            item.close("completed")

    def _add_item(self, item: OutputItem, part: int) -> None:
        self._items.append(item)
        self._by_part[part] = item
        if not isinstance(item, CallItem):
            self._closable.append(item)

    def _end_item(self, part: int) -> None:
        item = self._by_part.get(part)
        if isinstance(item, CallItem) and not item.is_ended:
            item.is_ended = True
            self._closable.append(item)

    def _is_open(self, part: int, kind: type[OutputItem]) -> bool:
        item = self._by_part.get(part)
        return isinstance(item, kind) and item.final is None

    def _open_message(self, part: int) -> MessageItem:
        """Return the message of the part. Consecutive text parts share a message; text after another item opens one."""
        item = self._by_part.get(part)
        if isinstance(item, MessageItem) and item.final is None:
            return item
        last = self._items[-1] if self._items else None
        if isinstance(last, MessageItem) and last.final is None:
            self._by_part[part] = last
            return last
        self._close_items()
        message = MessageItem(self._events.send, len(self._items))
        self._add_item(message, part)
        return message

    def _open_reasoning(self, part: int, item_id: str = "") -> ReasoningItem:
        item = self._by_part.get(part)
        if isinstance(item, ReasoningItem) and item.final is None:
            return item
        self._close_items()
        reasoning = ReasoningItem(self._events.send, len(self._items), item_id)
        self._add_item(reasoning, part)
        return reasoning

    def _write_reasoning(self, event: ReasoningDelta) -> None:
        if not event.text and not self._is_open(event.part, ReasoningItem):
            return
        reasoning = self._open_reasoning(event.part)
        # Clients show summaries, so a client that requests one gets the reasoning of other vendors as a summary.
        if event.is_summary or self._envelope.request.wants_summary:
            reasoning.add_summary(event.text, event.summary_index)
        else:
            reasoning.add_text(event.text)

    def _write_reasoning_token(self, event: ReasoningToken) -> None:
        if self._envelope.request.wants_encrypted_content:
            item_id = event.id if event.token.dialect == DIALECT else ""
            self._open_reasoning(event.part, item_id).set_token(event.token, is_redacted=event.is_redacted)

    def _start_tool_call(self, event: ToolCallStarted) -> None:
        if event.token is not None and self._envelope.request.wants_encrypted_content:
            self._write_call_token(event.token, event.id)
        self._close_items()
        names = self._envelope.names
        if event.kind == "custom":
            item_class: type[CallItem] = CustomCallItem
        else:
            item_class = UnwrappedCallItem if event.name in names.custom else CallItem
        item = item_class(self._events.send, len(self._items), event.id, names.client_name(event.name))
        self._add_item(item, event.part)

    def _write_call_token(self, token: Opaque, call_id: str) -> None:
        """Write the token of the next item, a tool call, into the reasoning item before it, or else into its own one.

        It gets none if there is other reasoning and the gateway remembers the token.
        """
        last = self._items[-1] if self._items else None
        if isinstance(last, ReasoningItem) and last.final is None and not last.has_token:
            last.set_token(token, call_id=call_id)
        elif self._call.memory is None or not any(isinstance(item, ReasoningItem) for item in self._items):
            self._close_items()
            reasoning = ReasoningItem(self._events.send, len(self._items))
            reasoning.set_token(token, call_id=call_id)
            self._items.append(reasoning)
            reasoning.close("completed")

    def _write_whole_part(self, event: WholePart) -> None:
        value = event.value
        if isinstance(value, Media):
            self._write_media(value, event.part)
        elif value.dialect == DIALECT and isinstance(value.raw, dict):
            self._close_items()
            self._add_item(WholeItem(self._events.send, len(self._items), value.raw), event.part)
        else:
            self._losses.dropped(f"output[].{value.kind}")

    def _write_media(self, media: Media, part: int) -> None:
        if media.kind == "image" and media.source.data:
            item = {
                "id": new_id("ig_"),
                "type": "image_generation_call",
                "status": "completed",
                "result": media.source.data,
            }
            self._close_items()
            self._add_item(WholeItem(self._events.send, len(self._items), item), part)
        elif media.transcript:
            self._open_message(part).add_text(part, media.transcript, None)
            self._losses.add(f"output[].{media.kind}", "converted", "its transcript")
        else:
            self._losses.dropped(f"output[].{media.kind}")


def _index(item: OutputItem) -> int:
    return item.index


class WholeResponseWriter(ResponseWriter):
    """Builds a response that is not streamed. It writes no events."""

    def _new_events(self) -> _Events:
        return _NoEvents()
