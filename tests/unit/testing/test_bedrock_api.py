"""MockVendor's Bedrock API: equal content in stream and body, signatures, and validation."""

import json
from typing import Any

import pytest

from intellirouter.dialects import event_stream
from intellirouter.fake.reply import Reply
from intellirouter.testing.wires.bedrock import ACCESS_KEY, BedrockApi
from intellirouter.testing.wires.shared.request import WireRequest
from tests.support.mock_vendor.requests import wire_request

USER = {"role": "user", "content": [{"text": "hello there"}]}
TOOLS = {"tools": [{"toolSpec": {"name": "weather", "inputSchema": {"json": {"type": "object", "properties": {}}}}}]}
CALLING = {"role": "user", "content": [{"text": 'call weather with {"city": "Oslo"} and call weather'}]}
THINK = {"thinking": {"type": "enabled", "budget_tokens": 1024}}


def post(document: Any, *, model: str = "m", how: str = "converse", api: BedrockApi | None = None) -> Reply:
    return (api or BedrockApi()).answer(wire_request(f"/model/{model}/{how}", document, authorization="Bearer k"))


def whole(model: str = "m", **fields: Any) -> Any:
    reply = post({"messages": [USER], **fields}, model=model)
    assert reply.status == 200, reply.parts
    return json.loads(reply.parts[0])


def frames(model: str = "m", **fields: Any) -> list[tuple[str, Any]]:
    reply = post({"messages": [USER], **fields}, model=model, how="converse-stream")
    assert dict(reply.headers)["content-type"] == "application/vnd.amazon.eventstream"
    found = []
    for part in reply.parts:
        (message,) = event_stream.MessageReader().feed(part)
        assert message.headers[":message-type"] == "event"
        found.append((message.headers[":event-type"], json.loads(message.payload)))
    return found


def joined(events: list[tuple[str, Any]]) -> Any:
    """Assemble a response from its frames as a client does."""
    assert events[0][0] == "messageStart"
    assert [name for name, _ in events[-2:]] == ["messageStop", "metadata"]
    blocks: dict[int, Any] = {}
    for name, document in events[1:-2]:
        block = blocks.setdefault(document["contentBlockIndex"], {})
        match name:
            case "contentBlockStart":
                block["toolUse"] = {**document["start"]["toolUse"], "input": ""}
            case "contentBlockDelta":
                ((kind, piece),) = document["delta"].items()
                if kind == "text":
                    block["text"] = block.get("text", "") + piece
                elif kind == "toolUse":
                    block["toolUse"]["input"] += piece["input"]
                else:
                    text = block.setdefault("reasoningContent", {"reasoningText": {"text": ""}})["reasoningText"]
                    text["text"] += piece.get("text", "")
    for block in blocks.values():
        if "toolUse" in block:
            block["toolUse"]["input"] = json.loads(block["toolUse"]["input"])
    message = {"role": "assistant", "content": list(blocks.values())}
    return {"output": {"message": message}, "stopReason": events[-2][1]["stopReason"], "usage": events[-1][1]["usage"]}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"inferenceConfig": {"maxTokens": 2}},
        {"inferenceConfig": {"stopSequences": ["there"]}},
        {"messages": [CALLING], "toolConfig": TOOLS},
        {"toolConfig": {**TOOLS, "toolChoice": {"tool": {"name": "weather"}}}},
        {"additionalModelRequestFields": THINK},
        {"outputConfig": {"textFormat": {"structure": {"jsonSchema": {"schema": '{"type": "object"}'}}}}},
        {"model": "refuse"},
    ],
    ids=str,
)
def test_frames_and_document_have_the_same_content(fields: dict[str, Any]) -> None:
    document, stream = whole(**fields), joined(frames(**fields))
    assert document.pop("metrics") == {"latencyMs": 1}
    for answer in (document, stream):
        for block in answer["output"]["message"]["content"]:
            block.get("toolUse", {}).pop("toolUseId", None)
            block.get("reasoningContent", {}).get("reasoningText", {}).pop("signature", None)
    assert document == stream


def test_stop_reasons() -> None:
    assert whole()["stopReason"] == "end_turn"
    assert whole(inferenceConfig={"maxTokens": 1})["stopReason"] == "max_tokens"
    assert whole(inferenceConfig={"stopSequences": ["there"]})["stopReason"] == "stop_sequence"
    assert whole(messages=[CALLING], toolConfig=TOOLS)["stopReason"] == "tool_use"
    assert whole("refuse")["stopReason"] == "content_filtered"


def test_results_and_reasoning_are_accepted_back() -> None:
    calls = whole(messages=[CALLING], toolConfig=TOOLS)["output"]["message"]
    results = [
        {"toolResult": {"toolUseId": block["toolUse"]["toolUseId"], "content": content}}
        for block, content in zip(calls["content"], ([{"text": "sunny "}], [{"json": {"c": 3}}]), strict=True)
    ]
    response = whole(messages=[CALLING, calls, {"role": "user", "content": results}], toolConfig=TOOLS)
    assert response["output"]["message"]["content"] == [{"text": 'm: sunny {"c":3}'}]
    reasoning = whole(additionalModelRequestFields=THINK)["output"]["message"]
    assert whole(messages=[USER, reasoning, USER])
    reasoning["content"][0]["reasoningContent"]["reasoningText"]["text"] = "other"
    assert b"Invalid `signature` in `thinking` block" in post({"messages": [USER, reasoning, USER]}).parts[0]


def test_cache_is_written_once_and_then_read() -> None:
    api = BedrockApi()
    ask = {"messages": [USER], "system": [{"text": "a b c d"}, {"cachePoint": {"type": "default"}}]}
    first, second = (json.loads(post(ask, api=api).parts[0])["usage"] for _ in range(2))
    assert (first["cacheWriteInputTokens"], first["cacheReadInputTokens"]) == (4, 0)
    assert (second["cacheWriteInputTokens"], second["cacheReadInputTokens"]) == (0, 4)
    assert second["totalTokens"] == sum(second[name] for name in ("inputTokens", "outputTokens",
                                                                  "cacheReadInputTokens"))  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"messages": []}, "A conversation must start with a user message."),
        ({"messages": [{"role": "assistant", "content": [{"text": "a"}]}]}, "must start with a user message."),
        ({"messages": [USER, USER]}, "must alternate between user and assistant roles."),
        ({"messages": [{"role": "system", "content": [{"text": "a"}]}]}, "enum value set: [user, assistant]"),
        ({"messages": [{"role": "user", "content": []}]}, "The content field in the Message object at messages.0"),
        ({"messages": [{"role": "user", "content": [{"text": " "}]}]}, "messages.0.content.0 is blank."),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "must set one of the following keys"),
        ({"messages": [{"role": "user", "content": "hi"}]}, "Start of list found where not expected"),
        ({"messages": [{"role": "user", "content": [{"image": {"source": {"bytes": "data:x"}}}]}]}, "decode base64"),
        ({"messages": [USER, {"role": "assistant", "content": [{"toolUse": {"toolUseId": "a", "name": "b",
          "input": {}}}]}, USER]}, "The toolConfig field must be defined"),
        ({"toolConfig": TOOLS, "messages": [USER, {"role": "assistant", "content": [{"toolUse": {"toolUseId": "a",
          "name": "b", "input": {}}}]}, USER]}, "Expected toolResult blocks at messages.2.content for the"),
        ({"toolConfig": TOOLS, "messages": [{"role": "user", "content": [{"toolResult": {"toolUseId": "a",
          "content": []}}]}]}, "exceeds the number of toolUse blocks of previous turn."),
        ({"toolConfig": TOOLS, "messages": [USER, {"role": "assistant", "content": [{"toolUse": {"toolUseId": "a.b",
          "name": "b", "input": {}}}]}, USER]}, "regular expression pattern"),
        ({"toolConfig": {"tools": [{"toolSpec": {"name": "a.b", "inputSchema": {}}}]}}, "regular expression pattern"),
        ({"toolConfig": {"tools": [{"toolSpec": {"name": "a", "inputSchema": {"json": {}}}}]}}, "json.type must be"),
        ({"toolConfig": {"tools": []}}, "have length greater than or equal to 1"),
        ({"toolConfig": {**TOOLS, "toolChoice": {"none": {}}}}, "The toolChoice field must set one of"),
        ({"toolConfig": {**TOOLS, "toolChoice": {"tool": {"name": "x"}}}}, "not among the tools"),
        ({"toolConfig": {**TOOLS, "toolChoice": {"any": {}}}, "additionalModelRequestFields": THINK}, "forces tool"),
        ({"inferenceConfig": {"temperature": 1.5}}, "Value '1.5' at 'inferenceConfig.temperature'"),
        ({"inferenceConfig": {"maxTokens": 0}}, "Value '0' at 'inferenceConfig.maxTokens'"),
    ],
    ids=str,
)  # fmt: skip
def test_invalid_requests_are_rejected(fields: dict[str, Any], expected: str) -> None:
    reply = post({"messages": [USER], **fields})
    assert reply.status == 400
    assert expected in json.loads(reply.parts[0])["message"]
    assert dict(reply.headers)["x-amzn-errortype"] in ("ValidationException", "SerializationException")


SIGNED_AT_S = 1_767_225_600
SIGNED = (
    f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/20260101/us-east-1/bedrock/aws4_request, "
    "SignedHeaders=content-type;host;x-amz-date, "
    "Signature=ed3831811c42eb8b7689b4439d932df9a7a03c8a3d082539e183548baf375396"
)
"""A request that AWS' client library signed with the credentials of the mock."""


def signed(**changed: Any) -> tuple[int, str]:
    headers = {
        "authorization": SIGNED,
        "host": "bedrock.test:8080",
        "content-type": "application/json",
        "x-amz-date": "20260101T000000Z",
    }
    request = WireRequest(
        method="POST",
        path="/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fx/converse",
        query_string="b=2&a=%20%2F",
        headers={**headers, **changed.pop("headers", {})},
        body=b'{"messages":[{"role":"user","content":[{"text":"hello"}]}]}',
        created_s=SIGNED_AT_S,
    )
    for name, value in changed.items():
        setattr(request, name, value)
    reply = BedrockApi().answer(request)
    return reply.status, dict(reply.headers).get("x-amzn-errortype", "")


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, (200, "")),
        ({"created_s": SIGNED_AT_S + 299}, (200, "")),
        ({"created_s": SIGNED_AT_S + 301}, (403, "InvalidSignatureException")),
        ({"body": b"{}"}, (403, "InvalidSignatureException")),
        ({"query_string": "a=1"}, (403, "InvalidSignatureException")),
        ({"path": "/model/other/converse"}, (403, "InvalidSignatureException")),
        ({"headers": {"host": "elsewhere"}}, (403, "InvalidSignatureException")),
        ({"headers": {"x-amz-date": ""}}, (403, "InvalidSignatureException")),
        ({"headers": {"authorization": SIGNED.replace("/bedrock/", "/s3/")}}, (403, "InvalidSignatureException")),
        ({"headers": {"authorization": SIGNED.replace("host;", "")}}, (403, "InvalidSignatureException")),
        ({"headers": {"authorization": SIGNED.replace("AKIA", "AKIB")}}, (403, "UnrecognizedClientException")),
        ({"headers": {"authorization": "AWS4-HMAC-SHA256 x"}}, (403, "IncompleteSignatureException")),
        ({"headers": {"authorization": ""}}, (403, "MissingAuthenticationTokenException")),
    ],
    ids=str,
)
def test_signatures(changed: dict[str, Any], expected: tuple[int, str]) -> None:
    assert signed(**changed) == expected


def test_keys_models_and_paths() -> None:
    def status(path: str, key: str = "k", method: str = "POST") -> int:
        request = wire_request(path, {"messages": [USER]}, method=method, authorization=f"Bearer {key}")
        return BedrockApi("k").answer(request).status

    assert [status("/model/m/converse", key) for key in ("k", "wrong")] == [200, 403]
    assert [status("/model/m/invoke"), status("/model/m/converse", method="GET")] == [404, 404]
    assert [status("/model/no-such-x/converse"), status("/model/embed/converse")] == [400, 400]
    assert post(b"[]").status == 400
