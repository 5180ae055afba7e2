"""Validate chat completions and streams against OpenAI's published schemas, the types of its SDK, and the rules of a
stream.

The schemas are not up to date: they lack custom tool calls in chunks, which OpenAI sends.
"""

import json
from typing import Any

from openai.types.chat import ChatCompletion, ChatCompletionChunk

from intellirouter.core import Call, Deployment, UpstreamAddress
from intellirouter.dialects.openai_chat import CLIENT
from intellirouter.dialects.wire.sse import SseParser
from tests.support.dialects.openai_schemas import validator

DEPLOYMENT = Deployment(
    name="d",
    provider="p",
    vendor="openai-compatible",
    upstream_model="um",
    address=UpstreamAddress(base_url="http://upstream.example/v1"),
)


_answer = validator("CreateChatCompletionResponse")
_chunk = validator("CreateChatCompletionStreamResponse")


def validate_answer(body: bytes) -> dict[str, Any]:
    """Return the body if it is a valid chat completion by the schema and the SDK. Raises otherwise."""
    answer: dict[str, Any] = json.loads(body)
    _answer.validate(answer)
    ChatCompletion.model_validate(answer)
    return answer


def _without_custom(chunk: dict[str, Any]) -> dict[str, Any]:
    copy: dict[str, Any] = json.loads(json.dumps(chunk))
    for choice in copy["choices"]:
        for call in choice["delta"].get("tool_calls", []):
            if "custom" in call:
                call.pop("type", None)
                assert set(call.pop("custom")) <= {"name", "input"}
    return copy


def validate_stream(stream: bytes, *, wants_usage: bool = False) -> list[dict[str, Any]]:
    """Return the chunks of a stream if they follow the schemas and the rules of a stream. Raises otherwise."""
    events = [event.data for event in SseParser().feed(stream)]
    assert events.pop() == "[DONE]"
    chunks: list[dict[str, Any]] = [json.loads(event) for event in events]
    for chunk in chunks:
        _chunk.validate(_without_custom(chunk))
        ChatCompletionChunk.model_validate(_without_custom(chunk))
        assert ("usage" in chunk) is wants_usage
    assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in chunks}) == 1
    with_choices = [chunk for chunk in chunks if chunk["choices"]]
    if wants_usage and len(with_choices) < len(chunks):
        assert chunks[-1]["choices"] == []
        assert chunks[-1]["usage"]["total_tokens"] >= 0
        assert all(chunk["usage"] is None for chunk in chunks[:-1])
    _validate_choices([choice for chunk in with_choices for choice in chunk["choices"]])
    return chunks


def _validate_choices(choices: list[dict[str, Any]]) -> None:
    for index in {choice["index"] for choice in choices}:
        own = [choice for choice in choices if choice["index"] == index]
        assert own[0]["delta"]["role"] == "assistant"
        assert all("role" not in choice["delta"] for choice in own[1:])
        assert [choice["finish_reason"] is not None for choice in own] == [False] * (len(own) - 1) + [True]
        seen: set[int] = set()
        for call in (call for choice in own for call in choice["delta"].get("tool_calls", [])):
            is_opening = call["index"] not in seen
            assert ("id" in call) is is_opening
            assert call["index"] == len(seen) if is_opening else call["index"] < len(seen)
            seen.add(call["index"])


def call_of(**members: Any) -> Call:
    """Return a decoded chat request."""
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **members}
    return CLIENT.decode_request(json.dumps(body).encode())
