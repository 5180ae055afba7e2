"""Validate answers and streams by the rules of each client dialect on which official clients rely.

Each check raises `AssertionError` or a validation error. OpenAI's two dialects are also validated against OpenAI's
published schemas and the types of its SDK.
"""

import json
from typing import Any

from tests.support.dialects import openai_chat, openai_responses

_ANTHROPIC_DELTAS = {
    "text_delta": "text",
    "citations_delta": "text",
    "input_json_delta": "tool_use",
    "thinking_delta": "thinking",
    "signature_delta": "thinking",
}
_STOP_REASONS = frozenset(
    {
        "end_turn",
        "max_tokens",
        "stop_sequence",
        "tool_use",
        "pause_turn",
        "compaction",
        "refusal",
        "model_context_window_exceeded",
    }
)
_ANTHROPIC_COUNTS = ("input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")


def check_answer(client: str, body: bytes) -> None:
    _ANSWERS[client](json.loads(body), body)


def check_stream(client: str, wire: bytes) -> None:
    _STREAMS[client](wire)


# OpenAI's two dialects


def _chat_answer(_: dict[str, Any], body: bytes) -> None:
    openai_chat.validate_answer(body)


def _chat_stream(wire: bytes) -> None:
    openai_chat.validate_stream(wire, wants_usage=True)


def _responses_answer(document: dict[str, Any], _: bytes) -> None:
    """Validate a response without the items whose type the schemas do not know."""
    openai_responses.validate_response({**document, "output": _known(document["output"])})
    ids = [item["id"] for item in document["output"]]
    assert len(set(ids)) == len(ids)


def _known(items: list[Any]) -> list[Any]:
    return [item for item in items if item["type"] != "tomorrow_call"]


def _responses_stream(wire: bytes) -> None:
    events = openai_responses.read_events(wire)
    if any(event.get("item", {}).get("type") == "tomorrow_call" for event in events):
        assert [event["sequence_number"] for event in events] == list(range(len(events)))
        return
    openai_responses.validate_stream(events)


# Anthropic


def _anthropic_answer(message: dict[str, Any], _: bytes) -> None:
    assert (message["type"], message["role"]) == ("message", "assistant")
    assert message["id"]
    assert message["stop_reason"] in _STOP_REASONS
    assert (message["stop_sequence"] is not None) <= (message["stop_reason"] == "stop_sequence")
    for block in message["content"]:
        _anthropic_block(block)
    _anthropic_usage(message["usage"])


def _anthropic_block(block: dict[str, Any]) -> None:
    match block["type"]:
        case "text":
            assert block["text"] or block.get("citations")
        case "tool_use":
            assert isinstance(block["input"], dict)
            assert block["id"]
            assert set(block["id"]) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
        case "thinking":
            assert isinstance(block["thinking"], str)
            assert isinstance(block["signature"], str)
        case "redacted_thinking":
            assert block["data"]
        case _:
            pass


def _anthropic_usage(usage: dict[str, Any]) -> None:
    assert all(isinstance(usage[name], int) and usage[name] >= 0 for name in _ANTHROPIC_COUNTS)


def _anthropic_stream(wire: bytes) -> None:
    """Check: one message_start first; blocks numbered from 0 without overlap; message_delta and message_stop last."""
    events = []
    for raw in wire.decode().removesuffix("\n\n").split("\n\n"):
        name, data = raw.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        events.append(event)
    kinds = [event["type"] for event in events if event["type"] != "ping"]
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]
    assert [kinds.count(kind) for kind in ("message_start", "message_delta", "message_stop")] == [1, 1, 1]
    start = events[0]["message"]
    assert (start["content"], start["stop_reason"], start["stop_sequence"]) == ([], None, None)
    _anthropic_usage(start["usage"])
    assert events[-2]["delta"]["stop_reason"] in _STOP_REASONS
    assert events[-2]["usage"]["output_tokens"] >= 0
    _anthropic_blocks([event for event in events if event["type"].startswith("content_block")])


def _anthropic_blocks(events: list[dict[str, Any]]) -> None:
    number, open_kind = -1, ""
    for event in events:
        match event["type"]:
            case "content_block_start":
                assert not open_kind
                number += 1
                open_kind = event["content_block"]["type"]
            case "content_block_delta":
                kind = _ANTHROPIC_DELTAS.get(event["delta"]["type"])
                assert kind is None or open_kind in {kind, "server_tool_use"}
            case _:
                assert open_kind
                open_kind = ""
        assert event["index"] == number
    assert not open_kind


# Gemini


def _gemini_answer(document: dict[str, Any], _: bytes) -> None:
    for place, candidate in enumerate(document["candidates"]):
        assert candidate["index"] == place
        assert candidate["finishReason"]
        _gemini_parts(candidate)
    assert document["modelVersion"]
    assert document["responseId"]
    _gemini_usage(document)


def _gemini_parts(candidate: dict[str, Any]) -> None:
    content = candidate.get("content")
    if content is None:
        return
    assert content["role"] == "model"
    assert content["parts"]
    for part in content["parts"]:
        content = part.keys() - {"thought", "thoughtSignature", "videoMetadata", "partMetadata"}
        assert len(content) == 1
        if "functionCall" in part:
            assert part["functionCall"]["name"]
            assert isinstance(part["functionCall"]["args"], dict)


def _gemini_usage(document: dict[str, Any]) -> None:
    if (usage := document.get("usageMetadata")) is not None:
        assert usage["totalTokenCount"] == usage["promptTokenCount"] + usage["candidatesTokenCount"] + usage.get(
            "thoughtsTokenCount", 0
        )


def _gemini_stream(wire: bytes) -> None:
    """Check: every chunk is a document of one id and model; each candidate finishes once, in the last chunk."""
    assert wire.endswith(b"\r\n\r\n")
    chunks = [
        json.loads(raw.removeprefix("data: ")) for raw in wire.decode().removesuffix("\r\n\r\n").split("\r\n\r\n")
    ]
    assert len({(chunk["responseId"], chunk["modelVersion"]) for chunk in chunks}) == 1
    for chunk in chunks:
        for candidate in chunk.get("candidates", ()):
            _gemini_parts(candidate)
        _gemini_usage(chunk)
    finished = [at for at, chunk in enumerate(chunks) for each in chunk.get("candidates", ()) if "finishReason" in each]
    assert finished
    assert set(finished) == {len(chunks) - 1}
    indexes = [each["index"] for each in chunks[-1]["candidates"]]
    assert indexes == sorted(set(indexes))


# Ollama


def _ollama_answer(document: dict[str, Any], _: bytes) -> None:
    assert document["done"] is True
    assert document["done_reason"]
    _ollama_message(document["message"])
    assert document["created_at"].endswith("Z")


def _ollama_message(message: dict[str, Any]) -> None:
    assert message["role"] == "assistant"
    assert isinstance(message["content"], str)
    for call in message.get("tool_calls", ()):
        assert call["function"]["name"]
        assert isinstance(call["function"]["arguments"], dict)


def _ollama_stream(wire: bytes) -> None:
    """Check: one document per line, `done` on the last line only, calls numbered in order."""
    assert wire.endswith(b"\n")
    lines = [json.loads(line) for line in wire.splitlines()]
    assert [line["done"] for line in lines] == [False] * (len(lines) - 1) + [True]
    assert lines[-1]["done_reason"]
    times = [line["created_at"] for line in lines]
    assert all(time.endswith("Z") for time in times)
    for line in lines:
        _ollama_message(line["message"])
    calls = [call["function"]["index"] for line in lines for call in line["message"].get("tool_calls", ())]
    assert calls == list(range(len(calls)))
    assert len({line["model"] for line in lines}) == 1


_ANSWERS: dict[str, Any] = {
    "openai_chat": _chat_answer,
    "openai_responses": _responses_answer,
    "anthropic_messages": _anthropic_answer,
    "gemini": _gemini_answer,
    "ollama": _ollama_answer,
}
_STREAMS: dict[str, Any] = {
    "openai_chat": _chat_stream,
    "openai_responses": _responses_stream,
    "anthropic_messages": _anthropic_stream,
    "gemini": _gemini_stream,
    "ollama": _ollama_stream,
}
