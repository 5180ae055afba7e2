"""Names of tools' properties: fitted to Claude's rule, and restored in answers."""

import json
from typing import Any

import pytest
from msgspec import structs

from intellirouter.core import AnswerLimits, LossReport, errors
from intellirouter.dialects.adapt.tool_properties import (
    ClientPropertiesDecoder,
    fitted_properties,
    with_client_properties,
    with_fitted_properties,
)
from intellirouter.dialects.ir import (
    ArgumentsDelta,
    Choice,
    ChoiceFinished,
    Conversation,
    Event,
    FunctionTool,
    Message,
    PartEnded,
    Response,
    Stop,
    Text,
    ToolCall,
    ToolCallStarted,
    events_of,
)
from intellirouter.dialects.wire.tool_name_rule import CLAUDE_PROPERTIES
from tests.support.dialects.pairs import BY_UPSTREAM, call_of, encode_answer, encode_stream, translation_of
from tests.support.dialects.raising import RaisingDecoder

SCHEMA = {
    "type": "object",
    "properties": {"filter[id]": {"type": "string"}, "filter_id_": {"type": "object", "properties": {"in[x]": {}}}},
    "required": ["filter[id]"],
}
TOOL = FunctionTool(name="list apps", parameters=SCHEMA)
OTHER = FunctionTool(name="other", parameters={"type": "object", "properties": {"a.b-c": {}}})
CONVERSATION = Conversation(
    dialect="openai_chat",
    model="m",
    tools=[TOOL, OTHER, FunctionTool(name="none")],
    messages=[
        Message(role="user", parts=[Text(text="hi")]),
        Message(
            role="assistant",
            parts=[
                ToolCall(id="1", name="list apps", arguments='{"filter[id]":"7","z":1}'),
                ToolCall(id="2", name="list apps", arguments='{"filter[id'),
                ToolCall(id="3", name="other", arguments='{"filter[id]":"7"}'),
            ],
        ),
    ],
)


def fitted() -> dict[str, dict[str, str]]:
    properties = fitted_properties(CONVERSATION, CLAUDE_PROPERTIES)
    assert properties is not None
    return properties


def test_only_properties_that_do_not_fit_are_renamed_and_stay_distinct() -> None:
    assert list(fitted()) == ["list apps"]
    name = fitted()["list apps"]["filter[id]"]
    assert CLAUDE_PROPERTIES.is_valid(name)
    assert name != "filter_id_"
    assert fitted_properties(structs.replace(CONVERSATION, tools=[OTHER]), CLAUDE_PROPERTIES) is None
    assert fitted_properties(CONVERSATION, None) is None


def test_schema_and_history_get_the_fitted_names() -> None:
    losses, name = LossReport(), fitted()["list apps"]["filter[id]"]
    changed = with_fitted_properties(CONVERSATION, fitted(), losses)
    tool = changed.tools[0]
    assert isinstance(tool, FunctionTool)
    assert tool.parameters == {
        "type": "object",
        "properties": {name: {"type": "string"}, "filter_id_": {"type": "object", "properties": {"in[x]": {}}}},
        "required": [name],
    }
    calls = [part.arguments for part in changed.messages[1].parts if isinstance(part, ToolCall)]
    assert calls == [f'{{"{name}":"7","z":1}}', '{"filter[id', '{"filter[id]":"7"}']
    assert changed.messages[0] is CONVERSATION.messages[0]
    assert [(loss.field, loss.how) for loss in losses.taken()] == [("tools[].parameters.properties", "converted")]


def test_properties_of_alternatives_are_renamed() -> None:
    tool = FunctionTool(name="t", parameters={"anyOf": [{"properties": {"a b": {}}}, {"properties": {"c": {}}}]})
    conversation = structs.replace(CONVERSATION, tools=[tool])
    properties = fitted_properties(conversation, CLAUDE_PROPERTIES)
    assert properties == {"t": {"a b": "a_b"}}
    changed = with_fitted_properties(conversation, properties, LossReport()).tools[0]
    assert isinstance(changed, FunctionTool)
    assert changed.parameters == {"type": "object", "properties": {"a_b": {}, "c": {}}}


def test_the_response_gets_the_names_of_the_client() -> None:
    name = fitted()["list apps"]["filter[id]"]
    parts: list[Any] = [Text(text="x"), ToolCall(id="1", name="list apps", arguments=f'{{"{name}":"7"}}')]
    response = with_client_properties(Response(choices=[Choice(parts=parts)]), fitted())
    assert response.choices[0].parts == [
        Text(text="x"),
        ToolCall(id="1", name="list apps", arguments='{"filter[id]":"7"}'),
    ]


class _Decoder:
    """Returns the events it was given, one per byte."""

    buffered_bytes = 0

    def __init__(self, events: list[Event]) -> None:
        self._events = events

    def feed(self, data: bytes) -> list[Event]:
        taken, self._events = self._events[: len(data)], self._events[len(data) :]
        return taken

    def end(self) -> list[Event]:
        return self._events


@pytest.mark.parametrize("has_part_end", [True, False])
def test_arguments_in_a_stream_are_held_back_until_they_are_complete(has_part_end: bool) -> None:
    name = fitted()["list apps"]["filter[id]"]
    start = ToolCallStarted(id="1", name="list apps")
    other = [ToolCallStarted(id="2", name="other", part=1), ArgumentsDelta(text="{}", part=1)]
    finished = [*([PartEnded()] if has_part_end else []), ChoiceFinished(stop=Stop(reason="tool_calls"))]
    pieces = [ArgumentsDelta(text=f'{{"{name[:4]}'), *other, ArgumentsDelta(text=f'{name[4:]}":1}}')]
    decoder = ClientPropertiesDecoder(_Decoder([start, *pieces, *finished]), fitted(), AnswerLimits())
    assert decoder.feed(b"1234") == [start, *other]
    assert decoder.buffered_bytes == 6
    assert decoder.feed(b"5") == []
    assert decoder.end() == [ArgumentsDelta(text='{"filter[id]":1}'), *finished]
    assert decoder.buffered_bytes == 0


def test_arguments_without_end_are_rejected() -> None:
    events: list[Event] = [ToolCallStarted(id="1", name="list apps"), ArgumentsDelta(text="x" * 11)]
    decoder = RaisingDecoder(ClientPropertiesDecoder(_Decoder(events), fitted(), AnswerLimits(chars=10)))
    with pytest.raises(errors.UpstreamAnswerTooLarge):
        decoder.feed(b"12")


def test_a_call_without_arguments_in_a_stream() -> None:
    events: list[Event] = [ToolCallStarted(id="1", name="list apps"), PartEnded()]
    assert ClientPropertiesDecoder(_Decoder(events), fitted(), AnswerLimits()).end() == events


def test_names_and_properties_through_the_translation() -> None:
    function = {"type": "function", "function": {"name": "list apps", "parameters": SCHEMA}}
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "tools": [function]}
    target = BY_UPSTREAM["anthropic_messages"]
    call = call_of("openai_chat", {"body": body})
    route = translation_of(call, "openai_chat", "anthropic_messages")
    tool = json.loads(route.encode_request(call, target).body)["tools"][0]
    name = next(iter(tool["input_schema"]["properties"]))
    assert (tool["name"], tool["input_schema"]["required"]) == ("list_apps", [name])
    assert CLAUDE_PROPERTIES.is_valid(name)
    parts: list[Any] = [ToolCall(id="1", name="list_apps", arguments=json.dumps({name: "7"}))]
    response = Response(id="r", model="m", choices=[Choice(parts=parts, stop=Stop(reason="tool_calls"))])
    answer = route.decode_response(encode_answer(response, "anthropic_messages")[0], call, target)
    assert answer.body is not None
    function = json.loads(answer.body)["choices"][0]["message"]["tool_calls"][0]["function"]
    assert function == {"name": "list apps", "arguments": '{"filter[id]":"7"}'}

    call = call_of("openai_chat", {"body": {**body, "stream": True}})
    relay = route.relay(call, target)
    out = relay.feed(encode_stream([*events_of(response)], "anthropic_messages")[0]) + relay.end()
    chunks = [json.loads(line[6:]) for line in out.decode().split("\n") if line.startswith("data: {")]
    calls = [
        each["function"]
        for chunk in chunks
        for choice in chunk["choices"]
        for each in choice["delta"].get("tool_calls", ())
    ]
    assert "".join(each.get("name", "") for each in calls) == "list apps"
    assert "".join(each.get("arguments", "") for each in calls) == '{"filter[id]":"7"}'
