"""A forced call of one of several tools, for upstreams without `tool_choice`.

The model is asked for `{"name": …, "arguments": …}` as structured output, with a schema that has one alternative per
tool, and its answer becomes the call. `forced_tool` does the same for a single tool, of which the arguments are enough.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import structs

from intellirouter.core import DEFAULT_ANSWER_LIMITS, AnswerLimits, LossReport, errors, new_id
from intellirouter.dialects.adapt.answer_limits import too_many_chars
from intellirouter.dialects.adapt.forced_tool import (
    CallDecoder,
    callable_tools,
    with_instruction,
    with_output_schema,
    with_tool_call,
)
from intellirouter.dialects.ir import (
    ArgumentsDelta,
    Choice,
    ChoiceFinished,
    Conversation,
    Event,
    FunctionTool,
    OutputFormat,
    Part,
    PartEnded,
    Response,
    Stop,
    StreamFailed,
    Text,
    TextDelta,
    ToolCall,
    ToolCallStarted,
)
from intellirouter.dialects.protocols import StreamDecoder

_START: Final = re.compile(r'\s*+\{\s*+"name"\s*+:\s*+("(?:[^"\\]|\\.)*+")\s*+,\s*+"arguments"\s*+:\s*+')
_COMPLETE: Final = frozenset({"stop", "stop_sequence", "tool_calls"})
_FORMAT_NAME: Final = "call"
_MAX_START_CHARS: Final = 1024
_MAX_TAIL_CHARS: Final = 4096
"""More closing braces and white space in a row are not the end of a call."""
_WHITE_SPACE: Final = " \t\r\n"


class ForcedCall:
    """The call of one of the given tools, which the upstream is made to write as its answer."""

    def __init__(self, tools: Sequence[FunctionTool]) -> None:
        self._tools = tools
        self._names = frozenset(tool.name for tool in tools)

    def requested(self, conversation: Conversation, losses: LossReport) -> Conversation:
        """Return the conversation that asks for structured output instead of a call."""
        if len(self._tools) == 1:
            return with_output_schema(conversation, self._tools[0], losses)
        losses.add("tool_choice", "emulated", "a call requested as structured output")
        lines = [
            "Answer with a call of one of these functions, as one JSON object with the members name and arguments:"
        ]
        lines += [
            f"- {tool.name}: {tool.description}" if tool.description else f"- {tool.name}" for tool in self._tools
        ]
        output = OutputFormat(kind="json_schema", name=_FORMAT_NAME, schema=_schema(self._tools))
        return with_instruction(conversation, "\n".join(lines), output)

    def answered(self, response: Response) -> Response:
        """Return the response with the call in place of its text. Raises `UpstreamMalformed` if it is none."""
        if len(self._tools) == 1:
            return with_tool_call(response, self._tools[0])
        return structs.replace(response, choices=[self._choice(choice) for choice in response.choices])

    def decoder(self, decoder: StreamDecoder, limits: AnswerLimits = DEFAULT_ANSWER_LIMITS) -> StreamDecoder:
        """Return a decoder that turns the text of another one's stream into the call."""
        if len(self._tools) == 1:
            return CallDecoder(decoder, self._tools[0])
        return ChosenCallDecoder(decoder, self._names, limits)

    def _choice(self, choice: Choice) -> Choice:
        parts: list[Part] = [part for part in choice.parts if not isinstance(part, Text)]
        text = "".join(part.text for part in choice.parts if isinstance(part, Text))
        called = _read_call(text, self._names)
        if called is not None:
            parts.append(ToolCall(id=new_id("call_"), name=called[0], arguments=called[1]))
        elif is_complete(choice.stop):
            raise _no_call()
        return Choice(parts=parts, stop=called_stop(choice.stop))


def forced_call(conversation: Conversation) -> ForcedCall | None:
    """Return the call that the client demands; None if it demands none, or one that cannot be emulated."""
    tools = callable_tools(conversation)
    return ForcedCall(tools) if tools else None


def is_complete(stop: Stop | None) -> bool:
    """Return whether the model has finished its answer."""
    return stop is None or stop.reason in _COMPLETE


def called_stop(stop: Stop | None) -> Stop | None:
    """Return the stop of an answer that is a call."""
    return structs.replace(stop, reason="tool_calls") if stop is not None and stop.reason in _COMPLETE else stop


def _schema(tools: Sequence[FunctionTool]) -> dict[str, Any]:
    """Return the schema of a call. The schemas of the tools keep their place, because they may refer to themselves."""
    definitions = {f"tool_{at}": _moved(tool.parameters, f"#/$defs/tool_{at}") for at, tool in enumerate(tools)}
    calls = [
        {
            "type": "object",
            "properties": {
                "name": {"type": "string", "enum": [tool.name]},
                "arguments": {"$ref": f"#/$defs/tool_{at}"},
            },
            "required": ["name", "arguments"],
            "additionalProperties": False,
        }
        for at, tool in enumerate(tools)
    ]
    return {"anyOf": calls, "$defs": definitions}


def _moved(schema: Any, place: str) -> Any:
    """Return a schema whose references to its own root refer to its place in another schema."""
    if schema is None:
        return {"type": "object"}
    if isinstance(schema, list):
        return [_moved(each, place) for each in schema]
    if not isinstance(schema, dict):
        return schema
    moved = {
        name: value if name in {"enum", "const", "default"} else _moved_member(value, place)
        for name, value in schema.items()
    }
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference.startswith("#"):
        moved["$ref"] = place + reference[1:]
    return moved


def _moved_member(value: Any, place: str) -> Any:
    return _moved(value, place) if isinstance(value, dict | list) else value


def _read_call(text: str, names: frozenset[str]) -> tuple[str, str] | None:
    """Return the name and the arguments of the call that a text is; None if it is none."""
    try:
        call = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    if not isinstance(call, dict) or call.get("name") not in names:
        return None
    return call["name"], msgspec.json.encode(call.get("arguments") or {}).decode()


def _no_call() -> errors.UpstreamOutputInvalid:
    return errors.UpstreamOutputInvalid(
        "The model's answer is not a call of one of the tools, which the client forced."
    )


class _Answer:
    """The text of one choice so far. The call is written as soon as its name is known."""

    def __init__(self, part: int) -> None:
        self.part = part
        self.start = ""
        """The beginning of the text, until the arguments begin."""
        self.rest: list[str] = []
        """Text after a long beginning in which no arguments begin. It is only read at the end."""
        self.chars = 0
        self.tail = ""
        """The end of the arguments, which may be the end of the call."""
        self.has_name = False


class ChosenCallDecoder:
    """Implements `protocols.StreamDecoder`: turns the text of another decoder's stream into a call of one tool."""

    def __init__(self, decoder: StreamDecoder, names: frozenset[str], limits: AnswerLimits) -> None:
        self._decoder = decoder
        self._names = names
        self._limits = limits
        self._answers: dict[int, _Answer] = {}

    @property
    def buffered_bytes(self) -> int:
        return self._decoder.buffered_bytes + sum(answer.chars for answer in self._answers.values())

    def feed(self, data: bytes) -> list[Event]:
        return self._with_call(self._decoder.feed(data))

    def end(self) -> list[Event]:
        return self._with_call(self._decoder.end())

    def _with_call(self, events: list[Event]) -> list[Event]:
        out: list[Event] = []
        try:
            self._write(events, out)
        except errors.UpstreamMalformed as error:
            out.append(StreamFailed(error=error))
        return out

    def _write(self, events: list[Event], out: list[Event]) -> None:
        for event in events:
            match event:
                case TextDelta():
                    self._add(event, out)
                case PartEnded() if event.choice in self._answers:
                    pass  # The call ends with its choice.
                case ChoiceFinished():
                    self._finish(event, out)
                    out.append(structs.replace(event, stop=called_stop(event.stop) or event.stop))
                case _:
                    out.append(event)

    def _add(self, event: TextDelta, out: list[Event]) -> None:
        answer = self._answers.get(event.choice)
        if answer is None:
            answer = self._answers[event.choice] = _Answer(event.part)
        text = event.text
        if not answer.has_name:
            answer.chars += len(text)
            if answer.chars > self._limits.chars:
                raise too_many_chars(self._limits)
            if len(answer.start) > _MAX_START_CHARS:
                answer.rest.append(text)
                return
            answer.start += text
            found = _START.match(answer.start)
            name = msgspec.json.decode(found[1]) if found is not None else None
            if found is None or name not in self._names:
                return
            answer.has_name, answer.chars, text = True, 0, answer.start[found.end() :]
            out.append(ToolCallStarted(id=new_id("call_"), name=name, choice=event.choice, part=answer.part))
        text = answer.tail + text
        arguments = text.rstrip(_WHITE_SPACE + "}")
        answer.tail = text[len(arguments) :]
        if len(answer.tail) > _MAX_TAIL_CHARS:
            raise _no_call()
        if arguments:
            out.append(ArgumentsDelta(text=arguments, choice=event.choice, part=answer.part))

    def _finish(self, event: ChoiceFinished, out: list[Event]) -> None:
        """Write the rest of the call. Raises `UpstreamOutputInvalid` if the complete answer is none."""
        answer = self._answers.pop(event.choice, None) or _Answer(0)
        if answer.has_name:
            rest = answer.tail.rstrip(_WHITE_SPACE).removesuffix("}") if is_complete(event.stop) else answer.tail
        elif (called := _read_call("".join((answer.start, *answer.rest)), self._names)) is not None:
            name, rest = called
            out.append(ToolCallStarted(id=new_id("call_"), name=name, choice=event.choice, part=answer.part))
        elif is_complete(event.stop):
            raise _no_call()
        else:
            return
        if rest:
            out.append(ArgumentsDelta(text=rest, choice=event.choice, part=answer.part))
