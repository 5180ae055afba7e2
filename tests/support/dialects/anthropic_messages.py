"""Builders for Anthropic deployments, calls and messages, and a strict reader for client streams."""

import json
from typing import Any

from intellirouter.core import Call, Deployment, LossReport, Quirks, RequestContext, UpstreamAddress
from intellirouter.dialects.anthropic_messages import CLIENT, UPSTREAM
from intellirouter.dialects.ir import (
    Conversation,
    FunctionTool,
    Media,
    Message,
    Part,
    Role,
    Sampling,
    Text,
    ToolResult,
)

LIMIT = Sampling(max_output_tokens=4000)
TOOL = FunctionTool(name="f", parameters={"type": "object", "properties": {}})


def deployment(model: str = "claude-sonnet-4-5", **quirks: Any) -> Deployment:
    return Deployment(
        name="anthropic/claude",
        provider="anthropic",
        vendor="anthropic",
        upstream_model=model,
        address=UpstreamAddress(base_url="https://api.anthropic.com"),
        dialects=("anthropic_messages",),
        quirks=Quirks(**quirks),
    )


def call_of(body: Any, context: RequestContext | None = None) -> Call:
    return CLIENT.decode_request(json.dumps(body).encode(), context or RequestContext())


def any_call(**members: Any) -> Call:
    return call_of({"model": "public", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}], **members})


def chat(*messages: Message, **members: Any) -> Conversation:
    """Return a conversation of a client with another dialect."""
    turns = list(messages) or [Message(role="user", parts=[Text(text="Hi")])]
    return Conversation(dialect="openai_chat", model="public", messages=turns, **members)


def encoded(
    conversation: Conversation, model: str = "claude-sonnet-4-5", **quirks: Any
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the upstream body and the losses: from the field to how it was lost."""
    losses = LossReport()
    request = UPSTREAM.encode(conversation, deployment(model, **quirks), losses)
    return json.loads(request.body), {loss.field: loss.how for loss in losses.taken()}


def read_stream(data: bytes) -> list[dict[str, Any]]:
    """Return the events of a stream after validation of their order."""
    assert data.endswith(b"\n\n")
    events = []
    for raw in data.decode().removesuffix("\n\n").split("\n\n"):
        first, second = raw.split("\n")
        document = json.loads(second.removeprefix("data: "))
        assert first == f"event: {document['type']}"
        events.append(document)
    kinds = [event["type"] for event in events]
    assert kinds[0] == "message_start"
    assert kinds.count("message_start") == 1
    assert kinds[-2:] == ["message_delta", "message_stop"]
    assert kinds.count("message_delta") == kinds.count("message_stop") == 1
    _check_blocks(events)
    return events


def _check_blocks(events: list[dict[str, Any]]) -> None:
    opened, current = 0, None
    for event in events:
        kind = event["type"]
        if kind == "content_block_start":
            assert current is None, "A block starts before the end of the previous block."
            assert event["index"] == opened
            current, opened = event["index"], opened + 1
        elif kind == "content_block_delta":
            assert event["index"] == current, "A delta is outside of its block."
        elif kind == "content_block_stop":
            assert event["index"] == current
            current = None
    assert current is None, "The last block has no end."


def contents(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Assemble the blocks of a stream as Anthropic's SDK does."""
    blocks: list[dict[str, Any]] = []
    arguments: dict[int, str] = {}
    for event in events:
        if event["type"] == "content_block_start":
            blocks.append(dict(event["content_block"]))
        elif event["type"] == "content_block_delta":
            block, delta = blocks[event["index"]], event["delta"]
            match delta["type"]:
                case "text_delta":
                    block["text"] += delta["text"]
                case "thinking_delta":
                    block["thinking"] += delta["thinking"]
                case "signature_delta":
                    block["signature"] = delta["signature"]
                case "citations_delta":
                    block.setdefault("citations", []).append(delta["citation"])
                case "input_json_delta":
                    arguments[event["index"]] = arguments.get(event["index"], "") + delta["partial_json"]
    for index, text in arguments.items():
        blocks[index]["input"] = json.loads(text)
    return blocks


def msg(role: Role, *parts: Part | str, **members: Any) -> Message:
    return Message(role=role, parts=[Text(text=part) if isinstance(part, str) else part for part in parts], **members)


def result(call_id: str, *parts: Text | Media, **members: Any) -> ToolResult:
    return ToolResult(call_id=call_id, parts=list(parts), **members)


def block(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}
