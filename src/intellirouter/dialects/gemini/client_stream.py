"""Writes a client stream. Its chunks are complete `GenerateContentResponse`s, as SSE or in a JSON array.

A function call is never split: it is held back until its arguments are complete. The last chunk, which `end` returns,
contains the finish reasons, the citations and the usage.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any, ClassVar, Final

import msgspec

from intellirouter.core import Call, LossReport, Usage, errors, new_id
from intellirouter.dialects.gemini.citations import write_logprobs
from intellirouter.dialects.gemini.client_errors import encode_error
from intellirouter.dialects.gemini.client_response import (
    with_signature,
    write_call,
    write_citations,
    write_finish,
    write_parts,
)
from intellirouter.dialects.gemini.stop_reasons import write_usage
from intellirouter.dialects.gemini.wire import write_reasoning_token
from intellirouter.dialects.ir import (
    ArgumentsDelta,
    ChoiceFinished,
    Citation,
    CitationDelta,
    Event,
    PartEnded,
    ReasoningDelta,
    ReasoningToken,
    RefusalDelta,
    Stop,
    StreamStarted,
    TextDelta,
    ToolCall,
    ToolCallStarted,
    UsageUpdate,
    WholePart,
)

_encode: Final = msgspec.json.Encoder().encode
_PartKey = tuple[int, int]


class ContentStream:
    """Implements `protocols.StreamEncoder`."""

    def __init__(self, call: Call, losses: LossReport, *, is_array: bool) -> None:
        self._model = call.model
        self._losses = losses
        self._is_array = is_array
        self._is_array_open = False
        """The opening bracket of the array has been written."""
        self._has_encoded = False
        """False in a passthrough: the upstream's bytes were relayed, and `fail` continues after them."""
        self._id = ""
        self._usage: Usage | None = None
        self._calls: dict[_PartKey, tuple[ToolCallStarted, list[str]]] = {}
        self._call_order: dict[int, deque[_PartKey]] = {}
        """The keys of `_calls` by choice, in the order of their start."""
        self._ended_parts: set[_PartKey] = set()
        self._texts: dict[_PartKey, list[str]] = {}
        self._citations: dict[int, list[tuple[_PartKey, Citation]]] = {}
        self._summaries: dict[_PartKey, int] = {}
        self._stops: dict[int, Stop] = {}
        self._out: list[bytes] = []
        self._handlers = self._HANDLERS

    def encode(self, events: Sequence[Event]) -> bytes:
        self._has_encoded = True
        for event in events:
            self._handlers[event.__class__](self, event)
        return self._take_output()

    def end(self) -> bytes:
        self._has_encoded = True
        for choice in self._call_order:
            self._write_calls(choice)
        candidates = [self._last_candidate(choice, stop) for choice, stop in sorted(self._stops.items())]
        self._write_chunk({"candidates": candidates} if candidates else {})
        return self._take_output() + (b"\n]" if self._is_array else b"")

    def fail(self, error: errors.GatewayError) -> bytes:
        document = encode_error(error)
        if not self._is_array:
            return b"data: " + document + b"\r\n\r\n"
        start = b",\r\n" if self._is_array_open or not self._has_encoded else b"["
        return start + document + b"\n]"

    def _take_output(self) -> bytes:
        out, self._out = b"".join(self._out), []
        return out

    def _on_began(self, event: StreamStarted) -> None:
        self._id = event.id
        self._model = event.model or self._model
        self._usage = event.usage or self._usage

    def _on_text(self, event: TextDelta) -> None:
        self._texts.setdefault((event.choice, event.part), []).append(event.text)
        members: dict[str, Any] = {}
        if event.logprobs:
            members["logprobsResult"] = write_logprobs(event.logprobs)
        if event.text or event.token is not None or members:
            self._write_part(event.choice, with_signature({"text": event.text}, event.token), members)

    def _on_citation(self, event: CitationDelta) -> None:
        self._citations.setdefault(event.choice, []).append(((event.choice, event.part), event.citation))

    def _on_refusal(self, event: RefusalDelta) -> None:
        self._write_part(event.choice, {"text": event.text})

    def _on_reasoning(self, event: ReasoningDelta) -> None:
        key, text = (event.choice, event.part), event.text
        if event.is_summary and self._summaries.get(key, event.summary_index) != event.summary_index:
            text = "\n\n" + text
        self._summaries[key] = event.summary_index
        if text:
            self._write_part(event.choice, {"text": text, "thought": True})

    def _on_signature(self, event: ReasoningToken) -> None:
        value = write_reasoning_token(event.token, event.id, is_redacted=event.is_redacted)
        self._write_part(event.choice, {"text": "", "thought": True, "thoughtSignature": value})

    def _on_call(self, event: ToolCallStarted) -> None:
        key = (event.choice, event.part)
        if key not in self._calls:
            self._call_order.setdefault(event.choice, deque()).append(key)
        self._calls[key] = (event, [])

    def _on_arguments(self, event: ArgumentsDelta) -> None:
        if (call := self._calls.get((event.choice, event.part))) is not None:
            call[1].append(event.text)

    def _on_whole_part(self, event: WholePart) -> None:
        for part in write_parts(event.value, self._losses):
            self._write_part(event.choice, part)

    def _on_part_ended(self, event: PartEnded) -> None:
        """Write a complete call, but only after all calls that started before it, because calls may interleave."""
        self._ended_parts.add((event.choice, event.part))
        order = self._call_order.get(event.choice)
        while order and order[0] in self._ended_parts:
            self._write_call(order.popleft())

    def _on_finished(self, event: ChoiceFinished) -> None:
        self._write_calls(event.choice)
        self._stops[event.choice] = event.stop

    def _write_calls(self, choice: int) -> None:
        order = self._call_order.get(choice)
        while order:
            self._write_call(order.popleft())

    def _on_usage(self, event: UsageUpdate) -> None:
        self._usage = event.usage

    def _write_call(self, key: _PartKey) -> None:
        began, pieces = self._calls.pop(key)
        arguments = "".join(pieces) or ("{}" if began.kind == "function" else "")
        call = ToolCall(id=began.id, name=began.name, arguments=arguments, kind=began.kind, token=began.token)
        self._write_part(key[0], write_call(call, self._losses))

    def _write_part(self, choice: int, part: dict[str, Any], members: dict[str, Any] | None = None) -> None:
        candidate: dict[str, Any] = {"content": {"parts": [part], "role": "model"}, "index": choice}
        if members:
            candidate.update(members)
        self._write_chunk({"candidates": [candidate]})

    def _last_candidate(self, choice: int, stop: Stop) -> dict[str, Any]:
        candidate: dict[str, Any] = {"content": {"parts": [{"text": ""}], "role": "model"}}
        candidate.update(write_finish(stop, self._losses))
        candidate["index"] = choice
        citations = self._citations.get(choice, ())
        texts = {key: "".join(self._texts.get(key, ())) for key in {key for key, _ in citations}}
        cited = [(texts[key], citation) for key, citation in citations]
        candidate.update(write_citations(cited))
        return candidate

    def _write_chunk(self, chunk: dict[str, Any]) -> None:
        if self._usage is not None:
            chunk["usageMetadata"] = write_usage(self._usage)
        chunk["modelVersion"] = self._model
        self._id = self._id or new_id("")
        chunk["responseId"] = self._id
        if not self._is_array:
            self._out.append(b"data: " + _encode(chunk) + b"\r\n\r\n")
            return
        self._out.append((b",\r\n" if self._is_array_open else b"[") + _encode(chunk))
        self._is_array_open = True

    _HANDLERS: ClassVar[dict[type, Any]] = {
        StreamStarted: _on_began,
        TextDelta: _on_text,
        CitationDelta: _on_citation,
        RefusalDelta: _on_refusal,
        ReasoningDelta: _on_reasoning,
        ReasoningToken: _on_signature,
        ToolCallStarted: _on_call,
        ArgumentsDelta: _on_arguments,
        WholePart: _on_whole_part,
        PartEnded: _on_part_ended,
        ChoiceFinished: _on_finished,
        UsageUpdate: _on_usage,
    }
