"""Writes one answer, event by event: the client's stream, and by the same rules the whole response.

Order of the wire: `response.created`, `response.in_progress`, items by `output_index` (thoughts and messages are
closed before the next item begins, parallel calls may interleave), then `response.completed`, `.incomplete` or
`.failed`, which is the terminator: there is no `[DONE]`. `sequence_number` counts from 0 without gaps.
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
from intellirouter.dialects.openai_responses.response_envelope import Frame, Outcome, error_of, outcome_of, usage_of

_SEQUENCE_NUMBER: Final = re.compile(rb'"sequence_number"[ ]*:[ ]*(\d{1,9})')
"""In a text, its quotes would be escaped."""
_IN_PROGRESS: Final = Outcome("in_progress")
_encode: Final = msgspec.json.Encoder().encode


class ResponseWriter:
    """Implements `protocols.StreamEncoder`; `finish` gives the whole response."""

    def __init__(self, call: Call, losses: LossReport) -> None:
        self._asked = call
        self._response_id = new_id("resp_")
        self._losses = losses
        self._out: list[bytes] = []
        self._sequence = 0
        self._has_begun = False
        self._items: list[OutputItem] = []
        self._by_part: dict[int, OutputItem] = {}
        self._stop: Stop | None = None
        self._usage: Usage | None = None

    @property
    def response_id(self) -> str:
        """The id that the client sees."""
        return self._response_id

    @cached_property
    def _frame(self) -> Frame:
        """Made when something is written: beside a relay, nothing usually is."""
        return Frame(self._asked, self._response_id)

    def encode(self, events: Sequence[Event]) -> bytes:
        for event in events:
            self._take(event)
        return self._flushed()

    def end(self) -> bytes:
        response = self.finish()
        self._send(f"response.{response['status']}", {"response": response})
        return self._flushed()

    def fail(self, error: errors.GatewayError) -> bytes:
        if self._has_begun:
            outcome = Outcome("failed", error=error_of(error))
            output = [item.final for item in self._items if item.final is not None]
            self._send("response.failed", {"response": self._frame.response(outcome, output, None)})
        else:
            self._send("error", {"code": error.code, "message": error.message, "param": error.param})
        return self._flushed()

    def resume(self, block: bytes) -> None:
        """See `route.ResumingEncoder`."""
        if numbers := _SEQUENCE_NUMBER.findall(block):
            self._sequence = int(numbers[-1]) + 1

    def finish(self) -> dict[str, Any]:
        """Close what is open and return the whole response."""
        self._begin(StreamStarted())
        has_refusal = any(isinstance(item, MessageItem) and item.has_refusal for item in self._items)
        outcome = outcome_of(self._stop, has_refusal=has_refusal)
        if not self._items and outcome.status == "completed":
            self._open_message(0).add_text(0, "", None)
        last = len(self._items) - 1
        for index, item in enumerate(self._items):
            if item.final is None:
                item.close(outcome.item_status if index == last else "completed")
        self._frame.completed_s = max(int(time.time()), self._frame.created_s)
        return self._frame.response(outcome, [item.final for item in self._items], usage_of(self._usage))

    def _flushed(self) -> bytes:
        out, self._out = b"".join(self._out), []
        return out

    def _send(self, kind: str, members: dict[str, Any]) -> None:
        event = {"type": kind, "sequence_number": self._sequence, **members}
        self._sequence += 1
        self._out.append(b"event: %b\ndata: %b\n\n" % (kind.encode(), _encode(event)))

    def _begin(self, event: StreamStarted) -> None:
        if self._has_begun:
            return
        self._has_begun = True
        frame = self._frame
        frame.created_s, frame.service_tier = event.created_s or int(time.time()), event.service_tier
        response = frame.response(_IN_PROGRESS, [], None)
        self._send("response.created", {"response": response})
        self._send("response.in_progress", {"response": response})

    def _take(self, event: Event) -> None:
        if isinstance(event, StreamStarted):
            self._usage = event.usage or self._usage
            self._begin(event)
        elif isinstance(event, UsageUpdate):
            self._usage = event.usage
        elif getattr(event, "choice", 0) == 0:
            self._begin(StreamStarted())
            self._write(event)
        else:
            self._losses.add("n", "dropped", "only the first answer can be told")

    def _write(self, event: Event) -> None:  # noqa: C901 - one arm per event
        match event:
            case TextDelta():
                if event.text or event.logprobs or self._is_open(event.part, MessageItem):
                    self._open_message(event.part).add_text(event.part, event.text, event.logprobs)
            case ReasoningDelta():
                self._think(event)
            case ArgumentsDelta():
                call = self._by_part.get(event.part)
                if isinstance(call, CallItem) and call.final is None:
                    call.add(event.text)
            case ToolCallStarted():
                self._call(event)
            case PartEnded():
                if event.part in self._by_part:
                    self._by_part[event.part].is_ended = True
            case RefusalDelta():
                self._open_message(event.part).add_refusal(event.part, event.text)
            case ReasoningToken():
                self._sign(event)
            case CitationDelta():
                if not self._open_message(event.part).annotate(event.part, event.citation):
                    self._losses.dropped("output[].content[].citations")
            case WholePart():
                self._whole(event)
            case ChoiceFinished():
                self._stop = event.stop

    def _settle(self) -> None:
        """Close what comes before a new item: thoughts, messages, and calls that are whole."""
        for item in self._items:
            if item.final is None and (item.is_ended or not isinstance(item, CallItem)):
                item.close("completed")

    def _place(self, item: OutputItem, part: int) -> None:
        self._items.append(item)
        self._by_part[part] = item

    def _is_open(self, part: int, kind: type[OutputItem]) -> bool:
        item = self._by_part.get(part)
        return isinstance(item, kind) and item.final is None

    def _open_message(self, part: int) -> MessageItem:
        """Return the message that the part is in. Neighbouring texts share one; a later text opens another."""
        item = self._by_part.get(part)
        if isinstance(item, MessageItem) and item.final is None:
            return item
        last = self._items[-1] if self._items else None
        if isinstance(last, MessageItem) and last.final is None:
            self._by_part[part] = last
            return last
        self._settle()
        message = MessageItem(self._send, len(self._items))
        self._place(message, part)
        return message

    def _open_thought(self, part: int, item_id: str = "") -> ReasoningItem:
        item = self._by_part.get(part)
        if isinstance(item, ReasoningItem) and item.final is None:
            return item
        self._settle()
        thought = ReasoningItem(self._send, len(self._items), item_id)
        self._place(thought, part)
        return thought

    def _think(self, event: ReasoningDelta) -> None:
        if not event.text and not self._is_open(event.part, ReasoningItem):
            return
        thought = self._open_thought(event.part)
        # Clients show summaries; who asked for one gets another vendor's thoughts as one.
        if event.is_summary or self._frame.request.wants_summary:
            thought.add_summary(event.text, event.summary_index)
        else:
            thought.add_text(event.text)

    def _sign(self, event: ReasoningToken) -> None:
        if self._frame.request.wants_tokens:
            item_id = event.id if event.token.dialect == DIALECT else ""
            self._open_thought(event.part, item_id).sign(event.token, is_redacted=event.is_redacted)

    def _call(self, event: ToolCallStarted) -> None:
        self._settle()
        if event.token is not None and self._frame.request.wants_tokens:
            thought = ReasoningItem(self._send, len(self._items))
            thought.sign(event.token, call_id=event.id)
            self._items.append(thought)
            thought.close("completed")
        names = self._frame.names
        if event.kind == "custom":
            form: type[CallItem] = CustomCallItem
        else:
            form = UnwrappedCallItem if event.name in names.custom else CallItem
        self._place(form(self._send, len(self._items), event.id, names.client(event.name)), event.part)

    def _whole(self, event: WholePart) -> None:
        value = event.value
        if isinstance(value, Media):
            self._media(value, event.part)
        elif value.dialect == DIALECT and isinstance(value.raw, dict):
            self._settle()
            self._place(WholeItem(self._send, len(self._items), value.raw), event.part)
        else:
            self._losses.dropped(f"output[].{value.kind}")

    def _media(self, media: Media, part: int) -> None:
        if media.kind == "image" and media.source.data:
            item = {
                "id": new_id("ig_"),
                "type": "image_generation_call",
                "status": "completed",
                "result": media.source.data,
            }
            self._settle()
            self._place(WholeItem(self._send, len(self._items), item), part)
        elif media.transcript:
            self._open_message(part).add_text(part, media.transcript, None)
            self._losses.add(f"output[].{media.kind}", "converted", "its transcript")
        else:
            self._losses.dropped(f"output[].{media.kind}")


class WholeWriter(ResponseWriter):
    """Writes no events: for answers that are not streamed."""

    def _send(self, kind: str, members: dict[str, Any]) -> None:
        pass
