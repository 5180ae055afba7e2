"""One forced tool, for upstreams that cannot be told to call one."""

import pytest

from intellirouter.core import Loss, LossReport
from intellirouter.dialects.adapt.forced_tool import CallDecoder, forced_tool, with_output_schema, with_tool_call
from intellirouter.dialects.ir import (
    Choice,
    ChoiceFinished,
    Conversation,
    CustomTool,
    Event,
    FunctionTool,
    Message,
    Reasoning,
    ReasoningDelta,
    Response,
    Stop,
    StopReason,
    StreamEnded,
    Text,
    TextDelta,
    ToolCall,
    ToolChoice,
    collect,
)

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
ONE = FunctionTool(name="one", description="Tells the weather.", parameters=SCHEMA)
TWO = FunctionTool(name="two")


def asking(choice: ToolChoice | None, *tools: FunctionTool | CustomTool) -> Conversation:
    messages = [
        Message(role="system", parts=[Text(text="Be brief.")]),
        Message(role="user", parts=[Text(text="Weather?")]),
    ]
    return Conversation(dialect="openai_chat", model="m", messages=messages, tools=list(tools), tool_choice=choice)


@pytest.mark.parametrize(
    ("choice", "tools", "forced"),
    [
        (None, (ONE,), None),
        (ToolChoice(mode="auto"), (ONE,), None),
        (ToolChoice(mode="none"), (ONE,), None),
        (ToolChoice(mode="named", name="two"), (ONE, TWO), TWO),
        (ToolChoice(mode="named", name="three"), (ONE, TWO), None),
        (ToolChoice(mode="named", name="free"), (CustomTool(name="free"),), None),
        (ToolChoice(mode="required"), (ONE,), ONE),
        (ToolChoice(mode="required"), (ONE, TWO), None),
        (ToolChoice(mode="required", allowed=["two"]), (ONE, TWO), TWO),
    ],
)
def test_one_tool_is_forced_or_none(
    choice: ToolChoice | None, tools: tuple[FunctionTool, ...], forced: FunctionTool | None
) -> None:
    assert forced_tool(asking(choice, *tools)) == forced


def test_its_arguments_are_asked_for_and_that_is_said() -> None:
    losses = LossReport()
    before = asking(ToolChoice(mode="named", name="one"), ONE, TWO)
    asked = with_output_schema(before, ONE, losses)
    assert asked.output is not None
    assert (asked.output.kind, asked.output.schema) == ("json_schema", SCHEMA)
    assert (asked.tools, asked.tool_choice) == ([], None)
    assert [message.role for message in asked.messages] == ["system", "system", "user"]
    told = asked.messages[1].parts[0]
    assert isinstance(told, Text)
    assert "one" in told.text
    assert "Tells the weather." in told.text
    assert losses.taken() == (Loss("tool_choice", "emulated", "arguments requested as structured output"),)
    assert len(before.messages) == 2


@pytest.mark.parametrize(("said", "told"), [("stop", "tool_calls"), ("length", "length")])
def test_the_answer_becomes_the_call(said: StopReason, told: StopReason) -> None:
    parts = [Reasoning(text="hm"), Text(text='{"city":'), Text(text='"Oslo"}')]
    choice = with_tool_call(Response(choices=[Choice(parts=parts, stop=Stop(reason=said))]), ONE).choices[0]
    thought, call = choice.parts
    assert thought == Reasoning(text="hm")
    assert isinstance(call, ToolCall)
    assert (call.name, call.arguments) == ("one", '{"city":"Oslo"}')
    assert choice.stop is not None
    assert choice.stop.reason == told


class Script:
    """A decoder that says its events one by one."""

    def __init__(self, *events: Event) -> None:
        self._events = list(events)

    def feed(self, data: bytes) -> list[Event]:
        return [self._events.pop(0) for _ in data]

    def end(self) -> list[Event]:
        return self._events


def test_a_stream_becomes_one_call_even_when_its_text_has_several_parts() -> None:
    script = Script(
        ReasoningDelta(text="hm", part=0),
        TextDelta(text='{"city":', part=1),
        TextDelta(text='"Oslo"}', part=2),
        ChoiceFinished(stop=Stop(reason="stop")),
        StreamEnded(),
    )
    decoder = CallDecoder(script, ONE)
    events = decoder.feed(b"1") + decoder.feed(b"23") + decoder.end()
    assert isinstance(events[-1], StreamEnded)
    choice = collect(events).choices[0]
    assert choice.parts[0] == Reasoning(text="hm")
    call = choice.parts[1]
    assert isinstance(call, ToolCall)
    assert (call.name, call.arguments) == ("one", '{"city":"Oslo"}')
    assert choice.stop == Stop(reason="tool_calls")
