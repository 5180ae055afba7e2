"""Forced tool calls for upstreams without `tool_choice`: the tool's arguments are requested as structured output.

The model then can only write the arguments, and its answer becomes the call. This works for one tool only: the named
one, or the only one if a call is `required`. `forced_choice` uses it, and does the same for several tools.
"""

from msgspec import structs

from intellirouter.core import LossReport, new_id
from intellirouter.dialects.adapt.custom_tools import custom_tool_schema
from intellirouter.dialects.ir import (
    ArgumentsDelta,
    Choice,
    ChoiceFinished,
    Conversation,
    CustomTool,
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


def callable_tools(conversation: Conversation) -> list[FunctionTool]:
    """Return the tools of which one must be called; none if the client also asks for an output format."""
    choice = conversation.tool_choice
    if choice is None or choice.mode not in {"named", "required"}:
        return []
    if conversation.output is not None and conversation.output.kind != "text":
        return []  # The output cannot have two formats.
    functions = [tool for tool in conversation.tools if isinstance(tool, FunctionTool)]
    customs = [tool for tool in conversation.tools if isinstance(tool, CustomTool)]
    if choice.mode == "named":
        functions = [tool for tool in functions if tool.name == choice.name]
        customs = [tool for tool in customs if tool.name == choice.name]
    elif choice.allowed is not None:
        functions = [tool for tool in functions if tool.name in choice.allowed]
        customs = [tool for tool in customs if tool.name in choice.allowed]
    return functions or [_as_function(tool) for tool in customs]


def _as_function(tool: CustomTool) -> FunctionTool:
    """Return a function in place of the tool. The client's codec turns its call into one of the tool."""
    return FunctionTool(name=tool.name, description=tool.description, parameters=custom_tool_schema(tool))


def with_output_schema(conversation: Conversation, tool: FunctionTool, losses: LossReport) -> Conversation:
    """Return the conversation that asks for the tool's arguments instead of a call."""
    losses.add("tool_choice", "emulated", "arguments requested as structured output")
    instruction = f"Answer with the arguments of a call of the function {tool.name}, as one JSON object."
    if tool.description:
        instruction += f" What the function does: {tool.description}"
    schema = tool.parameters or {"type": "object"}
    output = OutputFormat(kind="json_schema", name=tool.name, schema=schema, is_strict=tool.is_strict)
    return with_instruction(conversation, instruction, output)


def with_instruction(conversation: Conversation, instruction: str, output: OutputFormat) -> Conversation:
    """Return the conversation without tools, with an instruction after the system prompt and an output format."""
    messages = list(conversation.messages)
    index = next((at for at, each in enumerate(messages) if each.role not in {"system", "developer"}), len(messages))
    messages.insert(index, Message(role="system", parts=[Text(text=instruction)]))
    return structs.replace(conversation, messages=messages, tools=[], tool_choice=None, output=output)


def with_tool_call(response: Response, tool: FunctionTool) -> Response:
    """Return the response with a call of the tool in place of its text."""
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
    """Implements `protocols.StreamDecoder`: turns the text of another decoder's stream into a call of the tool."""

    def __init__(self, decoder: StreamDecoder, tool: FunctionTool) -> None:
        self._decoder = decoder
        self._tool = tool
        self._parts: dict[int, int] = {}
        """The number of the part that is the call, by choice. All text belongs to it."""

    @property
    def buffered_bytes(self) -> int:
        return self._decoder.buffered_bytes

    def feed(self, data: bytes) -> list[Event]:
        return self._with_call(self._decoder.feed(data))

    def end(self) -> list[Event]:
        return self._with_call(self._decoder.end())

    def _with_call(self, events: list[Event]) -> list[Event]:
        out: list[Event] = []
        for event in events:
            match event:
                case TextDelta():
                    self._add(event, out)
                case ChoiceFinished():
                    out.append(ChoiceFinished(stop=_stop(event.stop) or event.stop, choice=event.choice))
                case _:
                    out.append(event)
        return out

    def _add(self, event: TextDelta, out: list[Event]) -> None:
        choice = event.choice
        if choice not in self._parts:
            self._parts[choice] = event.part
            out.append(ToolCallStarted(id=new_id("call_"), name=self._tool.name, choice=choice, part=event.part))
        out.append(ArgumentsDelta(text=event.text, choice=choice, part=self._parts[choice]))
