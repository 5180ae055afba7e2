"""MockVendor's Ollama API: equal content in stream and body, and Go's validation."""

import base64
import json
from typing import Any

import pytest

from intellirouter.fake.reply import Reply
from intellirouter.testing.wires.ollama import OllamaApi
from tests.support.mock_vendor.requests import wire_request

USER = {"role": "user", "content": "hello there"}
CALLING = {"role": "user", "content": 'call weather with {"city": "Oslo"} and call weather with {"city": "Rome"}'}
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
COUNTED = ("prompt_eval_count", "eval_count", "total_duration", "done_reason", "done")


def post(what: str, document: Any, **headers: str) -> Reply:
    return OllamaApi().answer(wire_request(f"/api/{what}", document, **headers))


def whole(what: str = "chat", **fields: Any) -> Any:
    reply = post(what, {"model": "m", "stream": False, **fields})
    assert reply.status == 200, reply.parts
    return json.loads(reply.parts[0])


def lines(what: str = "chat", **fields: Any) -> list[Any]:
    reply = post(what, {"model": "m", **fields})  # a stream by default
    assert dict(reply.headers)["content-type"] == "application/x-ndjson"
    assert all(part.endswith(b"\n") and part.count(b"\n") == 1 for part in reply.parts)
    return [json.loads(part) for part in reply.parts]


def joined(documents: list[Any]) -> Any:
    merged: dict[str, Any] = {"content": "", "thinking": "", "calls": []}
    for document in documents:
        message = document.get("message") or {"content": document.get("response")}
        merged["content"] += message["content"]
        merged["thinking"] += message.get("thinking", "") + document.get("thinking", "")
        merged["calls"] += [call["function"] for call in message.get("tool_calls", [])]
    return merged | {name: documents[-1][name] for name in COUNTED}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"options": {"num_predict": 2}},
        {"options": {"stop": ["there"]}},
        {"messages": [CALLING], "tools": [WEATHER]},
        {"think": True},
        {"think": "low"},
        {"format": "json"},
        {"format": {"type": "object", "properties": {"a": {"type": "integer"}}}},
        {"model": "refuse"},
    ],
    ids=str,
)
def test_stream_and_body_have_the_same_content(fields: dict[str, Any]) -> None:
    fields = {"messages": [USER], **fields}
    stream = lines(**fields)
    assert [document["done"] for document in stream] == [False] * (len(stream) - 1) + [True]
    assert joined(stream) == joined([whole(**fields)])
    prompt = {"prompt": "hello there", **{name: fields[name] for name in fields if name not in ("messages", "tools")}}
    assert joined(lines("generate", **prompt)) == joined([whole("generate", **prompt)])


def test_arguments_are_objects_and_results_are_answered() -> None:
    calls = whole(messages=[CALLING], tools=[WEATHER])["message"]["tool_calls"]
    assert [call["function"]["arguments"] for call in calls] == [{"city": "Oslo"}, {"city": "Rome"}]
    history = [CALLING, {"role": "assistant", "content": "", "tool_calls": calls},
               {"role": "tool", "tool_name": "weather", "content": "sunny"}]  # fmt: skip
    assert whole(messages=history, tools=[WEATHER])["message"]["content"] == "m: sunny"


def test_request_without_prompt_loads_the_model() -> None:
    assert whole(messages=[])["done_reason"] == "load"
    assert lines("generate")[0]["response"] == ""


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"messages": "hi"}, "cannot unmarshal string into Go struct field ChatRequest.messages of type []api.Message"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]},
         "cannot unmarshal array into Go struct field ChatRequest.messages.content of type string"),
        ({"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "a", "arguments": "{}"}}]}]},
         "cannot unmarshal string into Go struct field ChatRequest.messages.tool_calls.function.arguments"),
        ({"messages": [{"role": "user", "content": "a", "images": ["data:image/png;base64,aGk="]}]}, "illegal base64"),
        ({"options": {"temperature": "hot"}}, 'option "temperature" must be of type float32'),
        ({"format": "xml"}, "invalid format"),
        ({"think": "deep"}, "invalid think value"),
        ({"model": ""}, "model is required"),
        ({"model": "no-such-m"}, "model 'no-such-m' not found"),
        ({"model": "embed"}, '"embed" does not support chat'),
    ],
    ids=str,
)  # fmt: skip
def test_invalid_requests_are_rejected(fields: dict[str, Any], expected: str) -> None:
    reply = post("chat", {"model": "m", "messages": [USER], **fields})
    assert reply.status == (404 if "not found" in expected else 400)
    assert expected in json.loads(reply.parts[0])["error"]


def test_unknown_members_are_ignored() -> None:
    image = base64.b64encode(b"png").decode()
    answer = whole(messages=[{**USER, "images": [image], "name": "bob"}], tool_choice="required", tools=[WEATHER], n=3)
    assert answer["message"]["content"] == "m: hello there"
    assert answer["prompt_eval_count"] > whole(messages=[USER])["prompt_eval_count"]


def test_embeddings_old_and_new() -> None:
    new = whole("embed", input=["a b", "c"], dimensions=16)
    assert [len(vector) for vector in new["embeddings"]] == [16, 16]
    assert new["prompt_eval_count"] == 3
    assert whole("embed", input="a b")["embeddings"] == [whole("embeddings", prompt="a b")["embedding"]]
    assert post("embed", {"model": "m", "input": [1]}).status == 400


def test_model_details() -> None:
    def get(what: str, method: str = "GET") -> Reply:
        return OllamaApi().answer(wire_request(f"/api/{what}", method=method))

    assert json.loads(get("tags").parts[0])["models"][0]["name"] == "mock-large:latest"
    assert "size_vram" in json.loads(get("ps").parts[0])["models"][0]
    assert json.loads(get("version").parts[0])["version"]
    assert "completion" in whole("show")["capabilities"]
    assert [get("nothing").status, get("chat").status, get("tags", "POST").status] == [404, 405, 405]
    assert OllamaApi("k").answer(wire_request("/api/tags", method="GET")).status == 401
    assert post("chat", b"").status == 400
