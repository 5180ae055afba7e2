"""Reads the stream of an upstream as events of the intermediate form.

Most content arrives in deltas. Content that an upstream sends only in a `.done` event, in `output_item.done` or in the
final response is emitted then, and nothing is emitted twice. Items are identified by their id, or by `output_index` if
an upstream changes the ids.
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
    StreamFailed,
    StreamStarted,
    TextDelta,
    ToolCallStarted,
    UsageUpdate,
    WholePart,
)
from intellirouter.dialects.openai.upstream_errors import decode_error_in_stream, error_without_answer
from intellirouter.dialects.openai_responses.client_content import read_citation
from intellirouter.dialects.openai_responses.fields import DIALECT
from intellirouter.dialects.openai_responses.upstream_events import RESPONSE_EVENTS, WireEvent, decode_event
from intellirouter.dialects.openai_responses.upstream_response import (
    ResponseBody,
    as_text,
    read_arguments,
    read_body,
    read_failure,
    read_incomplete_reason,
    read_reasoning,
    read_usage,
)
from intellirouter.dialects.wire.lenient import as_int, text_in
from intellirouter.dialects.wire.sse import EventReader


class _PartState(Struct):
    """What has been emitted of one part."""

    number: int
    """The `part` of its events."""
    pieces: list[str] = field(default_factory=list)
    emitted_chars: int = 0
    citation_count: int = 0
    is_ended: bool = False

    def add(self, text: str) -> None:
        self.pieces.append(text)
        self.emitted_chars += len(text)

    def missing_text(self, whole: str) -> str:
        """Return the end of the complete text that has not been emitted; empty if it contradicts what was emitted."""
        if len(whole) <= self.emitted_chars:
            return ""  # Without a comparison, because upstreams may send any number of complete texts.
        self.pieces = ["".join(self.pieces)]
        return whole[self.emitted_chars :] if whole.startswith(self.pieces[0]) else ""


class _ItemState(Struct):
    """One output item, and what has been emitted of it."""

    id: str = ""
    kind: str = ""
    name: str = ""
    call_id: str = ""
    call: _PartState | None = None
    early_arguments: list[str] = field(default_factory=list)
    """Arguments that arrived before the name of the call."""
    contents: dict[tuple[str, int], _PartState] = field(default_factory=dict)
    """By kind (`text`, `refusal`) and content index."""
    reasoning: _PartState | None = None
    summaries: dict[int, _PartState] = field(default_factory=dict)
    is_done: bool = False


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
        self._part_count = 0
        self._items_by_id: dict[str, _ItemState] = {}
        self._items_by_index: dict[int, _ItemState] = {}

    @property
    def buffered_bytes(self) -> int:
        return self._reader.buffered_bytes

    def feed(self, data: bytes) -> list[Event]:
        return self._read_events(self._reader.feed(data))

    def end(self) -> list[Event]:
        events = self._read_events(self._reader.end())
        if not (self._is_ended or (events and isinstance(events[-1], StreamFailed))):
            cut_off = errors.UpstreamMalformed("The upstream's stream ended before `response.completed`.")
            events.append(StreamFailed(error=cut_off))
        return events

    def _read_events(self, documents: list[bytes]) -> list[Event]:
        count = 0
        try:
            for data in documents:
                if not self._is_ended and data and data != b"[DONE]":
                    self._read_event(data)
                count += 1
            if self._reader.has_failed and not self._is_ended:
                self._reader.check(_decode_error_event)
        except errors.UpstreamError as error:
            self._events.append(StreamFailed(error=error, read_documents=count))
        events, self._events = self._events, []
        return events

    def _read_event(self, data: bytes) -> None:
        try:
            event = decode_event(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            message = f"The upstream sent an event that is not a JSON object: {data[:300].decode('utf-8', 'replace')}"
            raise errors.UpstreamMalformed(errors.as_sentence(message)) from None
        handler = _HANDLERS.get(event.type) if isinstance(event.type, str) else None
        if handler is not None:  # unknown events are ignored
            if not self._has_begun and event.type not in RESPONSE_EVENTS:
                self._start_response(ResponseBody())
            handler(self, event)
        elif event.error:
            raise decode_error_in_stream(data)
        elif event.type is None and (error := error_without_answer(data)) is not None:
            raise error

    # events of the response

    def on_started(self, event: WireEvent) -> None:
        if not self._has_begun:
            self._start_response(read_body(event.response) or ResponseBody())

    def _start_response(self, body: ResponseBody) -> None:
        self._has_begun = True
        tier = as_text(body.service_tier)
        started = StreamStarted(
            id=as_text(body.id),
            model=as_text(body.model),
            created_s=as_int(body.created_at),
            service_tier="" if tier == "auto" else tier,
        )
        self._events.append(started)

    def on_finished(self, event: WireEvent) -> None:
        """Read the terminator, such as `response.completed`, which contains the complete response."""
        body = read_body(event.response) or ResponseBody()
        if not self._has_begun:
            self._start_response(body)
        items = body.output if isinstance(body.output, list) else []
        for index, item in enumerate(items):
            if isinstance(item, dict):
                state = self._find_item(text_in(item, "id"), index)
                if not state.is_done:
                    self._finish_item(state, item)
        usage = read_usage(body.usage)
        if usage is not None:
            self._events.append(UsageUpdate(usage=usage))
        elif not self._part_count and event.type in {"response.completed", "response.done"}:
            raise errors.UpstreamMalformed("The upstream's stream ended without an answer.")
        self._events += [ChoiceFinished(stop=self._read_stop(event, body)), StreamEnded()]
        self._is_ended = True

    def _read_stop(self, event: WireEvent, body: ResponseBody) -> Stop:
        if event.type == "response.incomplete" or body.status == "incomplete":
            details = body.incomplete_details
            return read_incomplete_reason(text_in(details, "reason") if isinstance(details, dict) else "")
        raw = as_text(body.status) or "completed"
        if raw == "cancelled":
            return Stop(reason="cancelled", raw=raw)
        if self._has_calls:
            return Stop(reason="tool_calls", raw=raw)
        return Stop(reason="refusal" if self._has_refusal else "stop", raw=raw)

    def on_failed(self, event: WireEvent) -> None:
        body = read_body(event.response) or ResponseBody()
        raise read_failure(body.error)

    def on_error(self, event: WireEvent) -> None:
        """Read an `error` event. Its members are flat in the reference, but some upstreams put them into `error`."""
        if isinstance(event.error, dict):
            raise read_failure(event.error)
        raise read_failure({"code": event.code, "message": event.message, "param": event.param})

    # events of items

    def _find_item(self, item_id: str, index: Any) -> _ItemState:
        """Return the state of an item, which is created if neither the id nor the index is known."""
        item = self._items_by_id.get(item_id) if item_id else None
        position = index if isinstance(index, int) else len(self._items_by_index)
        if item is None:
            item = self._items_by_index.get(position)
        if item is None:
            item = self._items_by_index[position] = _ItemState(id=item_id)
        if item_id:
            self._items_by_id[item_id] = item
        return item

    def _item_of(self, event: WireEvent) -> _ItemState:
        return self._find_item(as_text(event.item_id), event.output_index)

    def _new_part(self) -> _PartState:
        self._part_count += 1
        return _PartState(self._part_count - 1)

    def on_item_added(self, event: WireEvent) -> None:
        raw = event.item
        if not isinstance(raw, dict):
            return
        item_id = text_in(raw, "id")
        index = event.output_index if isinstance(event.output_index, int) else len(self._items_by_index)
        known = self._items_by_index.get(index)
        if known is not None and known.kind and item_id and known.id != item_id:
            del self._items_by_index[index]  # some upstreams give all items the same index
        self._identify_item(self._find_item(item_id, index), raw)

    def _identify_item(self, item: _ItemState, raw: dict[str, Any]) -> None:
        """Store the kind and the names of the item. A tool call starts as soon as its name is known."""
        item.kind = item.kind or text_in(raw, "type")
        item.name = item.name or text_in(raw, "name")
        item.call_id = item.call_id or text_in(raw, "call_id")
        if item.kind not in {"function_call", "custom_tool_call"} or item.call is not None or not item.name:
            return
        item.call = self._new_part()
        self._has_calls = True
        started = ToolCallStarted(
            id=item.call_id or text_in(raw, "id") or new_id("call_"),
            name=item.name,
            part=item.call.number,
            kind="function" if item.kind == "function_call" else "custom",
            item_id=text_in(raw, "id"),
        )
        self._events.append(started)
        for text in item.early_arguments:
            self._emit_arguments(item, text)

    def on_item_done(self, event: WireEvent) -> None:
        raw = event.item
        if isinstance(raw, dict):
            item = self._find_item(text_in(raw, "id"), event.output_index)
            if not item.is_done:
                self._finish_item(item, raw)

    def _finish_item(self, item: _ItemState, raw: dict[str, Any]) -> None:
        """Emit what is missing of the complete item, and end its parts."""
        item.is_done = True
        kind = text_in(raw, "type")
        if kind == "message":
            contents = raw.get("content")
            for index, content in enumerate(contents if isinstance(contents, list) else ()):
                self._finish_content(item, index, content)
        elif kind == "reasoning":
            self._finish_reasoning(item, raw)
        elif kind in {"function_call", "custom_tool_call"}:
            self._finish_call(item, raw)
        else:
            part = self._new_part()
            self._events.append(WholePart(value=Foreign(dialect=DIALECT, kind=kind, raw=raw), part=part.number))
            self._end_part(part)
        for part in item.contents.values():
            self._end_part(part)

    def _end_part(self, part: _PartState) -> None:
        if not part.is_ended:
            part.is_ended = True
            self._events.append(PartEnded(part=part.number))

    # text, refusals and citations

    def _content_part(self, item: _ItemState, kind: str, index: int) -> _PartState:
        part = item.contents.get((kind, index))
        if part is None:
            part = item.contents[kind, index] = self._new_part()
        return part

    def on_text_delta(self, event: WireEvent) -> None:
        if isinstance(event.delta, str):
            part = self._content_part(self._item_of(event), "text", as_int(event.content_index))
            self._emit_text(part, event.delta, event.logprobs)

    def _emit_text(self, part: _PartState, text: str, logprobs: Any = None) -> None:
        part.add(text)
        tokens = logprobs if isinstance(logprobs, list) and logprobs else None
        self._events.append(TextDelta(text=text, part=part.number, logprobs=tokens))

    def on_text_done(self, event: WireEvent) -> None:
        content = {"type": "output_text", "text": event.text, "logprobs": event.logprobs}
        self._complete_content(self._item_of(event), as_int(event.content_index), content)

    def on_refusal_delta(self, event: WireEvent) -> None:
        if isinstance(event.delta, str):
            part = self._content_part(self._item_of(event), "refusal", as_int(event.content_index))
            self._emit_refusal(part, event.delta)

    def _emit_refusal(self, part: _PartState, text: str) -> None:
        self._has_refusal = True
        part.add(text)
        self._events.append(RefusalDelta(text=text, part=part.number))

    def on_refusal_done(self, event: WireEvent) -> None:
        content = {"type": "refusal", "refusal": event.refusal}
        self._complete_content(self._item_of(event), as_int(event.content_index), content)

    def on_annotation_added(self, event: WireEvent) -> None:
        part = self._content_part(self._item_of(event), "text", as_int(event.content_index))
        self._emit_citation(part, event.annotation)

    def _emit_citation(self, part: _PartState, annotation: Any) -> None:
        citation = read_citation(annotation)
        if citation is not None:
            part.citation_count += 1
            self._events.append(CitationDelta(citation=citation, part=part.number))

    def on_content_done(self, event: WireEvent) -> None:
        item = self._item_of(event)
        if isinstance(event.part, dict) and item.kind != "reasoning":
            self._finish_content(item, as_int(event.content_index), event.part)

    def _finish_content(self, item: _ItemState, index: int, content: Any) -> None:
        part = self._complete_content(item, index, content) if isinstance(content, dict) else None
        if part is not None:
            self._end_part(part)

    def _complete_content(self, item: _ItemState, index: int, content: dict[str, Any]) -> _PartState | None:
        """Emit what is missing of a complete content part."""
        kind = content.get("type")
        if kind == "refusal":
            part = self._content_part(item, "refusal", index)
            missing = part.missing_text(text_in(content, "refusal"))
            if missing or not part.pieces:
                self._emit_refusal(part, missing)
            return part
        if kind != "output_text":
            return None
        part = self._content_part(item, "text", index)
        missing = part.missing_text(text_in(content, "text"))
        if missing or not part.pieces:
            self._emit_text(part, missing, content.get("logprobs") if not part.pieces else None)
        annotations = content.get("annotations")
        for annotation in annotations[part.citation_count :] if isinstance(annotations, list) else ():
            self._emit_citation(part, annotation)
        return part

    # reasoning

    def _reasoning_part(self, item: _ItemState) -> _PartState:
        item.kind = "reasoning"
        if item.reasoning is None:
            item.reasoning = self._new_part()
        return item.reasoning

    def _emit_reasoning(self, item: _ItemState, text: str) -> None:
        part = self._reasoning_part(item)
        part.add(text)
        self._events.append(ReasoningDelta(text=text, part=part.number))

    def _emit_summary(self, item: _ItemState, text: str, index: int) -> None:
        number = self._reasoning_part(item).number
        item.summaries.setdefault(index, _PartState(number)).add(text)
        self._events.append(ReasoningDelta(text=text, part=number, is_summary=True, summary_index=index))

    def on_reasoning_delta(self, event: WireEvent) -> None:
        if isinstance(event.delta, str):
            self._emit_reasoning(self._item_of(event), event.delta)

    def on_summary_delta(self, event: WireEvent) -> None:
        if isinstance(event.delta, str):
            self._emit_summary(self._item_of(event), event.delta, as_int(event.summary_index))

    def on_summary_done(self, event: WireEvent) -> None:
        self._complete_summary(self._item_of(event), as_int(event.summary_index), as_text(event.text))

    def _complete_summary(self, item: _ItemState, index: int, whole: str) -> None:
        summary = item.summaries.get(index)
        missing = whole if summary is None else summary.missing_text(whole)
        if summary is None or missing:
            self._emit_summary(item, missing, index)

    def _finish_reasoning(self, item: _ItemState, raw: dict[str, Any]) -> None:
        whole = read_reasoning(raw, self._origin)
        for index, summary in enumerate(whole.summary):
            self._complete_summary(item, index, summary)
        missing = item.reasoning.missing_text(whole.text) if item.reasoning is not None else whole.text
        if missing:
            self._emit_reasoning(item, missing)
        if whole.token is not None:
            number = self._reasoning_part(item).number
            self._events.append(ReasoningToken(token=whole.token, part=number, id=whole.id))
        if item.reasoning is not None:
            self._end_part(item.reasoning)

    # tool calls

    def on_arguments_delta(self, event: WireEvent) -> None:
        if isinstance(event.delta, str):
            self._emit_arguments(self._item_of(event), event.delta)

    def _emit_arguments(self, item: _ItemState, text: str) -> None:
        if item.call is None:
            item.early_arguments.append(text)
            return
        item.call.add(text)
        self._events.append(ArgumentsDelta(text=text, part=item.call.number))

    def on_arguments_done(self, event: WireEvent) -> None:
        whole = event.arguments if event.type == "response.function_call_arguments.done" else event.input
        self._complete_arguments(self._item_of(event), read_arguments(whole))

    def _complete_arguments(self, item: _ItemState, whole: str) -> None:
        if item.call is not None and (missing := item.call.missing_text(whole)):
            self._emit_arguments(item, missing)

    def _finish_call(self, item: _ItemState, raw: dict[str, Any]) -> None:
        self._identify_item(item, raw)
        if item.call is None:
            raise errors.UpstreamMalformed("The upstream's stream contains a tool call without a `name`.")
        self._complete_arguments(
            item, read_arguments(raw.get("arguments" if item.kind == "function_call" else "input"))
        )
        self._end_part(item.call)


def _decode_error_event(data: bytes) -> errors.UpstreamError:
    """Return the error of an event of the type `error`, whose data may have any form."""
    try:
        document = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        document = None
    source = document.get("error") or document if isinstance(document, dict) else None
    if isinstance(source, dict) and isinstance(source.get("message"), str):
        return read_failure(source)
    return decode_error_in_stream(data)


_HANDLERS: Final[dict[str, Callable[[ResponsesStreamDecoder, WireEvent], None]]] = {
    "response.created": ResponsesStreamDecoder.on_started,
    "response.queued": ResponsesStreamDecoder.on_started,
    "response.in_progress": ResponsesStreamDecoder.on_started,
    "response.completed": ResponsesStreamDecoder.on_finished,
    "response.done": ResponsesStreamDecoder.on_finished,
    "response.incomplete": ResponsesStreamDecoder.on_finished,
    "response.cancelled": ResponsesStreamDecoder.on_finished,
    "response.failed": ResponsesStreamDecoder.on_failed,
    "error": ResponsesStreamDecoder.on_error,
    "response.error": ResponsesStreamDecoder.on_error,
    "response.output_item.added": ResponsesStreamDecoder.on_item_added,
    "response.output_item.done": ResponsesStreamDecoder.on_item_done,
    "response.content_part.done": ResponsesStreamDecoder.on_content_done,
    "response.output_text.delta": ResponsesStreamDecoder.on_text_delta,
    "response.output_text.done": ResponsesStreamDecoder.on_text_done,
    "response.output_text.annotation.added": ResponsesStreamDecoder.on_annotation_added,
    "response.refusal.delta": ResponsesStreamDecoder.on_refusal_delta,
    "response.refusal.done": ResponsesStreamDecoder.on_refusal_done,
    "response.reasoning_text.delta": ResponsesStreamDecoder.on_reasoning_delta,
    "response.reasoning_summary_text.delta": ResponsesStreamDecoder.on_summary_delta,
    "response.reasoning_summary_text.done": ResponsesStreamDecoder.on_summary_done,
    "response.function_call_arguments.delta": ResponsesStreamDecoder.on_arguments_delta,
    "response.function_call_arguments.done": ResponsesStreamDecoder.on_arguments_done,
    "response.custom_tool_call_input.delta": ResponsesStreamDecoder.on_arguments_delta,
    "response.custom_tool_call_input.done": ResponsesStreamDecoder.on_arguments_done,
}
