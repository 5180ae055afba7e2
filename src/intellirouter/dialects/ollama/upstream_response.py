"""Decoding of an Ollama upstream's responses and streams, for `/api/chat` and `/api/generate`.

Sources: Ollama's `docs/api.md`, `api/types.go`. A line can contain reasoning, text and complete tool calls.
"""

from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from intellirouter.core import Usage, errors, new_id
from intellirouter.core.json_errors import describe_json_error
from intellirouter.dialects.ir import (
    ArgumentsDelta,
    Choice,
    ChoiceFinished,
    Event,
    Media,
    Part,
    PartEnded,
    Reasoning,
    ReasoningDelta,
    Response,
    Source,
    Stop,
    StopReason,
    StreamEnded,
    StreamFailed,
    StreamStarted,
    Text,
    TextDelta,
    ToolCall,
    ToolCallStarted,
    UsageUpdate,
    WholePart,
)
from intellirouter.dialects.ollama.wire import DIALECT
from intellirouter.dialects.openai.upstream_errors import (
    decode_error_in_200,
    decode_error_in_stream,
    error_without_answer,
)
from intellirouter.dialects.wire import large_json
from intellirouter.dialects.wire.large_json import check_size
from intellirouter.dialects.wire.lenient import as_int, epoch_s, has_impossible_count, reported
from intellirouter.dialects.wire.media_types import media_type_of
from intellirouter.dialects.wire.sse import LineSplitter, check_utf8

_REASONS: Final[dict[str, StopReason]] = {
    "length": "length",
    "content_filter": "content_filter",
    "error": "error",
    "cancelled": "cancelled",
}
_MAX_TOKENS: Final = 10**12
_KNOWN: Final = frozenset(
    {
        "model",
        "created_at",
        "message",
        "response",
        "thinking",
        "done",
        "done_reason",
        "prompt_eval_count",
        "eval_count",
        "logprobs",
        "tool_calls",
        "image",
    }
)


class _Function(Struct):
    name: str
    arguments: msgspec.Raw = msgspec.Raw(b"{}")


class _Call(Struct):
    function: _Function
    id: str | None = None


class _Message(Struct):
    content: str | None = None
    thinking: str | None = None
    tool_calls: list[_Call] | None = None
    images: list[str] | None = None


class _Line(Struct):
    """One object of a response. `/api/chat` has the content in `message`, `/api/generate` has it at the top level."""

    message: _Message | None = None
    response: str | None = None
    thinking: str | None = None
    tool_calls: list[_Call] | None = None
    model: str | None = None
    created_at: str | None = None
    done: bool | None = None
    done_reason: str | None = None
    prompt_eval_count: Any = None
    eval_count: Any = None
    logprobs: list[dict[str, Any]] | None = None
    error: Any = None


_decoder: Final = msgspec.json.Decoder(_Line)
_NO_CONTENT: Final = _Message()


def _decode(data: bytes) -> _Line:
    try:
        check_size(data)
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if (reported := error_without_answer(data)) is not None:
            raise reported from None
        raise errors.UpstreamMalformed(
            f"The upstream returned an invalid Ollama response: {describe_json_error(error)}."
        ) from None


def _raise_other_error(line: _Line, data: bytes) -> None:
    """Raise the error of a line without an answer that reports one in other words than Ollama's."""
    if line.message is None and line.response is None and line.done is None:
        error = error_without_answer(data)
        if error is not None:
            raise error


def _message_of(line: _Line) -> _Message:
    if line.message is not None:
        return line.message
    if line.response is None and line.thinking is None and line.tool_calls is None:
        return _NO_CONTENT
    return _Message(content=line.response, thinking=line.thinking, tool_calls=line.tool_calls)


def _usage_of(line: _Line) -> Usage | None:
    if line.prompt_eval_count is None and line.eval_count is None:
        return None
    input_tokens, output_tokens = as_int(line.prompt_eval_count), as_int(line.eval_count)
    usage = Usage(
        input_tokens=min(input_tokens, _MAX_TOKENS),
        output_tokens=min(output_tokens, _MAX_TOKENS),
        is_implausible=has_impossible_count(line.prompt_eval_count, line.eval_count),
    )
    return reported(usage)


def _stop_of(line: _Line, *, has_calls: bool) -> Stop:
    """Return the stop reason. After tool calls, Ollama's `done_reason` is `stop`."""
    raw = line.done_reason or ""
    reason = _REASONS.get(raw, "stop")
    return Stop(reason="tool_calls" if has_calls and reason == "stop" else reason, raw=raw)


def _arguments_of(call: _Call) -> str:
    """Return the arguments as text. Some versions wrap them in a string; an empty string and null mean none."""
    text = bytes(call.function.arguments).decode().strip()
    if text.startswith('"'):
        text = str(msgspec.json.decode(text)).strip()
    return "{}" if text in {"", "null"} else text


def decode_response(body: bytes) -> Response:
    """Decode the body of a 200 response. Raises `UpstreamMalformed`, or the error that the body reports."""
    if not body.isascii():
        check_utf8(body)
    line = _decode(body)
    if line.error:
        raise decode_error_in_200(body)
    _raise_other_error(line, body)
    if line.message is None and line.response is None:
        raise errors.UpstreamMalformed("The upstream returned an Ollama response without `message`.")
    message = _message_of(line)
    parts: list[Part] = []
    if message.thinking:
        parts.append(Reasoning(text=message.thinking))
    if message.content:
        parts.append(Text(text=message.content, logprobs=line.logprobs or None))
    parts += [_image(data) for data in message.images or ()]
    for call in message.tool_calls or ():
        call_id = call.id or new_id("call_")
        parts.append(ToolCall(id=call_id, name=call.function.name, arguments=_arguments_of(call)))
    stop = _stop_of(line, has_calls=bool(message.tool_calls)) if line.done is not False else None
    raw: dict[str, Any] = large_json.decode(body)
    return Response(
        model=line.model or "",
        created_s=epoch_s(line.created_at),
        choices=[Choice(parts=parts, stop=stop)],
        usage=_usage_of(line),
        dialect=DIALECT,
        extras={name: value for name, value in raw.items() if name not in _KNOWN},
    )


def _image(data: str) -> Media:
    return Media(kind="image", source=Source(data=data, media_type=media_type_of(data)))


_Kind = Literal["", "text", "reasoning"]


class LineDecoder:
    """Reads one stream of lines. Implements `protocols.StreamDecoder`."""

    def __init__(self) -> None:
        self._splitter = LineSplitter()
        self._has_started = False
        self._has_ended = False
        self._has_calls = False
        self._parts = 0
        self._open: _Kind = ""
        """The kind of the last part; empty if it has ended."""
        self._logprobs: list[Any] = []
        """Logprobs of tokens whose text Ollama has not sent yet. They belong to the next text."""

    @property
    def buffered_bytes(self) -> int:
        return self._splitter.buffered_bytes

    def feed(self, data: bytes) -> list[Event]:
        try:
            block = self._splitter.feed(data)
        except errors.UpstreamAnswerTooLarge as error:
            return [StreamFailed(error=error)]
        return self._read(block) if block else []

    def end(self) -> list[Event]:
        events = self._read(self._splitter.rest())
        if not (self._has_ended or (events and isinstance(events[-1], StreamFailed))):
            cut_off = errors.UpstreamMalformed(
                "The upstream's stream was cut off: it ended without a line with `done`."
            )
            events.append(StreamFailed(error=cut_off))
        return events

    def _read(self, block: bytes) -> list[Event]:
        events: list[Event] = []
        is_ascii, count = block.isascii(), 0
        try:
            for data in block.split(b"\n"):
                if self._has_ended:
                    break
                if data.strip():
                    if not is_ascii:
                        check_utf8(data)
                    self._read_line(data, events)
                    count += 1
        except errors.UpstreamError as error:
            events.append(StreamFailed(error=error, read_documents=count))
        return events

    def _read_line(self, data: bytes, events: list[Event]) -> None:
        line = _decode(data)
        if line.error:
            raise decode_error_in_stream(data)
        _raise_other_error(line, data)
        if not self._has_started:
            self._has_started = True
            events.append(StreamStarted(model=line.model or "", created_s=epoch_s(line.created_at)))
        message = _message_of(line)
        if message.thinking:
            events.append(ReasoningDelta(text=message.thinking, part=self._part("reasoning", events)))
        self._read_text(message.content, line.logprobs, events)
        for image in message.images or ():
            part = self._whole_part(events)
            events += [WholePart(value=_image(image), part=part), PartEnded(part=part)]
        for call in message.tool_calls or ():
            self._read_call(call, events)
        if line.done:
            self._finish(line, events)

    def _read_text(self, text: str | None, logprobs: list[dict[str, Any]] | None, events: list[Event]) -> None:
        if logprobs and self._open != "reasoning":
            self._logprobs += logprobs
        if text:
            held, self._logprobs = self._logprobs or logprobs, []
            events.append(TextDelta(text=text, part=self._part("text", events), logprobs=held or None))

    def _part(self, kind: _Kind, events: list[Event]) -> int:
        """Return the number of the open part if it has this kind; otherwise end it and start a new one."""
        if self._open != kind:
            self._close(events)
            self._open = kind
            self._parts += 1
        return self._parts - 1

    def _close(self, events: list[Event]) -> None:
        if self._open:
            events.append(PartEnded(part=self._parts - 1))
            self._open = ""

    def _whole_part(self, events: list[Event]) -> int:
        self._close(events)
        self._parts += 1
        return self._parts - 1

    def _read_call(self, call: _Call, events: list[Event]) -> None:
        """Read a complete call, which becomes a part of its own. Some versions send `index` 0 for all of them."""
        self._has_calls = True
        part = self._whole_part(events)
        call_id = call.id or new_id("call_")
        events += [
            ToolCallStarted(id=call_id, name=call.function.name, part=part),
            ArgumentsDelta(text=_arguments_of(call), part=part),
            PartEnded(part=part),
        ]

    def _finish(self, line: _Line, events: list[Event]) -> None:
        if not self._parts and not line.done_reason and line.prompt_eval_count is None and line.eval_count is None:
            raise errors.UpstreamMalformed("The upstream's stream ended without an answer.")
        self._has_ended = True
        self._close(events)
        events.append(ChoiceFinished(stop=_stop_of(line, has_calls=self._has_calls)))
        if (usage := _usage_of(line)) is not None:
            events.append(UsageUpdate(usage=usage))
        events.append(StreamEnded())
