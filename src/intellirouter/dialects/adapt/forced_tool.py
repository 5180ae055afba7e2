"""A forced tool for upstreams that cannot be told to call one: its arguments are asked for as JSON by its schema.

The model has no choice but to write the arguments, which is what forcing means; its answer becomes the call. Only one
tool can be forced so: named, or the only one of `required`.
"""

from msgspec import structs

from intellirouter.core import LossReport, new_id
from intellirouter.dialects.ir import (
    ArgumentsDelta,
    Choice,
    ChoiceFinished,
    Conversation,
    Event,
    FunctionTool,
    Message,
    OutputFormat,
    Part,
    Response,
    Stop,
    Text,
    TextDelta,
    ToolCall,
    ToolCallStarted,
)
from intellirouter.dialects.protocols import StreamDecoder


def forced_tool(conversation: Conversation) -> FunctionTool | None:
    """Return the one tool that must be called; None where none is forced, one of several is, or a form is asked for."""
    choice = conversation.tool_choice
    if choice is None or choice.mode not in {"named", "required"}:
        return None
    if conversation.output is not None and conversation.output.kind != "text":
        return None  # two forms at once cannot be asked for
    tools = [tool for tool in conversation.tools if isinstance(tool, FunctionTool)]
    if choice.mode == "named":
        tools = [tool for tool in tools if tool.name == choice.name]
    elif choice.allowed is not None:
        tools = [tool for tool in tools if tool.name in choice.allowed]
    return tools[0] if len(tools) == 1 else None


def as_schema(conversation: Conversation, tool: FunctionTool, losses: LossReport) -> Conversation:
    """Return the conversation that asks for the tool's arguments instead of a call."""
    losses.add("tool_choice", "emulated", "arguments asked for by their schema")
    words = f"Answer with the arguments of a call of the function {tool.name}, as one JSON object."
    if tool.description:
        words += f" What the function does: {tool.description}"
    messages = list(conversation.messages)
    place = next((at for at, each in enumerate(messages) if each.role not in {"system", "developer"}), len(messages))
    messages.insert(place, Message(role="system", parts=[Text(text=words)]))
    schema = tool.parameters or {"type": "object"}
    output = OutputFormat(kind="json_schema", name=tool.name, schema=schema, is_strict=tool.is_strict)
    return structs.replace(conversation, messages=messages, tools=[], tool_choice=None, output=output)


def as_call(response: Response, tool: FunctionTool) -> Response:
    """Return the answer with its text as the call of the tool."""
    return structs.replace(response, choices=[_choice(choice, tool) for choice in response.choices])


def _choice(choice: Choice, tool: FunctionTool) -> Choice:
    text = "".join(part.text for part in choice.parts if isinstance(part, Text))
    parts: list[Part] = [part for part in choice.parts if not isinstance(part, Text)]
    parts.append(ToolCall(id=new_id("call_"), name=tool.name, arguments=text or "{}"))
    return Choice(parts=parts, stop=_stop(choice.stop))


def _stop(stop: Stop | None) -> Stop | None:
    if stop is None or stop.reason not in {"stop", "stop_sequence"}:
        return stop
    return structs.replace(stop, reason="tool_calls")


class CallDecoder:
    """Implements `protocols.StreamDecoder`: the text of another decoder's stream, as the call of one tool."""

    def __init__(self, decoder: StreamDecoder, tool: FunctionTool) -> None:
        self._decoder = decoder
        self._tool = tool
        self._parts: dict[int, int] = {}
        """The part that is the call, by choice: all text belongs to it."""

    def feed(self, data: bytes) -> list[Event]:
        return self._told(self._decoder.feed(data))

    def end(self) -> list[Event]:
        return self._told(self._decoder.end())

    def _told(self, events: list[Event]) -> list[Event]:
        told: list[Event] = []
        for event in events:
            match event:
                case TextDelta():
                    self._add(event, told)
                case ChoiceFinished():
                    told.append(ChoiceFinished(stop=_stop(event.stop) or event.stop, choice=event.choice))
                case _:
                    told.append(event)
        return told

    def _add(self, event: TextDelta, told: list[Event]) -> None:
        choice = event.choice
        if choice not in self._parts:
            self._parts[choice] = event.part
            told.append(ToolCallStarted(id=new_id("call_"), name=self._tool.name, choice=choice, part=event.part))
        told.append(ArgumentsDelta(text=event.text, choice=choice, part=self._parts[choice]))
