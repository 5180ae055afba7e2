"""Encoding of answers for Ollama's clients: one JSON object, or one per line. Source: Ollama's `docs/api.md`.

Durations are measured from the arrival of the request. Those of a stream follow from its lines. Of a complete response,
it is not known when the first token was generated: all of its time is `eval_duration`, because programs divide the
number of tokens by it.
"""

import time
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from intellirouter.core import Call, LossReport, Usage, errors
from intellirouter.dialects.adapt.custom_tools import INPUT_ARGUMENT
from intellirouter.dialects.ir import (
    ArgumentsDelta,
    Choice,
    ChoiceFinished,
    CitationDelta,
    Event,
    Foreign,
    Media,
    Part,
    PartEnded,
    Reasoning,
    ReasoningDelta,
    ReasoningToken,
    Refusal,
    RefusalDelta,
    Response,
    Stop,
    StreamStarted,
    Text,
    TextDelta,
    ToolCall,
    ToolCallStarted,
    UsageUpdate,
    WholePart,
)
from intellirouter.dialects.keep_alive import KeepAlive
from intellirouter.dialects.ollama.client_errors import ERRORS
from intellirouter.dialects.ollama.client_request import OllamaCall
from intellirouter.dialects.ollama.wire import DIALECT, RAW, created_text, now_ns, time_text
from intellirouter.dialects.wire.json_edit import json_string

_REASONS: Final = {"length": "length", "context_length": "length", "content_filter": "content_filter"}
"""All other reasons, including tool calls, are `stop` in Ollama's API."""
_WITHOUT_EQUIVALENT: Final = frozenset({"pause", "malformed_tool_call", "cancelled", "error"})
_encode: Final = msgspec.json.Encoder().encode
_MESSAGE: Final = b'","message":{"role":"assistant","content":'
_RESPONSE: Final = b'","response":'


def reason_of(stop: Stop | None, losses: LossReport) -> str:
    if stop is None:
        return "stop"
    if stop.reason in _WITHOUT_EQUIVALENT:
        losses.add("done_reason", "converted", stop.reason)
    return _REASONS.get(stop.reason, "stop")


def counts_of(usage: Usage | None) -> dict[str, int]:
    if usage is None:
        return {}
    return {"prompt_eval_count": usage.total_input_tokens, "eval_count": usage.total_output_tokens}


def _began_ns(call: Call) -> int:
    return call.began_ns if isinstance(call, OllamaCall) else now_ns()


def tool_call_of(call: ToolCall, index: int, losses: LossReport) -> dict[str, Any]:
    """Return the encoded call. Arguments that are not a JSON object become the member `_raw` of one."""
    arguments = {INPUT_ARGUMENT: call.arguments} if call.kind == "custom" else call.arguments_object()
    if arguments is None:
        losses.add("tool_calls[].function.arguments", "converted", f"invalid JSON object in {RAW}")
        arguments = {RAW: call.arguments}
    return {"id": call.id, "function": {"index": index, "name": call.name, "arguments": arguments}}


def body_of(response: Response, call: Call, losses: LossReport, *, is_chat: bool) -> bytes:
    """Return the body of a complete response."""
    if len(response.choices) > 1:
        losses.add("n", "dropped", "only the first choice is returned")
    choice = response.choices[0] if response.choices else Choice()
    message = _message_of(choice.parts, losses)
    logprobs = message.pop("logprobs")
    body: dict[str, Any] = {"model": response.model or call.model, "created_at": created_text(response.created_s)}
    if is_chat:
        body["message"] = {"role": "assistant", **message}
    else:
        body["response"] = message.pop("content")
        body.update(message)
    body["done"] = True
    body["done_reason"] = reason_of(choice.stop, losses)
    if logprobs:
        body["logprobs"] = logprobs
    total_ns = max(1, now_ns() - _began_ns(call))
    body.update(
        {
            "total_duration": total_ns,
            "load_duration": 0,
            "prompt_eval_duration": 0,
            "eval_duration": total_ns,
        }
    )
    body.update(counts_of(response.usage))
    if response.dialect == DIALECT:
        body.update(response.extras)
    return _encode(body)


def _message_of(parts: Iterable[Part], losses: LossReport) -> dict[str, Any]:
    text: list[str] = []
    thinking: list[str] = []
    calls: list[dict[str, Any]] = []
    images: list[str] = []
    logprobs: list[Any] = []
    for part in parts:
        match part:
            case Text():
                text.append(part.text)
                logprobs += part.logprobs or ()
                if part.citations:
                    losses.dropped("citations")
            case Refusal():
                text.append(part.text)
            case Reasoning():
                thinking.append(part.text or "\n\n".join(part.summary))
                if part.token is not None:
                    losses.dropped("thinking.signature")
            case ToolCall():
                calls.append(tool_call_of(part, len(calls), losses))
            case Media() | Foreign():
                transcripts, data = _whole_part(part, losses)
                text += transcripts
                images += data
            case _:
                pass  # A response contains no tool results.
    message: dict[str, Any] = {"content": "".join(text), "logprobs": logprobs}
    if reasoning := "".join(thinking):
        message["thinking"] = reasoning
    if images:
        message["images"] = images
    if calls:
        message["tool_calls"] = calls
    return message


def _whole_part(part: Media | Foreign, losses: LossReport) -> tuple[list[str], list[str]]:
    """Return the text and the base64 images that represent the part. Both are empty if nothing can."""
    if isinstance(part, Media):
        if part.kind == "image" and part.source.data is not None:
            return [], [part.source.data]
        if part.transcript:
            losses.add(part.kind, "converted", "its transcript")
            return [part.transcript], []
    losses.dropped(part.kind)
    return [], []


def _line_head(model: str) -> bytes:
    return b'{"model":' + json_string(model) + b',"created_at":"'


def _empty_message(call: Call, has_content: bool) -> bytes:  # noqa: ARG001, FBT001 - required by `KeepAlive.ping`
    stamp = time_text(time.time_ns()).encode()
    return b"".join((_line_head(call.model), stamp, _MESSAGE, b'""},"done":false}\n'))


def _empty_response(call: Call, has_content: bool) -> bytes:  # noqa: ARG001, FBT001
    stamp = time_text(time.time_ns()).encode()
    return b"".join((_line_head(call.model), stamp, _RESPONSE, b'"","done":false}\n'))


EMPTY_MESSAGES: Final = KeepAlive(_empty_message)
EMPTY_RESPONSES: Final = KeepAlive(_empty_response)
"""Lines without text. Clients parse every line, so there is nothing that they ignore."""


class LineStream:
    """Writes one stream of lines. Each tool call is one line. Implements `protocols.StreamEncoder`."""

    def __init__(self, call: Call, losses: LossReport, *, is_chat: bool) -> None:
        self._losses = losses
        self._head = _line_head(call.model)
        self._is_chat = is_chat
        self._open = _MESSAGE if is_chat else _RESPONSE
        self._close = b"}" if is_chat else b""
        self._held: dict[int, tuple[ToolCallStarted, list[str]]] = {}
        self._order: deque[int] = deque()
        """The parts of the calls in `_held`, in the order of their start."""
        self._complete_calls: set[int] = set()
        self._written_calls = 0
        self._summary = 0
        self._stop: Stop | None = None
        self._usage: Usage | None = None
        self._start_ns = self._last_ns = _began_ns(call)
        self._first_ns = 0

    def encode(self, events: Sequence[Event]) -> bytes:
        out: list[bytes] = []
        for event in events:
            if getattr(event, "choice", 0):
                self._losses.add("n", "dropped", "only the first choice is returned")
            elif event.__class__ is TextDelta:
                self._text(event, out)
            elif isinstance(event, ToolCallStarted | ArgumentsDelta | PartEnded):
                self._call(event, out)
            else:
                self._other(event, out)
        return b"".join(out)

    def _call(self, event: ToolCallStarted | ArgumentsDelta | PartEnded, out: list[bytes]) -> None:
        if isinstance(event, ToolCallStarted):
            if event.part not in self._held:
                self._order.append(event.part)
            self._held[event.part] = (event, [])
        elif event.part in self._held:
            if isinstance(event, ArgumentsDelta):
                self._held[event.part][1].append(event.text)
            else:
                self._complete_calls.add(event.part)
                self._write_complete_calls(out)

    def _text(self, event: TextDelta, out: list[bytes]) -> None:
        if event.logprobs:
            out.append(self._line(event.text, after=b',"logprobs":' + _encode(event.logprobs)))
        elif event.text:
            out.append(self._line(event.text))

    def _other(self, event: Event, out: list[bytes]) -> None:
        match event:
            case ReasoningDelta():
                self._reasoning(event, out)
            case RefusalDelta():
                out.append(self._line(event.text))
            case ChoiceFinished():
                self._stop = event.stop
                self._write_calls(out)
            case UsageUpdate():
                self._usage = event.usage
            case StreamStarted():
                self._usage = event.usage or self._usage
                if event.model:
                    self._head = _line_head(event.model)
            case CitationDelta():
                self._losses.dropped("citations")
            case ReasoningToken():
                self._losses.dropped("thinking.signature")
            case WholePart():
                self._whole(event, out)
            case _:
                pass

    def _reasoning(self, event: ReasoningDelta, out: list[bytes]) -> None:
        text = event.text
        if event.is_summary and event.summary_index != self._summary:
            self._summary, text = event.summary_index, "\n\n" + text
        if text:
            out.append(self._line("", inside=b',"thinking":' + _encode(text)))

    def _whole(self, event: WholePart, out: list[bytes]) -> None:
        text, images = _whole_part(event.value, self._losses)
        if images:
            out.append(self._line("", inside=b',"images":' + _encode(images)))
        elif text:
            out.append(self._line(text[0]))

    def _write_complete_calls(self, out: list[bytes]) -> None:
        """Write the calls that are complete, in the order of their start. Their events may be interleaved."""
        while self._order and self._order[0] in self._complete_calls:
            self._write_call(self._order.popleft(), out)

    def _write_calls(self, out: list[bytes]) -> None:
        for part in sorted(self._held):
            self._write_call(part, out)
        self._order.clear()

    def _write_call(self, part: int, out: list[bytes]) -> None:
        start, pieces = self._held.pop(part)
        call = ToolCall(id=start.id, name=start.name, arguments="".join(pieces), kind=start.kind)
        encoded = tool_call_of(call, self._written_calls, self._losses)
        self._written_calls += 1
        out.append(self._line("", inside=b',"tool_calls":' + _encode([encoded])))

    def _line(self, text: str, *, inside: bytes = b"", after: bytes = b"") -> bytes:
        now_ns = self._now()
        self._first_ns = self._first_ns or now_ns
        stamp = time_text(now_ns).encode()
        return b"".join((self._head, stamp, self._open, _encode(text), inside, self._close, after, b',"done":false}\n'))

    def _now(self) -> int:
        """Return the time, which never decreases, even if the clock of the machine is set back."""
        self._last_ns = max(self._last_ns, now_ns())
        return self._last_ns

    def end(self) -> bytes:
        out: list[bytes] = []
        self._write_calls(out)
        now_ns = self._now()
        first_ns = self._first_ns or now_ns
        tail: dict[str, Any] = {
            "done": True,
            "done_reason": reason_of(self._stop, self._losses),
            "total_duration": max(1, now_ns - self._start_ns),
            "load_duration": 0,
            "prompt_eval_duration": first_ns - self._start_ns,
            "eval_duration": max(1, now_ns - first_ns),
            **counts_of(self._usage),
        }
        stamp = time_text(now_ns).encode()
        out += [self._head, stamp, self._open, b'""', self._close, b",", _encode(tail)[1:], b"\n"]
        return b"".join(out)

    def fail(self, error: errors.GatewayError) -> bytes:
        return ERRORS.encode_event(error)
