"""Chat completions of the fake models: OpenAI's format, and equal content in stream and body."""

import json
from typing import Any

import jsonschema
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from intellirouter.fake.openai.answer import answer
from intellirouter.testing.wires.openai.models import describe_model, list_models
from tests.support.mock_vendor.requests import CLOCK, WEATHER, both, chat, chunks, document, joined


def test_body_has_every_field_in_openais_order() -> None:
    whole = document(chat())
    assert list(whole) == [
        "id", "object", "created", "model", "choices", "usage", "service_tier", "system_fingerprint",
    ]  # fmt: skip
    assert whole["id"].startswith("chatcmpl-")
    assert whole["object"] == "chat.completion"
    assert whole["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "m: hello", "refusal": None, "annotations": []},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ]
    assert set(whole["usage"]) == {
        "prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details", "completion_tokens_details",
    }  # fmt: skip
    ChatCompletion.model_validate(whole, strict=True)


@pytest.mark.parametrize("wants_usage", [False, True])
def test_stream_starts_with_the_role_and_ends_with_done(wants_usage: bool) -> None:
    options = {"stream_options": {"include_usage": True}} if wants_usage else {}
    stream = chunks(chat("hi there", stream=True, **options))
    for chunk in stream:
        ChatCompletionChunk.model_validate(chunk, strict=True)
    assert len({chunk["id"] for chunk in stream}) == 1
    assert {chunk["object"] for chunk in stream} == {"chat.completion.chunk"}
    spoken = [chunk for chunk in stream if chunk["choices"]]
    assert spoken[0]["choices"][0]["delta"] == {"role": "assistant", "content": "", "refusal": None}
    assert [c["choices"][0]["finish_reason"] for c in spoken] == [None] * (len(spoken) - 1) + ["stop"]
    assert spoken[-1]["choices"][0]["delta"] == {}
    if wants_usage:
        assert all(chunk["usage"] is None for chunk in spoken)
        assert stream[-1]["choices"] == []
        assert stream[-1]["usage"]["total_tokens"] > 0
    else:
        assert spoken == stream
        assert not any("usage" in chunk for chunk in stream)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"n": 3},
        {"stop": "lo"},
        {"stop": ["zz", "h"]},
        {"max_tokens": 1},
        {"max_completion_tokens": 1, "max_tokens": None},
        {"model": "gen-20"},
        {"model": "lorem-7"},
        {"tools": [WEATHER, CLOCK], "tool_choice": "required"},
        {"tools": [WEATHER], "tool_choice": "required", "max_tokens": 8},
        {"model": "tools", "tools": [WEATHER, CLOCK]},
        {"response_format": {"type": "json_object"}},
    ],
    ids=str,
)
def test_stream_and_body_have_the_same_content(fields: dict[str, Any]) -> None:
    whole, stream = both("hello 你好, wörld", **fields)
    assert stream["usage"] == whole["usage"]
    for from_stream, choice in zip(stream["choices"], whole["choices"], strict=True):
        assert from_stream["finish_reason"] == choice["finish_reason"]
        assert from_stream["content"] == choice["message"]["content"]
        calls = [(call["function"]["name"], call["function"]["arguments"])
                 for call in choice["message"].get("tool_calls", [])]  # fmt: skip
        assert [(call["name"], call["arguments"]) for call in from_stream["tool_calls"].values()] == calls


def test_limits_cut_the_text() -> None:
    assert document(chat(stop="lo"))["choices"][0]["message"]["content"] == "m: hel"
    cut = document(chat("a b c d", max_tokens=3))
    assert cut["choices"][0]["message"]["content"] == "m: a b"
    assert cut["choices"][0]["finish_reason"] == "length"
    assert cut["usage"]["completion_tokens"] == 3


@pytest.mark.parametrize("model", ["gen-20", "lorem-20", "fake/lorem-20"])
def test_filler_models_return_the_requested_number_of_tokens(model: str) -> None:
    assert document(chat(model=model))["usage"]["completion_tokens"] == 20


def test_choices_differ() -> None:
    contents = [choice["message"]["content"] for choice in document(chat(n=3))["choices"]]
    assert contents == ["m: hello", "m: hello [1]", "m: hello [2]"]


def test_calls_in_the_prompt_are_made_in_parallel() -> None:
    text = 'Please call weather with {"city": "Oslo", "days": 3} and call clock, then call unknown with {}'
    whole = document(chat(text, tools=[WEATHER, CLOCK]))
    calls = whole["choices"][0]["message"]["tool_calls"]
    assert [(call["function"]["name"], json.loads(call["function"]["arguments"])) for call in calls] == [
        ("weather", {"city": "Oslo", "days": 3}),
        ("clock", {}),
    ]
    assert whole["choices"][0]["message"]["content"] is None
    assert whole["choices"][0]["finish_reason"] == "tool_calls"
    assert len({call["id"] for call in calls}) == 2
    one = document(chat(text, tools=[WEATHER, CLOCK], parallel_tool_calls=False))
    assert len(one["choices"][0]["message"]["tool_calls"]) == 1


@pytest.mark.parametrize("fields", [{}, {"tools": [WEATHER], "tool_choice": "none"}])
def test_no_call_without_a_tool_or_against_tool_choice(fields: dict[str, Any]) -> None:
    message = document(chat("call weather with {}", **fields))["choices"][0]["message"]
    assert message["content"] == "m: call weather with {}"
    assert "tool_calls" not in message


def test_text_that_only_looks_like_a_call_is_echoed() -> None:
    assert document(chat("call weather with {not json", tools=[WEATHER]))["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize(
    ("choice", "name"),
    [
        ("required", "weather"),
        ({"type": "function", "function": {"name": "clock"}}, "clock"),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "clock"}}]},
            },
            "clock",
        ),
    ],
)
def test_forced_calls_satisfy_the_schema_of_the_function(choice: Any, name: str) -> None:
    (call,) = document(chat(tools=[WEATHER, CLOCK], tool_choice=choice))["choices"][0]["message"]["tool_calls"]
    assert call["function"]["name"] == name
    schema: Any = {tool["function"]["name"]: tool["function"] for tool in (WEATHER, CLOCK)}[name]["parameters"]  # type: ignore[index]
    jsonschema.validate(json.loads(call["function"]["arguments"]), schema)


def test_tool_result_is_answered_with_text() -> None:
    messages = [
        {"role": "user", "content": "call clock"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "clock", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "noon"},
    ]
    whole = document(chat(messages=messages, tools=[CLOCK]))
    assert whole["choices"][0]["message"]["content"] == "m: noon"


def test_structured_output_satisfies_the_schema() -> None:
    schema = {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
              "required": ["name", "age"], "additionalProperties": False}  # fmt: skip
    wanted = {"type": "json_schema", "json_schema": {"name": "person", "schema": schema}}
    for choice in both(response_format=wanted, n=2)[0]["choices"]:
        jsonschema.validate(json.loads(choice["message"]["content"]), schema)


def test_logprobs_for_each_token() -> None:
    whole = document(chat(logprobs=True, top_logprobs=2))
    tokens = whole["choices"][0]["logprobs"]["content"]
    assert "".join(token["token"] for token in tokens) == "m: hello"
    assert [len(token["top_logprobs"]) for token in tokens] == [2] * len(tokens)
    ChatCompletion.model_validate(whole, strict=True)
    streamed = chunks(chat(logprobs=True, stream=True))
    pieces = [chunk["choices"][0]["logprobs"] for chunk in streamed if chunk["choices"][0]["logprobs"]]
    assert "".join(piece["content"][0]["token"] for piece in pieces) == "m: hello"


def test_content_parts_are_read_and_attachments_counted() -> None:
    parts = [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "data:,"}}]
    with_image = document(chat(messages=[{"role": "user", "content": parts}]))
    assert with_image["choices"][0]["message"]["content"] == "m: look"
    assert with_image["usage"]["prompt_tokens"] == document(chat("look"))["usage"]["prompt_tokens"] + 85


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": {}}, "messages"),
        ({"messages": ["hi"]}, "messages[0]"),
        ({"messages": [{"role": "wizard", "content": ""}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"stream": "yes"}, "stream"),
        ({"n": 0}, "n"),
        ({"n": 129}, "n"),
        ({"n": True}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"stop": ["a"] * 5}, "stop"),
        ({"stop": 5}, "stop"),
        ({"tools": [{}]}, "tools[0].function.name"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [CLOCK], "tool_choice": {"type": "function", "function": {"name": "no"}}}, "tool_choice"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
    ],
    ids=str,
)
def test_invalid_requests_are_rejected_by_field(fields: dict[str, Any], param: str) -> None:
    reply = chat(**fields)
    assert reply.status == 400
    refused = document(reply)["error"]
    assert refused["param"] == param
    assert refused["type"] == "invalid_request_error"
    assert set(refused) == {"message", "type", "param", "code"}


def test_null_means_the_default() -> None:
    nulls = dict.fromkeys(
        ["stream", "n", "stop", "max_tokens", "tools", "tool_choice", "response_format", "logprobs", "stream_options"]
    )
    assert document(chat(**nulls))["choices"] == document(chat())["choices"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b'{"model":"\xff"}', b"[" * 100_000, b"{" * 5], ids=str)
def test_body_that_is_not_a_json_object_is_rejected(body: bytes) -> None:
    model, reply = answer("/chat/completions", body, created_s=1)
    assert (model, reply.status) == (None, 400)
    assert "could not parse" in document(reply)["error"]["message"]


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"model": None}, 400, None),
        ({"model": 5}, 400, None),
        ({"model": "no-such-model"}, 404, "model_not_found"),
        ({"model": "embed"}, 404, None),
    ],
)
def test_models_without_chat_are_rejected(fields: dict[str, Any], status: int, code: str | None) -> None:
    reply = chat(**fields)
    assert reply.status == status
    assert document(reply)["error"]["code"] == code


def test_models_are_listed() -> None:
    assert [card["id"] for card in document(list_models(["a", "b"]))["data"]] == ["a", "b"]
    assert document(describe_model("org/model:1"))["id"] == "org/model:1"


def test_usage_on_the_last_choice_is_merged() -> None:
    stream = chunks(chat(stream=True, stream_options={"include_usage": True}))
    assert joined(stream)["usage"] == document(chat())["usage"]
