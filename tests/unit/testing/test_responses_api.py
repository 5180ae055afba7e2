"""MockVendor's Responses API: events, stored responses, and validation."""

import json
from typing import Any

import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from intellirouter.fake.reply import Reply
from intellirouter.testing.wires.openai import OpenAiApi
from tests.support.mock_vendor.requests import named_events, wire_request

EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
WEATHER = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}}
SHELL = {"type": "custom", "name": "shell"}
SPACE = {"type": "namespace", "name": "ns", "description": "d", "tools": [{"type": "function", "name": "clock"}]}
CALLS = "call weather with {} and call shell with {} and call clock"


def send(api: OpenAiApi, path: str = "", document: Any = None, method: str = "POST") -> Reply:
    return api.answer(wire_request(f"/v1/responses{path}", document, method=method))


def created(api: OpenAiApi | None = None, **fields: Any) -> Any:
    reply = send(api or OpenAiApi(), "", {"model": "m", "input": "hello there", **fields})
    assert reply.status == 200, reply.parts
    return json.loads(reply.parts[0])


def refused(**fields: Any) -> Any:
    reply = send(OpenAiApi(), "", {"model": "m", "input": "hello", **fields})
    return {"status": reply.status, **json.loads(reply.parts[0])["error"]}


def text_of(response: Any) -> str:
    return "".join(part["text"] for item in response["output"] for part in item.get("content", []))


def joined(events: list[Any]) -> list[Any]:
    """Assemble the items from their deltas, and check the order of the events."""
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [event["type"] for event in events[:2]] == ["response.created", "response.in_progress"]
    items: list[Any] = []
    texts: dict[str, str] = {}
    for event in events[2:-1]:
        EVENT.validate_python(event)
        assert event["output_index"] == len(items) - (event["type"] != "response.output_item.added")
        kind = event["type"].removeprefix("response.")
        if kind == "output_item.added":
            items.append(event["item"])
            texts[event["item"]["id"]] = ""
        elif kind == "output_item.done":
            assert event["item"]["id"] == items[-1]["id"]
            items[-1] = event["item"]
        else:
            assert event["item_id"] == items[-1]["id"]
            if kind.endswith(".delta"):
                texts[event["item_id"]] += event["delta"]
            elif "part" not in event:
                (text,) = [event[name] for name in ("text", "refusal", "arguments", "input") if name in event]
                assert text == texts[event["item_id"]]
    return items


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"input": CALLS, "tools": [WEATHER, SHELL, SPACE]},
        {"reasoning": {"effort": "low", "summary": "auto"}, "include": ["reasoning.encrypted_content"]},
        {"reasoning": {"effort": "high"}},
        {"model": "gen-40", "max_output_tokens": 16},
        {"model": "refuse"},
        {"text": {"format": {"type": "json_schema", "name": "a", "schema": {"type": "object", "properties": {}}}}},
        {"stream_options": {"include_obfuscation": False}},
    ],
    ids=str,
)
def test_events_build_the_response(fields: dict[str, Any]) -> None:
    whole = created(**fields)
    Response.model_validate(whole, strict=True)
    events = named_events(send(OpenAiApi(), "", {"model": "m", "input": "hello there", **fields, "stream": True}))
    assert events[-1]["type"] == f"response.{whole['status']}"
    assert joined(events) == events[-1]["response"]["output"]
    stripped = [
        [{name: value for name, value in item.items() if name not in ("id", "call_id", "encrypted_content")}
         for item in response["output"]]
        for response in (whole, events[-1]["response"])
    ]  # fmt: skip
    assert stripped[0] == stripped[1]
    assert whole["usage"] == events[-1]["response"]["usage"]


def test_all_kinds_of_tools_are_called() -> None:
    items = created(input=CALLS, tools=[WEATHER, SHELL, SPACE, {"type": "web_search"}])["output"]
    assert [(item["type"], item["name"]) for item in items] == [
        ("function_call", "weather"), ("custom_tool_call", "shell"), ("function_call", "clock"),
    ]  # fmt: skip
    assert items[2]["namespace"] == "ns"
    assert len(created(input=CALLS, tools=[WEATHER, SHELL], parallel_tool_calls=False)["output"]) == 1
    named = created(tools=[WEATHER, SHELL], tool_choice={"type": "custom", "name": "shell"})["output"]
    assert [item["name"] for item in named] == ["shell"]
    assert created(input=CALLS, tools=[WEATHER], tool_choice="none")["output"][0]["type"] == "message"


def test_conversation_continues_from_a_stored_response() -> None:
    api = OpenAiApi()
    first = created(api, input="call weather with {}", tools=[WEATHER], instructions="be kind")
    (call,) = first["output"]
    output = {"type": "function_call_output", "call_id": call["call_id"], "output": "sunny"}
    second = created(api, input=[output], previous_response_id=first["id"])
    assert text_of(second) == "m: sunny"
    assert second["instructions"] is None  # they are not inherited
    by_reference = created(api, input=[{"type": "item_reference", "id": call["id"]}, output])
    assert text_of(by_reference) == "m: sunny"
    listed = json.loads(send(api, f"/{second['id']}/input_items?order=asc", method="GET").parts[0])
    assert [item["type"] for item in listed["data"]] == ["message", "function_call", "function_call_output"]
    assert refused(input=[output])["message"].startswith("No tool call found for function call output with call_id")


def test_changed_encrypted_reasoning_is_rejected() -> None:
    options = {"reasoning": {"effort": "low"}, "include": ["reasoning.encrypted_content"], "store": False}
    output = created(**options)["output"]
    again = [{"role": "user", "content": "a"}, *output, {"role": "user", "content": "b"}]
    assert text_of(created(input=again, **options)) == "m: b"
    broken = [again[0], {**output[0], "encrypted_content": "gAAAA"}, *again[2:]]
    assert refused(input=broken)["code"] == "invalid_encrypted_content"
    assert "without its required following item" in refused(input=again[:2])["message"]


def test_responses_are_stored_until_they_are_deleted() -> None:
    api = OpenAiApi()
    stored, gone = created(api), created(api, store=False)
    path = f"/{stored['id']}"
    assert json.loads(send(api, path, method="GET").parts[0]) == stored
    replayed = named_events(send(api, f"{path}?stream=true&starting_after=2", method="GET"))
    assert replayed[0]["sequence_number"] == 3
    assert send(api, f"/{gone['id']}", method="GET").status == 404
    assert json.loads(send(api, path, method="DELETE").parts[0])["deleted"] is True
    assert [send(api, path, method=method).status for method in ("GET", "DELETE")] == [404, 404]
    stored = created(api)
    api.reset()
    assert send(api, f"/{stored['id']}", method="GET").status == 404


def test_background_responses_can_be_polled_and_canceled() -> None:
    api = OpenAiApi()
    begun = created(api, background=True)
    assert (begun["status"], begun["output"]) == ("queued", [])
    looks = [json.loads(send(api, f"/{begun['id']}", method="GET").parts[0]) for _ in range(3)]
    assert [look["status"] for look in looks] == ["in_progress", "completed", "completed"]
    other = created(api, background=True)
    assert json.loads(send(api, f"/{other['id']}/cancel").parts[0])["status"] == "cancelled"
    assert json.loads(send(api, f"/{other['id']}", method="GET").parts[0])["status"] == "cancelled"
    assert send(api, f"/{created(api)['id']}/cancel").status == 400
    stream = named_events(send(api, "", {"model": "m", "input": "a", "background": True, "stream": True}))
    assert [event["type"] for event in stream[:3]] == ["response.created", "response.queued", "response.in_progress"]


def test_count_input_tokens() -> None:
    counted = json.loads(send(OpenAiApi(), "/input_tokens", {"model": "m", "input": "hello there"}).parts[0])
    assert counted["input_tokens"] == created()["usage"]["input_tokens"]


@pytest.mark.parametrize(
    ("fields", "param", "expected"),
    [
        ({"messages": []}, "messages", "this parameter has moved to 'input'"),
        ({"response_format": {}}, "response_format", "has moved to 'text.format'"),
        ({"seed": 1}, "seed", "Unknown parameter: 'seed'."),
        ({"input": None}, "input", "Missing required parameter: 'input'."),
        ({"input": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]}, "input[0].content[0].type",
         "Supported values are: 'input_text'"),
        ({"input": [{"role": "assistant", "content": [{"type": "input_text", "text": "a"}]}]},
         "input[0].content[0].type", "Supported values are: 'output_text'"),
        ({"input": [{"role": "tool", "content": "a"}]}, "input[0].role", "Invalid value: 'tool'."),
        ({"input": [{"type": "function_call", "call_id": "a", "name": "b"}]}, "input[0].arguments", "Missing required"),
        ({"input": [{"type": "function_call", "call_id": "a", "name": "b", "arguments": "{}"}]}, "input",
         "No tool output found for function call a."),
        ({"tools": [{"type": "function", "function": {"name": "a"}}]}, "tools[0].name", "Missing required parameter"),
        ({"tools": [WEATHER], "tool_choice": {"type": "function", "function": {"name": "weather"}}},
         "tool_choice.name", "Missing required parameter"),
        ({"tool_choice": "any"}, "tool_choice", "Invalid value: 'any'."),
        ({"max_output_tokens": 1}, "max_output_tokens", "Expected a value >= 16"),
        ({"text": {"format": {"type": "json_schema", "json_schema": {}}}}, "text.format.name", "Missing required"),
        ({"text": {"format": {"type": "json_object"}}}, "input", "must contain the word 'json'"),
        ({"reasoning": {"effort": "huge"}}, "reasoning.effort", "Invalid value: 'huge'."),
        ({"previous_response_id": "resp_x"}, "previous_response_id", "Previous response with id 'resp_x' not found."),
        ({"background": True, "store": False}, "background", "requires 'store'"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input", "Item with id 'x' not found."),
        ({"stream": "yes"}, "stream", "Invalid type for 'stream'"),
    ],
    ids=str,
)  # fmt: skip
def test_invalid_requests_are_rejected(fields: dict[str, Any], param: str, expected: str) -> None:
    error = refused(**fields)
    assert error["status"] == (404 if "Item with id" in expected else 400)
    assert error["param"] == param
    assert expected in error["message"]
