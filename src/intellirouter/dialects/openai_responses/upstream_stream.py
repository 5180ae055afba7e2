"""Reads an upstream's responses stream into events of the intermediate form.

Deltas are the usual case; what a backend says only in a `.done` event, in `output_item.done` or in the final response
is emitted then, and nothing is emitted twice. Items are known by their id, or by `output_index` where ids change.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import Struct, field

from intellirouter.core import errors, new_id
from intellirouter.dialects.ir import (
    ArgumentsDelta,
    ChoiceFinished,
    CitationDelta,
    Event,
    Foreign,
    PartEnded,
    ReasoningDelta,
    ReasoningToken,
    RefusalDelta,
    Stop,
    StreamEnded,
    StreamStarted,
    TextDelta,
    ToolCallStarted,
    UsageUpdate,
    WholePart,
)
from intellirouter.dialects.openai.upstream_errors import decode_error_in_stream
from intellirouter.dialects.openai_responses.client_content import citation
from intellirouter.dialects.openai_responses.fields import DIALECT
from intellirouter.dialects.openai_responses.upstream_response import (
    Body,
    arguments_of,
    cut_stop,
    decode_usage,
    failure,
    read_body,
    reasoning_of,
    said,
)
from intellirouter.dialects.wire.lenient import as_int
from intellirouter.dialects.wire.sse import EventReader


class _Event(Struct):
    """Any event; members have the types that they have."""

    type: Any = None
    delta: Any = None
    text: Any = None
    item_id: Any = None
    output_index: Any = None
    content_index: Any = None
    summary_index: Any = None
    item: Any = None
    part: Any = None
    response: msgspec.Raw = msgspec.Raw()
    arguments: Any = None
    input: Any = None
    refusal: Any = None
    annotation: Any = None
    logprobs: Any = None
    code: Any = None
    message: Any = None
    param: Any = None
    error: Any = None


class _Piece(Struct):
    """One part that is being told."""

    number: int
    sent: list[str] = field(default_factory=list)
    citations: int = 0
    is_ended: bool = False

    def rest(self, whole: str) -> str:
        """Return what of the whole has not been told; nothing when it contradicts what has."""
        told = "".join(self.sent)
        return whole[len(told) :] if whole.startswith(told) else ""


class _Slot(Struct):
    """One output item."""

    id: str = ""
    kind: str = ""
    name: str = ""
    call_id: str = ""
    call: _Piece | None = None
    early: list[str] = field(default_factory=list)
    """Arguments that came before the call's name."""
    pieces: dict[tuple[str, int], _Piece] = field(default_factory=dict)
    """By kind (`text`, `refusal`) and content index."""
    thought: _Piece | None = None
    summaries: dict[int, _Piece] = field(default_factory=dict)
    is_done: bool = False


_decoder: Final = msgspec.json.Decoder(_Event)


class ResponsesStreamDecoder:
    """Implements `protocols.StreamDecoder`."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._reader = EventReader()
        self._events: list[Event] = []
        self._has_begun = False
        self._has_calls = False
        self._has_refusal = False
        self._is_ended = False
        self._parts = 0
        self._by_id: dict[str, _Slot] = {}
        self._by_index: dict[int, _Slot] = {}

    def feed(self, data: bytes) -> list[Event]:
        return self._read_all(self._reader.feed(data))

    def end(self) -> list[Event]:
        events = self._read_all(self._reader.end())
        if not self._is_ended:
            raise errors.UpstreamMalformed("The upstream's stream ended before `response.completed`.")
        return events

    def _read_all(self, documents: list[bytes]) -> list[Event]:
        for data in documents:
            if not self._is_ended and data and data != b"[DONE]":
                self._read(data)
        events, self._events = self._events, []
        return events

    def _read(self, data: bytes) -> None:
        try:
            event = _decoder.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise errors.UpstreamMalformed(
                f"The upstream sent an event that is no JSON object: {data[:300].decode('utf-8', 'replace')}"
            ) from None
        read = _READERS.get(event.type) if isinstance(event.type, str) else None
        if read is not None:
            if not self._has_begun and event.type not in _SILENT:
                self._begin(Body())
            read(self, event)
        elif event.error:
            raise decode_error_in_stream(data)

    # the answer

    def created(self, event: _Event) -> None:
        if not self._has_begun:
            self._begin(read_body(event.response) or Body())

    def _begin(self, body: Body) -> None:
        self._has_begun = True
        tier = said(body.service_tier)
        began = StreamStarted(
            id=said(body.id),
            model=said(body.model),
            created_s=as_int(body.created_at),
            service_tier="" if tier == "auto" else tier,
        )
        self._events.append(began)

    def over(self, event: _Event) -> None:
        """`response.completed` or `response.incomplete`: the terminator, with the whole response."""
        body = read_body(event.response) or Body()
        if not self._has_begun:
            self._begin(body)
        items = body.output if isinstance(body.output, list) else []
        for index, item in enumerate(items):
            if isinstance(item, dict):
                slot = self._slot(said(item.get("id")), index)
                if not slot.is_done:
                    self._finish_item(slot, item)
        usage = decode_usage(body.usage)
        if usage is not None:
            self._events.append(UsageUpdate(usage=usage))
        self._events += [ChoiceFinished(stop=self._stop(event, body)), StreamEnded()]
        self._is_ended = True

    def _stop(self, event: _Event, body: Body) -> Stop:
        if event.type == "response.incomplete" or body.status == "incomplete":
            details = body.incomplete_details
            return cut_stop(said(details.get("reason")) if isinstance(details, dict) else "")
        raw = said(body.status) or "completed"
        if raw == "cancelled":
            return Stop(reason="cancelled", raw=raw)
        if self._has_calls:
            return Stop(reason="tool_calls", raw=raw)
        return Stop(reason="refusal" if self._has_refusal else "stop", raw=raw)

    def failed(self, event: _Event) -> None:
        body = read_body(event.response) or Body()
        raise failure(body.error)

    def error(self, event: _Event) -> None:
        """An `error` event: flat by the reference, inside `error` on the wire of some backends."""
        if isinstance(event.error, dict):
            raise failure(event.error)
        raise failure({"code": event.code, "message": event.message, "param": event.param})

    # items

    def _slot(self, item_id: str, index: Any) -> _Slot:
        slot = self._by_id.get(item_id) if item_id else None
        place = index if isinstance(index, int) else len(self._by_index)
        if slot is None:
            slot = self._by_index.get(place)
        if slot is None:
            slot = self._by_index[place] = _Slot(id=item_id)
        if item_id:
            self._by_id[item_id] = slot
        return slot

    def _slot_of(self, event: _Event) -> _Slot:
        return self._slot(said(event.item_id), event.output_index)

    def _fresh(self) -> _Piece:
        self._parts += 1
        return _Piece(self._parts - 1)

    def item_added(self, event: _Event) -> None:
        item = event.item
        if not isinstance(item, dict):
            return
        item_id = said(item.get("id"))
        index = event.output_index if isinstance(event.output_index, int) else len(self._by_index)
        known = self._by_index.get(index)
        if known is not None and known.kind and item_id and known.id != item_id:
            del self._by_index[index]  # a backend that numbers all items alike
        slot = self._slot(item_id, index)
        self._name(slot, item)

    def _name(self, slot: _Slot, item: dict[str, Any]) -> None:
        """Learn what the item is; a call begins as soon as its name is known."""
        slot.kind = slot.kind or said(item.get("type"))
        slot.name = slot.name or said(item.get("name"))
        slot.call_id = slot.call_id or said(item.get("call_id"))
        if slot.kind not in {"function_call", "custom_tool_call"} or slot.call is not None or not slot.name:
            return
        slot.call = self._fresh()
        self._has_calls = True
        began = ToolCallStarted(
            id=slot.call_id or said(item.get("id")) or new_id("call_"),
            name=slot.name,
            part=slot.call.number,
            kind="function" if slot.kind == "function_call" else "custom",
            item_id=said(item.get("id")),
        )
        self._events.append(began)
        for text in slot.early:
            self._argue(slot, text)

    def item_done(self, event: _Event) -> None:
        item = event.item
        if isinstance(item, dict):
            slot = self._slot(said(item.get("id")), event.output_index)
            if not slot.is_done:
                self._finish_item(slot, item)

    def _finish_item(self, slot: _Slot, item: dict[str, Any]) -> None:
        slot.is_done = True
        kind = said(item.get("type"))
        if kind == "message":
            contents = item.get("content")
            for index, part in enumerate(contents if isinstance(contents, list) else ()):
                self._finish_content(slot, index, part)
        elif kind == "reasoning":
            self._finish_thought(slot, item)
        elif kind in {"function_call", "custom_tool_call"}:
            self._finish_call(slot, item)
        else:
            piece = self._fresh()
            self._events.append(WholePart(value=Foreign(dialect=DIALECT, kind=kind, raw=item), part=piece.number))
            self._close(piece)
        for piece in slot.pieces.values():
            self._close(piece)

    def _close(self, piece: _Piece) -> None:
        if not piece.is_ended:
            piece.is_ended = True
            self._events.append(PartEnded(part=piece.number))

    # what is said

    def _piece(self, slot: _Slot, kind: str, index: int) -> _Piece:
        piece = slot.pieces.get((kind, index))
        if piece is None:
            piece = slot.pieces[kind, index] = self._fresh()
        return piece

    def text_delta(self, event: _Event) -> None:
        if isinstance(event.delta, str):
            self._say(
                self._piece(self._slot_of(event), "text", as_int(event.content_index)), event.delta, event.logprobs
            )

    def _say(self, piece: _Piece, text: str, logprobs: Any = None) -> None:
        piece.sent.append(text)
        tokens = logprobs if isinstance(logprobs, list) and logprobs else None
        self._events.append(TextDelta(text=text, part=piece.number, logprobs=tokens))

    def text_done(self, event: _Event) -> None:
        part = {"type": "output_text", "text": event.text, "logprobs": event.logprobs}
        self._tell_rest(self._slot_of(event), as_int(event.content_index), part)

    def refusal_delta(self, event: _Event) -> None:
        if isinstance(event.delta, str):
            piece = self._piece(self._slot_of(event), "refusal", as_int(event.content_index))
            self._refuse(piece, event.delta)

    def _refuse(self, piece: _Piece, text: str) -> None:
        self._has_refusal = True
        piece.sent.append(text)
        self._events.append(RefusalDelta(text=text, part=piece.number))

    def refusal_done(self, event: _Event) -> None:
        part = {"type": "refusal", "refusal": event.refusal}
        self._tell_rest(self._slot_of(event), as_int(event.content_index), part)

    def annotation_added(self, event: _Event) -> None:
        piece = self._piece(self._slot_of(event), "text", as_int(event.content_index))
        self._cite(piece, event.annotation)

    def _cite(self, piece: _Piece, annotation: Any) -> None:
        found = citation(annotation)
        if found is not None:
            piece.citations += 1
            self._events.append(CitationDelta(citation=found, part=piece.number))

    def content_done(self, event: _Event) -> None:
        slot = self._slot_of(event)
        if isinstance(event.part, dict) and slot.kind != "reasoning":
            self._finish_content(slot, as_int(event.content_index), event.part)

    def _finish_content(self, slot: _Slot, index: int, part: Any) -> None:
        piece = self._tell_rest(slot, index, part) if isinstance(part, dict) else None
        if piece is not None:
            self._close(piece)

    def _tell_rest(self, slot: _Slot, index: int, part: dict[str, Any]) -> _Piece | None:
        """Tell what of a whole content part has not been told yet."""
        kind = part.get("type")
        if kind == "refusal":
            piece = self._piece(slot, "refusal", index)
            whole = said(part.get("refusal"))
            if (rest := piece.rest(whole)) or not piece.sent:
                self._refuse(piece, rest)
            return piece
        if kind != "output_text":
            return None
        piece = self._piece(slot, "text", index)
        if (rest := piece.rest(said(part.get("text")))) or not piece.sent:
            self._say(piece, rest, part.get("logprobs") if not piece.sent else None)
        annotations = part.get("annotations")
        for annotation in annotations[piece.citations :] if isinstance(annotations, list) else ():
            self._cite(piece, annotation)
        return piece

    # what is thought

    def _thought(self, slot: _Slot) -> _Piece:
        slot.kind = "reasoning"
        if slot.thought is None:
            slot.thought = self._fresh()
        return slot.thought

    def _think(self, slot: _Slot, text: str, summary: int | None = None) -> None:
        piece = self._thought(slot)
        if summary is None:
            piece.sent.append(text)
            self._events.append(ReasoningDelta(text=text, part=piece.number))
            return
        slot.summaries.setdefault(summary, _Piece(piece.number)).sent.append(text)
        self._events.append(ReasoningDelta(text=text, part=piece.number, is_summary=True, summary_index=summary))

    def thought_delta(self, event: _Event) -> None:
        if isinstance(event.delta, str):
            self._think(self._slot_of(event), event.delta)

    def summary_delta(self, event: _Event) -> None:
        if isinstance(event.delta, str):
            self._think(self._slot_of(event), event.delta, as_int(event.summary_index))

    def summary_done(self, event: _Event) -> None:
        self._tell_summary(self._slot_of(event), as_int(event.summary_index), said(event.text))

    def _tell_summary(self, slot: _Slot, index: int, whole: str) -> None:
        told = slot.summaries.get(index)
        if told is None or (rest := told.rest(whole)):
            self._think(slot, whole if told is None else rest, index)

    def _finish_thought(self, slot: _Slot, item: dict[str, Any]) -> None:
        whole = reasoning_of(item, self._origin)
        for index, summary in enumerate(whole.summary):
            self._tell_summary(slot, index, summary)
        rest = slot.thought.rest(whole.text) if slot.thought is not None else whole.text
        if rest:
            self._think(slot, rest)
        if whole.token is not None:
            number = self._thought(slot).number
            self._events.append(ReasoningToken(token=whole.token, part=number, id=whole.id))
        if slot.thought is not None:
            self._close(slot.thought)

    # what is called

    def call_delta(self, event: _Event) -> None:
        if isinstance(event.delta, str):
            self._argue(self._slot_of(event), event.delta)

    def _argue(self, slot: _Slot, text: str) -> None:
        if slot.call is None:
            slot.early.append(text)
            return
        slot.call.sent.append(text)
        self._events.append(ArgumentsDelta(text=text, part=slot.call.number))

    def call_done(self, event: _Event) -> None:
        whole = event.arguments if event.type == "response.function_call_arguments.done" else event.input
        self._tell_call(self._slot_of(event), arguments_of(whole))

    def _tell_call(self, slot: _Slot, whole: str) -> None:
        if slot.call is not None and (rest := slot.call.rest(whole)):
            self._argue(slot, rest)

    def _finish_call(self, slot: _Slot, item: dict[str, Any]) -> None:
        self._name(slot, item)
        if slot.call is None:
            raise errors.UpstreamMalformed("A tool call in the upstream's stream has no `name`.")
        self._tell_call(slot, arguments_of(item.get("arguments" if slot.kind == "function_call" else "input")))
        self._close(slot.call)


_READERS: Final[dict[str, Callable[[ResponsesStreamDecoder, _Event], None]]] = {
    "response.created": ResponsesStreamDecoder.created,
    "response.queued": ResponsesStreamDecoder.created,
    "response.in_progress": ResponsesStreamDecoder.created,
    "response.completed": ResponsesStreamDecoder.over,
    "response.done": ResponsesStreamDecoder.over,
    "response.incomplete": ResponsesStreamDecoder.over,
    "response.cancelled": ResponsesStreamDecoder.over,
    "response.failed": ResponsesStreamDecoder.failed,
    "error": ResponsesStreamDecoder.error,
    "response.error": ResponsesStreamDecoder.error,
    "response.output_item.added": ResponsesStreamDecoder.item_added,
    "response.output_item.done": ResponsesStreamDecoder.item_done,
    "response.content_part.done": ResponsesStreamDecoder.content_done,
    "response.output_text.delta": ResponsesStreamDecoder.text_delta,
    "response.output_text.done": ResponsesStreamDecoder.text_done,
    "response.output_text.annotation.added": ResponsesStreamDecoder.annotation_added,
    "response.refusal.delta": ResponsesStreamDecoder.refusal_delta,
    "response.refusal.done": ResponsesStreamDecoder.refusal_done,
    "response.reasoning_text.delta": ResponsesStreamDecoder.thought_delta,
    "response.reasoning_summary_text.delta": ResponsesStreamDecoder.summary_delta,
    "response.reasoning_summary_text.done": ResponsesStreamDecoder.summary_done,
    "response.function_call_arguments.delta": ResponsesStreamDecoder.call_delta,
    "response.function_call_arguments.done": ResponsesStreamDecoder.call_done,
    "response.custom_tool_call_input.delta": ResponsesStreamDecoder.call_delta,
    "response.custom_tool_call_input.done": ResponsesStreamDecoder.call_done,
}
_SILENT: Final = frozenset(
    {
        "response.created",
        "response.queued",
        "response.in_progress",
        "response.completed",
        "response.done",
        "response.incomplete",
        "response.cancelled",
        "response.failed",
        "error",
        "response.error",
    }
)
"""Events that begin the answer themselves, or that end it before it began."""
