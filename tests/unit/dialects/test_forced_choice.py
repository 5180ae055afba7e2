"""A forced call of one of several tools, for upstreams without `tool_choice`."""

import json
from typing import Any

import pytest

from intellirouter.core import DEFAULT_ANSWER_LIMITS, LossReport, errors
from intellirouter.dialects.adapt.forced_choice import ForcedCall, forced_call
from intellirouter.dialects.ir import (
    Choice,
    ChoiceFinished,
    Conversation,
    Event,
    FunctionTool,
    Message,
    PartEnded,
    Reasoning,
    ReasoningDelta,
    Response,
    Stop,
    StopReason,
    StreamEnded,
    StreamFailed,
    Text,
    TextDelta,
    ToolCall,
    ToolChoice,
    collect,
)
from tests.support.dialects.pairs import BY_UPSTREAM, call_of, send, translation_of

NODE = {"type": "object", "properties": {"next": {"$ref": "#/$defs/N"}}, "$defs": {"N": {"type": "string"}}}
TREE = {"type": "object", "properties": {"child": {"$ref": "#"}, "kind": {"enum": [{"$ref": "#"}]}}}
TOOLS = [
    FunctionTool(name="one", description="Returns the weather.", parameters=NODE),
    FunctionTool(name="two"),
    FunctionTool(name="three", parameters=TREE),
]
FORCED = ForcedCall(TOOLS)


def test_the_model_chooses_by_structured_output() -> None:
    conversation = Conversation(
        dialect="openai_chat",
        model="m",
        messages=[Message(role="user", parts=[Text(text="Weather?")])],
        tools=[*TOOLS],
        tool_choice=ToolChoice(mode="required"),
    )
    forced, losses = forced_call(conversation), LossReport()
    assert forced is not None
    changed = forced.requested(conversation, losses)
    assert [loss.how for loss in losses.taken()] == ["emulated"]
    assert (changed.tools, changed.tool_choice) == ([], None)
    instruction = changed.messages[0].parts[0]
    assert isinstance(instruction, Text)
    assert "- one: Returns the weather.\n- two" in instruction.text
    assert changed.output is not None
    schema = changed.output.schema
    assert schema is not None
    assert [each["properties"]["name"]["enum"] for each in schema["anyOf"]] == [["one"], ["two"], ["three"]]
    assert schema["$defs"]["tool_0"]["properties"]["next"] == {"$ref": "#/$defs/tool_0/$defs/N"}
    assert schema["$defs"]["tool_1"] == {"type": "object"}
    assert schema["$defs"]["tool_2"]["properties"] == {
        "child": {"$ref": "#/$defs/tool_2"},
        "kind": {"enum": [{"$ref": "#"}]},
    }
    assert NODE["properties"] == {"next": {"$ref": "#/$defs/N"}}


def respond(text: str, reason: StopReason = "stop") -> Choice:
    parts = [Reasoning(text="hm"), Text(text=text)]
    return FORCED.answered(Response(choices=[Choice(parts=parts, stop=Stop(reason=reason))])).choices[0]


class Script:
    """A decoder that returns one event per byte."""

    buffered_bytes = 0

    def __init__(self, *events: Event) -> None:
        self._events = list(events)

    def feed(self, data: bytes) -> list[Event]:
        return [self._events.pop(0) for _ in data]

    def end(self) -> list[Event]:
        return self._events


def stream(text: str, reason: StopReason = "stop", size: int = 1) -> list[Event]:
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    script = Script(
        ReasoningDelta(text="hm", part=0),
        *(TextDelta(text=piece, part=1) for piece in pieces),
        PartEnded(part=1),
        ChoiceFinished(stop=Stop(reason=reason)),
        StreamEnded(),
    )
    decoder = FORCED.decoder(script)
    return [*(event for _ in range(len(pieces) + 2) for event in decoder.feed(b"x")), *decoder.end()]


ANSWERS = {
    '{"name":"one","arguments":{"next":"}} "}}': ("one", {"next": "}} "}),
    ' {"name" : "two",\n "arguments" : {} } \n': ("two", {}),
    '{"name":"one","arguments":{"a":{"b":{}}}}': ("one", {"a": {"b": {}}}),
    '{"arguments":{"a":1},"name":"one"}': ("one", {"a": 1}),
    '{"name":"one","arguments":null}': ("one", {}),
    '{"name":"two"}': ("two", {}),
}


@pytest.mark.parametrize("text", ANSWERS)
def test_the_answer_becomes_the_call(text: str) -> None:
    for size in (1, 3, len(text)):
        for choice in (respond(text), collect(stream(text, size=size)).choices[0]):
            reasoning, call = choice.parts
            assert reasoning == Reasoning(text="hm")
            assert isinstance(call, ToolCall)
            assert (call.name, call.arguments_object()) == ANSWERS[text]
            assert choice.stop == Stop(reason="tool_calls")


def test_arguments_are_streamed_as_they_arrive() -> None:
    decoder = FORCED.decoder(Script(*(TextDelta(text=each) for each in ('{"name":"one","arguments":', '{"a":', "1"))))
    assert [len(decoder.feed(b"x")) for _ in range(3)] == [1, 1, 1]


@pytest.mark.parametrize("text", ['{"name":"four","arguments":{}}', "The weather is fine.", "[]", '{"name":"one"', ""])
def test_answer_that_is_no_call_is_invalid(text: str) -> None:
    with pytest.raises(errors.UpstreamOutputInvalid):
        respond(text)
    last = stream(text)[-1]
    assert isinstance(last, StreamFailed)
    assert isinstance(last.error, errors.UpstreamOutputInvalid)


@pytest.mark.parametrize(
    ("text", "arguments"), [('{"name":"one","arguments":{"a":{', '{"a":{'), ('{"name":"o', None), ("", None)]
)
def test_answer_that_was_cut_off_keeps_its_stop(text: str, arguments: str | None) -> None:
    choice = collect(stream(text, "length")).choices[0]
    assert choice.stop == Stop(reason="length")
    assert [part.arguments for part in choice.parts if isinstance(part, ToolCall)] == ([arguments] if arguments else [])
    assert respond(text, "length").stop == Stop(reason="length")


def test_what_is_held_back_is_limited() -> None:
    limit = DEFAULT_ANSWER_LIMITS.chars
    for texts in (['{"name":"one","arguments":{', " " * 5000], ["x" * 2000, "x" * limit]):
        decoder = FORCED.decoder(Script(*(TextDelta(text=text) for text in texts)))
        events = decoder.feed(b"xx")
        assert isinstance(events[-1], StreamFailed)
        assert isinstance(events[-1].error, errors.UpstreamMalformed)


FUNCTION = {"description": "d", "parameters": {"type": "object", "properties": {}}}
CLIENTS: dict[str, dict[str, Any]] = {
    "openai_chat": {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "tools": [{"type": "function", "function": {"name": name, **FUNCTION}} for name in "ab"],
        "tool_choice": "required",
    },
    "openai_responses": {
        "model": "m",
        "input": "hi",
        "tools": [{"type": "function", "name": name, **FUNCTION} for name in "ab"],
        "tool_choice": "required",
    },
    "anthropic_messages": {
        "model": "m",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "hi"}],
        "tools": [{"name": name, "input_schema": {"type": "object"}} for name in "ab"],
        "tool_choice": {"type": "any"},
    },
    "gemini": {
        "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
        "tools": [{"functionDeclarations": [{"name": name, **FUNCTION} for name in "ab"]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
    },
}


@pytest.mark.parametrize("client", CLIENTS)
def test_choice_among_several_forced_tools_works_over_ollama(client: str) -> None:
    path = {"model": "m", "is_stream": False, "query": ""} if client == "gemini" else None
    call = call_of(client, {"body": CLIENTS[client], "path": path})
    sent = send(call, client, BY_UPSTREAM["ollama"])
    assert sent.request is not None
    assert "anyOf" in json.loads(sent.request.body)["format"]
    message = {"role": "assistant", "content": '{"name":"b","arguments":{"x":1}}'}
    answer = json.dumps({"model": "m", "message": message, "done": True, "done_reason": "stop"}).encode()
    written = translation_of(call, client, "ollama").decode_response(answer, call, BY_UPSTREAM["ollama"])
    assert written.finish_reason == "tool_calls"
    assert b'"name":"b"' in written.body


@pytest.mark.parametrize("client", ["openai_chat", "openai_responses"])
def test_forced_tool_together_with_a_format_says_what_works(client: str) -> None:
    form = {"type": "json_object"}
    member = {"response_format": form} if client == "openai_chat" else {"text": {"format": form}}
    refusal = send(call_of(client, {"body": CLIENTS[client] | member}), client, BY_UPSTREAM["ollama"]).refusal
    assert refusal is not None
    assert "answer in a format" in refusal.message
