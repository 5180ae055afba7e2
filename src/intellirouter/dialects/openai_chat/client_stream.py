"""Encoding of chat completion chunks: first the role, one finish reason per choice, the usage last, then `[DONE]`.

Source: OpenAI API reference, "The chat completion chunk object".
"""

from collections.abc import Sequence
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct, field

from intellirouter.core import Call, LossReport, Usage, errors
from intellirouter.dialects.adapt.custom_tools import custom_tool_input
from intellirouter.dialects.ir import (
    ArgumentsDelta,
    ChoiceFinished,
    CitationDelta,
    Event,
    Media,
    PartEnded,
    Reasoning,
    ReasoningDelta,
    ReasoningToken,
    RefusalDelta,
    StreamEnded,
    StreamFailed,
    StreamStarted,
    TextDelta,
    ToolCall,
    ToolCallStarted,
    UsageUpdate,
    WholePart,
)
from intellirouter.dialects.openai.client_errors import encode_error_event
from intellirouter.dialects.openai_chat.client_response import (
    add_serving_details,
    annotations_of,
    complete_logprobs,
    custom_tool_names,
    encode_audio,
    encode_call,
    encode_image,
    encode_usage,
    finish_reason,
    response_head,
    uses_legacy_functions,
)
from intellirouter.dialects.openai_chat.reasoning import reasoning_entry

_DONE: Final = b"data: [DONE]\n\n"
_ENCODE: Final = msgspec.json.Encoder().encode
_CONTENT: Final = b',"delta":{"content":'
_CONTENT_END: Final = b'},"logprobs":null,"finish_reason":null}]'


class _ToolCall(Struct):
    index: int
    kind: Literal["function", "custom"]
    is_empty: bool = True
    held: list[str] | None = None
    """The arguments of a custom tool that was sent to the upstream as a function. Written when they are complete."""


class _Choice(Struct):
    opening: bytes
    """The bytes before a delta of its text."""
    calls: dict[int, _ToolCall] = field(default_factory=dict)
    """By part number."""
    offsets: dict[int, tuple[int, int]] = field(default_factory=dict)
    """The offset of each part's text in the content, and its length, by part number."""
    chars: int = 0
    reasoning_key: tuple[int, int] = (-1, 0)
    """The part and summary index of the last reasoning."""
    has_reasoning: bool = False
    has_refusal: bool = False
    is_finished: bool = False


class ChatStreamEncoder:
    """Implements `protocols.StreamEncoder`."""

    def __init__(self, call: Call, losses: LossReport) -> None:
        self._call = call
        self._losses = losses
        self._is_legacy = uses_legacy_functions(call)
        self._custom = custom_tool_names(call)
        self._tail = b',"usage":null}\n\n' if call.wants_usage else b"}\n\n"
        self._closing = _CONTENT_END + self._tail
        self._head = b""
        self._start = StreamStarted()
        self._choices: dict[int, _Choice] = {}
        self._usage: Usage | None = None

    def encode(self, events: Sequence[Event]) -> bytes:
        out: list[bytes] = []
        for event in events:
            if event.__class__ is TextDelta:
                self._text(event, out)
            else:
                self._other(event, out)
        return b"".join(out)

    def _text(self, event: TextDelta, out: list[bytes]) -> None:
        choice = self._choice(event.choice, out)
        start, length = choice.offsets.get(event.part, (choice.chars, 0))
        choice.offsets[event.part] = start, length + len(event.text)
        choice.chars += len(event.text)
        if event.logprobs is not None:
            logprobs = complete_logprobs(event.logprobs)
            self._write(event.choice, {"content": event.text}, out, logprobs=logprobs)
        elif event.text:
            out += (choice.opening, _ENCODE(event.text), self._closing)

    def _other(self, event: Event, out: list[bytes]) -> None:
        match event:
            case StreamStarted():
                self._start = event
                self._usage = event.usage or self._usage
            case UsageUpdate():
                self._usage = event.usage
            case PartEnded():
                if (choice := self._choices.get(event.choice)) is not None:
                    self._end_call(event.choice, choice, event.part, out)
            case ChoiceFinished():
                self._finish(event, out)
            case StreamEnded() | StreamFailed():
                pass
            case _:
                self._delta(event, self._choice(event.choice, out), out)

    def _choice(self, index: int, out: list[bytes]) -> _Choice:
        choice = self._choices.get(index)
        if choice is None:
            if not self._head:
                self._head = self._opening()
            choice = self._choices[index] = _Choice(opening=self._head + b"%d" % index + _CONTENT)
            self._write(index, {"role": "assistant", "content": ""}, out)
        return choice

    def _opening(self) -> bytes:
        start = self._start
        head = response_head(start.id, start.created_s, start.model or self._call.model, "chat.completion.chunk")
        add_serving_details(head, start.service_tier, start.system_fingerprint)
        return b"data: " + _ENCODE(head)[:-1] + b',"choices":[{"index":'

    def _write(
        self, index: int, delta: dict[str, Any], out: list[bytes], *, finish: str | None = None, logprobs: Any = None
    ) -> None:
        encoded = {"content": logprobs, "refusal": None} if logprobs is not None else None
        members = _ENCODE({"delta": delta, "logprobs": encoded, "finish_reason": finish})
        out += (self._head, b"%d," % index, members[1:], b"]", self._tail)

    def _delta(self, event: Any, choice: _Choice, out: list[bytes]) -> None:
        match event:
            case ArgumentsDelta():
                self._arguments(event, choice, out)
            case ReasoningDelta():
                self._reasoning(event, choice, out)
            case ReasoningToken():
                part = Reasoning(token=event.token, is_redacted=event.is_redacted, id=event.id)
                self._write(event.choice, {"reasoning_details": [reasoning_entry(event.token, part)]}, out)
            case ToolCallStarted():
                self._start_call(event, choice, out)
            case RefusalDelta():
                choice.has_refusal = True
                self._write(event.choice, {"refusal": event.text}, out)
            case CitationDelta():
                start, length = choice.offsets.get(event.part, (choice.chars, 0))
                if annotations := annotations_of([event.citation], start, length, self._losses):
                    self._write(event.choice, {"annotations": annotations}, out)
            case WholePart(value=Media(kind="image") as image):
                self._write(event.choice, {"images": [encode_image(image)]}, out)
            case WholePart(value=Media(kind="audio") as audio):
                self._write(event.choice, {"audio": encode_audio(audio)}, out)
            case _:
                self._losses.dropped("choices[].delta.content")

    def _reasoning(self, event: ReasoningDelta, choice: _Choice, out: list[bytes]) -> None:
        """Write reasoning. All parts go into one member, separated by empty lines."""
        key = (event.part, event.summary_index)
        text = event.text
        if not text:
            return
        if choice.has_reasoning and key != choice.reasoning_key:
            text = "\n\n" + text
        choice.has_reasoning, choice.reasoning_key = True, key
        self._write(event.choice, {"reasoning_content": text}, out)

    def _start_call(self, event: ToolCallStarted, choice: _Choice, out: list[bytes]) -> None:
        is_held = event.kind == "function" and event.name in self._custom
        kind: Literal["function", "custom"] = "custom" if is_held else event.kind
        call = choice.calls[event.part] = _ToolCall(len(choice.calls), kind, held=[] if is_held else None)
        opening = ToolCall(id=event.id, name=event.name, arguments="", kind=kind, token=event.token)
        if self._is_legacy:
            self._write(event.choice, {"function_call": {"name": event.name, "arguments": ""}}, out)
            return
        self._write(event.choice, {"tool_calls": [{"index": call.index, **encode_call(opening)}]}, out)

    def _arguments(self, event: ArgumentsDelta, choice: _Choice, out: list[bytes]) -> None:
        call = choice.calls.get(event.part)
        if call is None or not event.text:
            return
        if call.held is not None:
            call.held.append(event.text)
            return
        call.is_empty = False
        if self._is_legacy:
            delta: dict[str, Any] = {"function_call": {"arguments": event.text}}
        elif call.kind == "custom":
            delta = {"tool_calls": [{"index": call.index, "custom": {"input": event.text}}]}
        else:
            delta = {"tool_calls": [{"index": call.index, "function": {"arguments": event.text}}]}
        self._write(event.choice, delta, out)

    def _end_call(self, index: int, choice: _Choice, part: int, out: list[bytes]) -> None:
        """Write the arguments that were held back, or an empty object if there are none, because clients parse them."""
        call = choice.calls.get(part)
        if call is not None and call.held is not None:
            text, call.held = custom_tool_input("".join(call.held)), None
            self._arguments(ArgumentsDelta(text=text, choice=index, part=part), choice, out)
        if call is not None and call.is_empty and call.kind == "function":
            self._arguments(ArgumentsDelta(text="{}", choice=index, part=part), choice, out)

    def _finish(self, event: ChoiceFinished, out: list[bytes]) -> None:
        choice = self._choice(event.choice, out)
        if choice.is_finished:
            return
        for part in choice.calls:
            self._end_call(event.choice, choice, part, out)
        choice.is_finished = True
        reason = finish_reason(event.stop, has_calls=bool(choice.calls), has_refusal=choice.has_refusal)
        if self._is_legacy and reason == "tool_calls":
            reason = "function_call"
        self._write(event.choice, {}, out, finish=reason)

    def end(self) -> bytes:
        if not self._call.wants_usage or self._usage is None:
            return _DONE
        if not self._head:
            self._head = self._opening()
        head = self._head.removesuffix(b'{"index":')
        return head + b'],"usage":' + _ENCODE(encode_usage(self._usage)) + b"}\n\n" + _DONE

    def fail(self, error: errors.GatewayError) -> bytes:
        return encode_error_event(error)
