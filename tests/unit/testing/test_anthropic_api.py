"""MockVendor's Anthropic API: format, equal content in stream and body, and validation."""

import json
from typing import Any

import pytest

from intellirouter.fake.reply import Reply
from intellirouter.testing.wires.anthropic import AnthropicApi
from tests.support.mock_vendor.requests import named_events, wire_request

HEADERS = {"x_api_key": "k", "anthropic_version": "2023-06-01"}
WEATHER = {
    "name": "weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
USER = {"role": "user", "content": "hello there"}
CALL = {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "weather", "input": {}}]}
RESULT = {"type": "tool_result", "tool_use_id": "t1", "content": "sunny"}
THINK = {"type": "enabled", "budget_tokens": 1024}


def body(**fields: Any) -> dict[str, Any]:
    return {"model": "claude-m", "max_tokens": 2000, "messages": [USER], **fields}


def ask(document: Any = None, *, api: AnthropicApi | None = None, path: str = "/v1/messages", **headers: str) -> Reply:
    api = api or AnthropicApi()
    return api.answer(wire_request(path, document or body(), **(headers or HEADERS)))


def message(**fields: Any) -> Any:
    reply = ask(body(**fields))
    assert reply.status == 200, reply.parts
    return json.loads(reply.parts[0])


def rejection(document: Any, **headers: str) -> tuple[int, str, str]:
    reply = ask(document, **headers)
    answer = json.loads(reply.parts[0])
    assert set(answer) == {"type", "error", "request_id"}
    assert answer["request_id"] == dict(reply.headers)["request-id"]
    return reply.status, answer["error"]["type"], answer["error"]["message"]


def joined(events: list[Any]) -> Any:
    """Assemble a message from its stream as a client does, and check the order of the events."""
    assert [event["type"] for event in events[-2:]] == ["message_delta", "message_stop"]
    whole = events[0]["message"]
    assert (whole["content"], whole["stop_reason"]) == ([], None)
    blocks: list[Any] = []
    is_open = False
    for event in events[1:-2]:
        match event["type"]:
            case "content_block_start":
                assert (event["index"], is_open) == (len(blocks), False)
                blocks.append({**event["content_block"], "json": ""})
                is_open = True
            case "content_block_delta":
                assert event["index"] == len(blocks) - 1
                delta = event["delta"]
                name = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature",
                        "input_json_delta": "partial_json"}[delta["type"]]  # fmt: skip
                target = "json" if name == "partial_json" else name
                blocks[-1][target] += delta[name]
            case "content_block_stop":
                is_open = False
    for block in blocks:
        text = block.pop("json")
        if block["type"] == "tool_use":
            block["input"] = json.loads(text)
    last = events[-2]
    return {**whole, "content": blocks, **last["delta"], "usage": {**whole["usage"], **last["usage"]}}


def test_a_message_has_every_field() -> None:
    whole = message()
    assert whole["content"] == [{"type": "text", "text": "claude-m: hello there"}]
    assert (whole["type"], whole["role"], whole["stop_reason"], whole["stop_sequence"]) == (
        "message", "assistant", "end_turn", None,
    )  # fmt: skip
    assert whole["id"].startswith("msg_")
    assert {"input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"} <= set(
        whole["usage"]
    )


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"max_tokens": 2},
        {"stop_sequences": ["there"]},
        {"tools": [WEATHER], "tool_choice": {"type": "any"}},
        {
            "tools": [WEATHER],
            "messages": [{"role": "user", "content": 'call weather with {"city":"A"}, call weather with {}'}],
        },
        {"thinking": THINK},
        {"thinking": {"type": "adaptive", "display": "omitted"}},
        {"model": "refuse"},
        {"messages": [{"role": "user", "content": "ANTHROPIC_MAGIC_STRING_TRIGGER_REFUSAL_1"}]},
        {"system": [{"type": "text", "text": "be kind", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]},
    ],
    ids=str,
)
def test_stream_and_message_have_the_same_content(fields: dict[str, Any]) -> None:
    whole = message(**fields)
    stream = joined(named_events(ask(body(**fields, stream=True))))
    for document in (whole, stream):
        document.pop("id")
        for block in document["content"]:
            block.pop("id", None)
            block.pop("signature", None)
    assert stream == whole


def test_stop_reasons() -> None:
    assert message(stop_sequences=["there"])["stop_sequence"] == "there"
    assert message(stop_sequences=["there"])["stop_reason"] == "stop_sequence"
    assert message(max_tokens=1)["stop_reason"] == "max_tokens"
    assert message(tools=[WEATHER], tool_choice={"type": "tool", "name": "weather"})["stop_reason"] == "tool_use"
    assert message(model="refuse")["stop_details"]["type"] == "refusal"


def test_parallel_calls_and_tool_choice() -> None:
    repeated = [{"role": "user", "content": "call weather with {} and call weather with {}"}]
    assert len(message(tools=[WEATHER], messages=repeated)["content"]) == 2
    one = message(tools=[WEATHER], messages=repeated, tool_choice={"type": "auto", "disable_parallel_tool_use": True})
    assert len(one["content"]) == 1
    assert message(tools=[WEATHER], messages=repeated, tool_choice={"type": "none"})["stop_reason"] == "end_turn"


def test_structured_output_satisfies_its_schema() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"],
              "additionalProperties": False}  # fmt: skip
    text = message(output_config={"format": {"type": "json_schema", "schema": schema}})["content"][0]["text"]
    assert json.loads(text) == {"a": 1}


def test_changed_thinking_is_rejected() -> None:
    user = {"role": "user", "content": "call weather with {}"}
    thinking, call = message(thinking=THINK, tools=[WEATHER], messages=[user])["content"]
    assert thinking["thinking"].startswith("The user wrote: ")
    result = {"role": "user", "content": [{**RESULT, "tool_use_id": call["id"]}]}

    def again(*blocks: Any) -> Any:
        history = [user, {"role": "assistant", "content": list(blocks)}, result]
        return body(thinking=THINK, tools=[WEATHER], messages=history)

    assert json.loads(ask(again(thinking, call)).parts[0])["content"][-1]["text"] == "claude-m: sunny"
    wrong = "messages.1.content.0: Invalid `signature` in `thinking` block"
    assert rejection(again({**thinking, "thinking": "other"}, call))[2] == wrong
    assert rejection(again({**thinking, "signature": "bW9jaw=="}, call))[2] == wrong
    assert "Expected `thinking` or `redacted_thinking`, but found `tool_use`" in rejection(again(call))[2]


def test_omitted_and_redacted_thinking_is_accepted_back() -> None:
    for fields in (
        {"thinking": {"type": "adaptive", "display": "omitted"}},
        {"thinking": {"type": "adaptive"},
         "messages": [{"role": "user", "content": "ANTHROPIC_MAGIC_STRING_TRIGGER_REDACTED_THINKING_46C9"}]},
    ):  # fmt: skip
        content = message(**fields)["content"]
        assert content[0].get("thinking", "") == ""
        assert message(messages=[USER, {"role": "assistant", "content": content}, USER])["content"]


def test_cache_is_written_once_and_then_read() -> None:
    api = AnthropicApi()
    fields = {"system": [{"type": "text", "text": "a b c d", "cache_control": {"type": "ephemeral"}}]}
    first, second = (json.loads(ask(body(**fields), api=api).parts[0])["usage"] for _ in range(2))
    assert (first["cache_creation_input_tokens"], first["cache_read_input_tokens"]) == (4, 0)
    assert first["cache_creation"]["ephemeral_5m_input_tokens"] == 4
    assert (second["cache_creation_input_tokens"], second["cache_read_input_tokens"]) == (0, 4)
    plain = json.loads(ask(body(system="a b c d"), api=api).parts[0])["usage"]
    assert plain["input_tokens"] == first["input_tokens"] + 4


def test_count_tokens() -> None:
    document = body(system="be kind", tools=[WEATHER])
    del document["max_tokens"]
    counted = json.loads(ask(document, path="/v1/messages/count_tokens").parts[0])
    assert counted == {"input_tokens": message(system="be kind", tools=[WEATHER])["usage"]["input_tokens"]}
    assert ask(body(), path="/v1/messages/count_tokens").status == 400


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"max_tokens": None}, "max_tokens: Input should be a valid integer"),
        ({"max_tokens": 0}, "max_tokens: Input should be greater than or equal to 1"),
        ({"seed": 1}, "seed: Extra inputs are not permitted"),
        ({"context_management": {}}, "context_management: Extra inputs are not permitted"),
        ({"metadata": {"team": "a"}}, "metadata.team: Extra inputs are not permitted"),
        ({"temperature": 1.5}, "temperature: range: 0..1"),
        ({"model": "claude-opus-4-6", "temperature": 1, "top_p": 1}, "`temperature` and `top_p` cannot both"),
        ({"messages": []}, "messages: at least one message is required"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role: Input should be 'user', 'assistant' or"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, 'first message must use the "user" role'),
        ({"messages": [{"role": "user", "content": ""}]}, "user messages must have non-empty content"),
        ({"messages": [{"role": "user", "content": []}]}, "all messages must have non-empty content"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": ""}]}]},
         "messages: text content blocks must be non-empty"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": " \n"}]}]},
         "messages: text content blocks must contain non-whitespace text"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "a", "x": 1}]}]},
         "messages.0.content.0.text.x: Extra inputs are not permitted"),
        ({"messages": [{"role": "user", "content": [{"type": "input_text", "text": "a"}]}]},
         "messages.0.content.0: Input tag 'input_text' found"),
        ({"messages": [{**USER, "name": "bob"}]}, "messages.0.name: Extra inputs are not permitted"),
        ({"messages": [USER, CALL]}, "messages.1: `tool_use` ids were found without `tool_result` blocks"),
        ({"messages": [USER, CALL, {"role": "user", "content": [{"type": "text", "text": "a"}, RESULT]}]},
         "messages.1: `tool_use` ids were found without `tool_result` blocks"),
        ({"messages": [USER, CALL, {"role": "user", "content": [RESULT, RESULT]}]}, "each tool_use must have a single"),
        ({"messages": [{"role": "user", "content": [RESULT]}]},
         "messages.0.content.0: unexpected `tool_use_id` found in `tool_result` blocks: t1. Each"),
        ({"messages": [USER, {"role": "assistant", "content": "so "}]}, "cannot end with trailing whitespace"),
        ({"model": "claude-opus-5-5", "messages": [USER, {"role": "assistant", "content": "so"}]}, "message prefill"),
        ({"messages": [USER, {"role": "assistant", "content": [{**CALL["content"][0], "id": "a.b"}]}]},
         "String should match pattern '^[a-zA-Z0-9_-]+$'"),
        ({"tools": [{"name": "a.b", "input_schema": {"type": "object"}}]}, "tools.0.custom.name: String should match"),
        ({"tools": [{"name": "a", "parameters": {}}]}, "tools.0.custom.parameters: Extra inputs are not permitted"),
        ({"tools": [{"name": "a"}]}, "tools.0.custom.input_schema: Field required"),
        ({"tools": [{"name": "a", "input_schema": {"type": "object", "anyOf": []}}]}, "does not support oneOf, allOf"),
        ({"tools": [WEATHER, WEATHER]}, "tools: Tool names must be unique."),
        ({"tool_choice": {"type": "auto"}}, "may only be specified while providing `tools`"),
        ({"tools": [WEATHER], "tool_choice": "auto"}, "tool_choice: Input should be a valid dictionary"),
        ({"tools": [WEATHER], "tool_choice": {"type": "required"}}, "tool_choice.type: Input should be 'auto', 'any'"),
        ({"tools": [WEATHER], "tool_choice": {"type": "tool", "name": "x"}}, "Tool 'x' not found in provided tools"),
        ({"tools": [WEATHER], "tool_choice": {"type": "any"}, "thinking": THINK}, "tool_choice forces tool use"),
        ({"thinking": {"type": "enabled"}}, "thinking.enabled.budget_tokens: Field required"),
        ({"thinking": {"type": "enabled", "budget_tokens": 5}}, "greater than or equal to 1024"),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, "greater than `thinking.budget_tokens`"),
        ({"thinking": THINK, "temperature": 0.5}, "`temperature` may only be set to 1 when thinking"),
        ({"thinking": THINK, "top_k": 5}, "`top_k` must be unset"),
        ({"stop_sequences": [" "]}, "each stop sequence must contain non-whitespace"),
        ({"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}},
         "'additionalProperties' must be explicitly set to false"),
        ({"system": [{"type": "text", "text": str(n), "cache_control": {"type": "ephemeral"}} for n in range(5)]},
         "A maximum of 4 blocks with cache_control may be provided. Found 5."),
        ({"stream": "yes"}, "stream: Input should be a valid boolean"),
    ],
    ids=str,
)  # fmt: skip
def test_invalid_requests_are_rejected(fields: dict[str, Any], expected: str) -> None:
    status, kind, message_ = rejection(body(**fields))
    assert (status, kind) == (400, "invalid_request_error")
    assert expected in message_


def test_missing_max_tokens_is_rejected() -> None:
    assert rejection({"model": "m", "messages": [USER]})[2] == "max_tokens: Field required"


def test_accepted_variants() -> None:
    repeated = [USER, USER, {"role": "assistant", "content": "a"}, {"role": "assistant", "content": "b"}, USER]
    assert message(messages=repeated)
    assert message(messages=[USER, {"role": "system", "content": "be kind"}, USER])
    assert message(tools=[{"type": "web_search_20250305", "name": "web_search", "max_uses": 3}])
    assert ask(body(context_management={}), **HEADERS, anthropic_beta="context-management-2025-06-27").status == 200


@pytest.mark.parametrize(
    ("headers", "status", "expected"),
    [
        ({"anthropic_version": "2023-06-01"}, 401, "x-api-key header is required"),
        ({"x_api_key": "k"}, 400, "anthropic-version: header is required"),
        ({"authorization": "Bearer k", "anthropic_version": "2023-06-01"}, 200, ""),
        ({"x_api_key": "wrong", "anthropic_version": "2023-06-01"}, 401, "invalid x-api-key"),
    ],
)
def test_authentication_headers(headers: dict[str, str], status: int, expected: str) -> None:
    reply = ask(api=AnthropicApi("k"), **headers)
    assert reply.status == status
    assert expected in reply.parts[0].decode()


def test_models_and_unknown_paths() -> None:
    def get(path: str, method: str = "GET") -> tuple[int, Any]:
        reply = AnthropicApi().answer(wire_request(path, method=method, **HEADERS))
        return reply.status, json.loads(reply.parts[0])

    first = get("/v1/models?limit=1")[1]
    assert (len(first["data"]), first["has_more"]) == (1, True)
    rest = get(f"/v1/models?after_id={first['last_id']}")[1]
    assert (len(rest["data"]), rest["has_more"]) == (1, False)
    assert get("/v1/models/any%2Fname")[1]["id"] == "any/name"
    for path, method, status in [("/v1/models/no-such-x", "GET", 404), ("/v1/models?limit=0", "GET", 400),
                                 ("/v1/nothing", "GET", 404), ("/v1/messages", "GET", 405),
                                 ("/v1/models", "POST", 405)]:  # fmt: skip
        found, document = get(path, method)
        assert (found, document["type"]) == (status, "error")
    assert ask(body(model="no-such-x")).status == ask(body(model="embed")).status == 404
    assert ask(b"[1]").status == 400
