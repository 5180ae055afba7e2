"""A forced tool call for upstreams without `tool_choice`."""

import json

import pytest
from msgspec import structs

from intellirouter.core import Loss, LossReport
from intellirouter.dialects.adapt.custom_tools import custom_tool_schema
from intellirouter.dialects.adapt.forced_tool import CallDecoder, callable_tools, with_output_schema, with_tool_call
from intellirouter.dialects.ir import (
    Choice,
    ChoiceFinished,
    Conversation,
    CustomTool,
    Event,
    FunctionTool,
    Message,
    OutputFormat,
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
from tests.support.dialects.pairs import BY_UPSTREAM, call_of, send, translation_of

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
ONE = FunctionTool(name="one", description="Returns the weather.", parameters=SCHEMA)
TWO = FunctionTool(name="two")
FREE = FunctionTool(name="free", parameters=custom_tool_schema(CustomTool(name="free")))


def conversation_with(choice: ToolChoice | None, *tools: FunctionTool | CustomTool) -> Conversation:
    messages = [
        Message(role="system", parts=[Text(text="Be brief.")]),
        Message(role="user", parts=[Text(text="Weather?")]),
    ]
    return Conversation(dialect="openai_chat", model="m", messages=messages, tools=list(tools), tool_choice=choice)


@pytest.mark.parametrize(
    ("choice", "tools", "callable_ones"),
    [
        (None, (ONE,), []),
        (ToolChoice(mode="auto"), (ONE,), []),
        (ToolChoice(mode="none"), (ONE,), []),
        (ToolChoice(mode="named", name="two"), (ONE, TWO), [TWO]),
        (ToolChoice(mode="named", name="three"), (ONE, TWO), []),
        (ToolChoice(mode="named", name="free"), (ONE, CustomTool(name="free")), [FREE]),
        (ToolChoice(mode="required"), (CustomTool(name="free"),), [FREE]),
        (ToolChoice(mode="required"), (CustomTool(name="free"), ONE), [ONE]),
        (
            ToolChoice(mode="required"),
            (CustomTool(name="free"), CustomTool(name="b")),
            [FREE, structs.replace(FREE, name="b")],
        ),
        (ToolChoice(mode="required"), (ONE,), [ONE]),
        (ToolChoice(mode="required"), (ONE, TWO), [ONE, TWO]),
        (ToolChoice(mode="required", allowed=["two"]), (ONE, TWO), [TWO]),
    ],
)
def test_tools_of_which_one_must_be_called(
    choice: ToolChoice | None, tools: tuple[FunctionTool, ...], callable_ones: list[FunctionTool]
) -> None:
    assert callable_tools(conversation_with(choice, *tools)) == callable_ones


def test_no_tool_is_callable_if_the_answer_has_a_format() -> None:
    conversation = conversation_with(ToolChoice(mode="required"), ONE, TWO)
    conversation.output = OutputFormat(kind="json_object")
    assert callable_tools(conversation) == []


def test_arguments_are_requested_as_structured_output_with_a_loss() -> None:
    losses = LossReport()
    before = conversation_with(ToolChoice(mode="named", name="one"), ONE, TWO)
    changed = with_output_schema(before, ONE, losses)
    assert changed.output is not None
    assert (changed.output.kind, changed.output.schema) == ("json_schema", SCHEMA)
    assert (changed.tools, changed.tool_choice) == ([], None)
    assert [message.role for message in changed.messages] == ["system", "system", "user"]
    instruction = changed.messages[1].parts[0]
    assert isinstance(instruction, Text)
    assert "one" in instruction.text
    assert "Returns the weather." in instruction.text
    assert losses.taken() == (Loss("tool_choice", "emulated", "arguments requested as structured output"),)
    assert len(before.messages) == 2


@pytest.mark.parametrize(("upstream_reason", "reason"), [("stop", "tool_calls"), ("length", "length")])
def test_the_text_of_the_response_becomes_the_call(upstream_reason: StopReason, reason: StopReason) -> None:
    parts = [Reasoning(text="hm"), Text(text='{"city":'), Text(text='"Oslo"}')]
    choice = with_tool_call(Response(choices=[Choice(parts=parts, stop=Stop(reason=upstream_reason))]), ONE).choices[0]
    reasoning, call = choice.parts
    assert reasoning == Reasoning(text="hm")
    assert isinstance(call, ToolCall)
    assert (call.name, call.arguments) == ("one", '{"city":"Oslo"}')
    assert choice.stop is not None
    assert choice.stop.reason == reason


class Script:
    """A decoder that returns one event per byte."""

    def __init__(self, *events: Event) -> None:
        self._events = list(events)

    def feed(self, data: bytes) -> list[Event]:
        return [self._events.pop(0) for _ in data]

    def end(self) -> list[Event]:
        return self._events


def test_all_text_parts_of_a_stream_become_one_call() -> None:
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


@pytest.mark.parametrize("client", ["openai_responses", "openai_chat"])
def test_a_forced_custom_tool_works_over_ollama(client: str) -> None:
    tool = {"name": "f"} if client == "openai_responses" else {"custom": {"name": "f"}}
    body = {"model": "m", "tools": [{"type": "custom"} | tool], "tool_choice": {"type": "custom"} | tool}
    messages = [{"role": "user", "content": "hi"}]
    call = call_of(client, {"body": body | {"input" if client == "openai_responses" else "messages": messages}})
    sent = send(call, client, BY_UPSTREAM["ollama"])
    assert sent.request is not None
    assert sent.losses["tool_choice"] == "emulated"
    message = {"role": "assistant", "content": '{"input": "free text"}'}
    answer = json.dumps({"model": "m", "message": message, "done": True, "done_reason": "stop"}).encode()
    written = translation_of(call, client, "ollama").decode_response(answer, call, BY_UPSTREAM["ollama"])
    assert b'"input":"free text"' in written.body
