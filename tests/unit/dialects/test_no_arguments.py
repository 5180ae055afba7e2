"""Tool calls whose arguments are `null`, empty or the like are calls without arguments, in histories and in answers."""

import json
from typing import Any

import pytest

from intellirouter.dialects.adapt.answer_checks import validate_answer
from intellirouter.dialects.adapt.no_arguments import NoArguments
from intellirouter.dialects.ir import (
    ArgumentsDelta,
    Choice,
    ChoiceFinished,
    Conversation,
    Event,
    PartEnded,
    Response,
    Stop,
    TextDelta,
    ToolCall,
    ToolCallStarted,
)
from tests.support.dialects.pairs import BY_UPSTREAM, CLIENTS, call_of, plain_call, send, translation_of

EMPTY = ["", " \n", "null", " null ", "[]", '""', '"null"', '"{}"']


@pytest.mark.parametrize("arguments", EMPTY)
def test_arguments_without_content_are_an_empty_object(arguments: str) -> None:
    assert ToolCall(id="a", name="f", arguments=arguments).arguments_object() == {}


@pytest.mark.parametrize("arguments", ["nul", "[1]", "5", '"x"', '{"a": ', "n" * 100])
def test_other_arguments_that_are_not_an_object_are_still_none(arguments: str) -> None:
    assert ToolCall(id="a", name="f", arguments=arguments).arguments_object() is None


def _history(client: str, arguments: str) -> dict[str, Any]:
    call = {"name": "f", "arguments": arguments}
    if client == "openai_responses":
        items = [
            {"role": "user", "content": "hi"},
            {"type": "function_call", "call_id": "a", **call},
            {"type": "function_call_output", "call_id": "a", "output": "1"},
        ]
        return {"model": "m", "input": items}
    messages = [
        {"role": "user", "content": "hi"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "a", "type": "function", "function": call}],
        },
        {"role": "tool", "tool_call_id": "a", "content": "1"},
    ]
    return {"model": "m", "messages": messages}


def _sent_arguments(value: Any) -> list[Any]:
    """Return the arguments of all tool calls in a request, in any dialect."""
    if isinstance(value, list):
        return [found for each in value for found in _sent_arguments(each)]
    if not isinstance(value, dict):
        return []
    if "name" in value and (names := {"input", "args", "arguments"} & value.keys()):
        return [value[name] for name in names]
    return [found for each in value.values() for found in _sent_arguments(each)]


@pytest.mark.parametrize("arguments", EMPTY)
@pytest.mark.parametrize("upstream", list(BY_UPSTREAM))
@pytest.mark.parametrize("client", ["openai_chat", "openai_responses", "ollama"])
def test_history_of_every_client_reaches_every_upstream(client: str, upstream: str, arguments: str) -> None:
    if client == upstream:
        return  # its bytes are passed through
    sent = send(call_of(client, {"body": _history(client, arguments)}), client, BY_UPSTREAM[upstream])
    assert sent.request is not None
    found = _sent_arguments(json.loads(sent.request.body))
    assert found == [{}] if upstream in {"anthropic_messages", "bedrock", "gemini", "ollama"} else found == ["{}"]
    assert not [field for field in sent.losses if "argument" in field]


@pytest.mark.parametrize("arguments", EMPTY)
def test_an_answer_without_arguments_is_repaired(arguments: str) -> None:
    call = ToolCall(id="a", name="f", arguments=arguments)
    response = Response(choices=[Choice(parts=[call], stop=Stop(reason="tool_calls"))])
    (part,) = validate_answer(response, Conversation(dialect="openai_chat", model="m")).choices[0].parts
    assert part == ToolCall(id="a", name="f", arguments="{}")


def _chat_stream(*pieces: str) -> bytes:
    first = {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}
    deltas = [{"tool_calls": [first]}]
    deltas += [{"tool_calls": [{"index": 0, "function": {"arguments": piece}}]} for piece in pieces]
    choices: list[dict[str, Any]] = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": "tool_calls"})
    chunks = [{"id": "c", "object": "chat.completion.chunk", "model": "m", "choices": [each]} for each in choices]
    return b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"


@pytest.mark.parametrize("client", [each for each in CLIENTS if each != "openai_chat"])
@pytest.mark.parametrize("pieces", [("null",), ("nu", "ll"), (" ", "null"), ("[", "]"), ('""',)])
def test_streamed_null_is_an_empty_object_for_every_client(client: str, pieces: tuple[str, ...]) -> None:
    call = plain_call(client, is_stream=True)
    relay = translation_of(call, client, "openai_chat").relay(call, BY_UPSTREAM["openai_chat"])
    out = (relay.feed(_chat_stream(*pieces)) + relay.end()).decode()
    assert relay.error is None
    expected = {
        "anthropic_messages": '"partial_json":"{}"',
        "openai_responses": '"arguments":"{}"',
        "gemini": '"args":{}',
        "ollama": '"arguments":{}',
    }
    assert expected[client] in out.replace(" ", "")


def test_arguments_that_only_look_empty_at_first_are_complete() -> None:
    unusual = {(0, 0)}
    adapter = NoArguments()
    start = ToolCallStarted(id="a", name="f", part=0)
    events: list[Event] = [start, *(ArgumentsDelta(text=text, part=0) for text in (" ", '"{', "x", "}"))]
    assert [each.text for each in adapter.adapt(events, unusual) if isinstance(each, ArgumentsDelta)] == ['"{x', "}"]


def test_held_arguments_are_written_when_the_choice_ends() -> None:
    adapter = NoArguments()
    finish = ChoiceFinished(stop=Stop(reason="length"))
    events = adapter.adapt([ArgumentsDelta(text="nul", part=1), TextDelta(text="x", part=2), finish], {(0, 1)})
    assert events == [TextDelta(text="x", part=2), ArgumentsDelta(text="nul", part=1), finish]
    assert adapter.adapt([PartEnded(part=1)], {(0, 1)}) == [PartEnded(part=1)]
