"""Writes a client's stream: chunks that are whole `GenerateContentResponse`s, as SSE or as one growing JSON array.

A function call is never split: its arguments wait until the call is complete. Why a candidate ended, what it cites and
the token counts are said in the last chunk, which `end` returns.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from intellirouter.core import Call, LossReport, Usage, errors, new_id
from intellirouter.dialects.gemini.citations import logprobs_out
from intellirouter.dialects.gemini.client_errors import encode_error
from intellirouter.dialects.gemini.client_response import call_out, cited_out, finish_out, parts_out, signed
from intellirouter.dialects.gemini.stop_reasons import usage_out
from intellirouter.dialects.gemini.wire import write_thought_token
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
_Place = tuple[int, int]


class ContentStream:
    """Implements `protocols.StreamEncoder`."""

    def __init__(self, call: Call, losses: LossReport, *, is_array: bool) -> None:
        self._model = call.model
        self._losses = losses
        self._is_array = is_array
        self._is_open = False
        """The array has been opened."""
        self._was_fed = False
        """Without events the upstream's bytes were relayed, and `fail` goes on after them."""
        self._id = ""
        self._usage: Usage | None = None
        self._calls: dict[_Place, tuple[ToolCallStarted, list[str]]] = {}
        self._whole_calls: set[_Place] = set()
        self._texts: dict[_Place, list[str]] = {}
        self._cited: dict[int, list[tuple[_Place, Citation]]] = {}
        self._summaries: dict[_Place, int] = {}
        self._stops: dict[int, Stop] = {}
        self._out: list[bytes] = []
        self._handlers: dict[type, Callable[[Any], None]] = {
            StreamStarted: self._begin,
            TextDelta: self._text,
            CitationDelta: self._citation,
            RefusalDelta: self._refusal,
            ReasoningDelta: self._reasoning,
            ReasoningToken: self._signature,
            ToolCallStarted: self._call,
            ArgumentsDelta: self._arguments,
            WholePart: self._whole,
            PartEnded: self._part_ended,
            ChoiceFinished: self._finish,
            UsageUpdate: self._count,
        }

    def encode(self, events: Sequence[Event]) -> bytes:
        self._was_fed = True
        for event in events:
            self._handlers[event.__class__](event)
        return self._taken()

    def end(self) -> bytes:
        self._was_fed = True
        for place in list(self._calls):
            self._say_call(place)
        candidates = [self._last(choice, stop) for choice, stop in sorted(self._stops.items())]
        self._say({"candidates": candidates} if candidates else {})
        return self._taken() + (b"\n]" if self._is_array else b"")

    def fail(self, error: errors.GatewayError) -> bytes:
        document = encode_error(error)
        if not self._is_array:
            return b"data: " + document + b"\r\n\r\n"
        start = b",\r\n" if self._is_open or not self._was_fed else b"["
        return start + document + b"\n]"

    def _taken(self) -> bytes:
        out, self._out = b"".join(self._out), []
        return out

    def _begin(self, event: StreamStarted) -> None:
        self._id = event.id
        self._usage = event.usage or self._usage

    def _text(self, event: TextDelta) -> None:
        self._texts.setdefault((event.choice, event.part), []).append(event.text)
        more: dict[str, Any] = {}
        if event.logprobs:
            more["logprobsResult"] = logprobs_out(event.logprobs)
        if event.text or event.token is not None or more:
            self._say_part(event.choice, signed({"text": event.text}, event.token), more)

    def _citation(self, event: CitationDelta) -> None:
        self._cited.setdefault(event.choice, []).append(((event.choice, event.part), event.citation))

    def _refusal(self, event: RefusalDelta) -> None:
        self._say_part(event.choice, {"text": event.text})

    def _reasoning(self, event: ReasoningDelta) -> None:
        place, text = (event.choice, event.part), event.text
        if event.is_summary and self._summaries.get(place, event.summary_index) != event.summary_index:
            text = "\n\n" + text
        self._summaries[place] = event.summary_index
        if text:
            self._say_part(event.choice, {"text": text, "thought": True})

    def _signature(self, event: ReasoningToken) -> None:
        value = write_thought_token(event.token, event.id, is_redacted=event.is_redacted)
        self._say_part(event.choice, {"text": "", "thought": True, "thoughtSignature": value})

    def _call(self, event: ToolCallStarted) -> None:
        self._calls[event.choice, event.part] = (event, [])

    def _arguments(self, event: ArgumentsDelta) -> None:
        if (call := self._calls.get((event.choice, event.part))) is not None:
            call[1].append(event.text)

    def _whole(self, event: WholePart) -> None:
        for part in parts_out(event.value, self._losses):
            self._say_part(event.choice, part)

    def _part_ended(self, event: PartEnded) -> None:
        """Say a call that is whole, once those that began before it are: calls may come interleaved."""
        self._whole_calls.add((event.choice, event.part))
        for place in [place for place in self._calls if place[0] == event.choice]:
            if place not in self._whole_calls:
                break
            self._say_call(place)

    def _finish(self, event: ChoiceFinished) -> None:
        for place in [place for place in self._calls if place[0] == event.choice]:
            self._say_call(place)
        self._stops[event.choice] = event.stop

    def _count(self, event: UsageUpdate) -> None:
        self._usage = event.usage

    def _say_call(self, place: _Place) -> None:
        if (found := self._calls.pop(place, None)) is None:
            return
        began, pieces = found
        arguments = "".join(pieces) or ("{}" if began.kind == "function" else "")
        call = ToolCall(id=began.id, name=began.name, arguments=arguments, kind=began.kind, token=began.token)
        self._say_part(place[0], call_out(call, self._losses))

    def _say_part(self, choice: int, part: dict[str, Any], more: dict[str, Any] | None = None) -> None:
        candidate: dict[str, Any] = {"content": {"parts": [part], "role": "model"}, "index": choice}
        if more:
            candidate.update(more)
        self._say({"candidates": [candidate]})

    def _last(self, choice: int, stop: Stop) -> dict[str, Any]:
        candidate: dict[str, Any] = {"content": {"parts": [{"text": ""}], "role": "model"}}
        candidate.update(finish_out(stop, self._losses))
        candidate["index"] = choice
        cited = [("".join(self._texts.get(place, ())), citation) for place, citation in self._cited.get(choice, ())]
        candidate.update(cited_out(cited))
        return candidate

    def _say(self, chunk: dict[str, Any]) -> None:
        if self._usage is not None:
            chunk["usageMetadata"] = usage_out(self._usage)
        chunk["modelVersion"] = self._model
        self._id = self._id or new_id("")
        chunk["responseId"] = self._id
        if not self._is_array:
            self._out.append(b"data: " + _encode(chunk) + b"\r\n\r\n")
            return
        self._out.append((b",\r\n" if self._is_open else b"[") + _encode(chunk))
        self._is_open = True
