"""A usage that counts nothing counts as missing, so that clients and records get an estimate instead of zeros."""

import json
from typing import Any

import pytest

from intellirouter.core import Usage
from intellirouter.dialects.ir import UsageUpdate
from tests.support.dialects.pairs import BY_UPSTREAM, CLIENTS, plain_call, translation_of, upstream_of

TEXT = "hello there"
ZEROS: dict[str, list[dict[str, Any]]] = {
    "openai_chat": [{}, {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}],
    "openai_responses": [{}, {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}],
    "anthropic_messages": [{}, {"input_tokens": 0, "output_tokens": 0}],
    "gemini": [{}, {"promptTokenCount": 0}],
    "bedrock": [{}, {"inputTokens": 0, "outputTokens": 0, "totalTokens": 0}],
    "ollama": [{"prompt_eval_count": 0, "eval_count": 0}],
}


def answer(dialect: str, usage: dict[str, Any]) -> bytes:
    message = {"role": "assistant", "content": TEXT}
    documents: dict[str, dict[str, Any]] = {
        "openai_chat": {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage},
        "openai_responses": {
            "status": "completed",
            "output": [{"type": "message", "id": "m", "content": [{"type": "output_text", "text": TEXT}]}],
            "usage": usage,
        },
        "anthropic_messages": {
            "type": "message",
            "content": [{"type": "text", "text": TEXT}],
            "stop_reason": "end_turn",
            "usage": usage,
        },
        "gemini": {
            "candidates": [{"content": {"parts": [{"text": TEXT}]}, "finishReason": "STOP"}],
            "usageMetadata": usage,
        },
        "bedrock": {
            "output": {"message": {"role": "assistant", "content": [{"text": TEXT}]}},
            "stopReason": "end_turn",
            "usage": usage,
        },
        "ollama": {"message": message, "done": True, "done_reason": "stop", **usage},
    }
    return json.dumps({"id": "a", "model": "m", **documents[dialect]}).encode()


CASES = [(dialect, usage) for dialect, usages in ZEROS.items() for usage in usages]


@pytest.mark.parametrize(("upstream", "usage"), CASES)
@pytest.mark.parametrize("client", CLIENTS)
def test_zeros_are_not_a_usage(client: str, upstream: str, usage: dict[str, Any]) -> None:
    if client == upstream:
        return
    call = plain_call(client)
    written = translation_of(call, client, upstream).decode_response(
        answer(upstream, usage), call, BY_UPSTREAM[upstream]
    )
    assert written.usage is None  # the pipeline estimates it
    shown = json.loads(written.body)
    if client in {"openai_responses", "anthropic_messages"}:
        assert shown["usage"]["input_tokens"] > 0
        assert shown["usage"]["output_tokens"] > 0


def test_zeros_in_a_stream_are_not_a_usage() -> None:
    decoder = upstream_of("openai_chat").stream(BY_UPSTREAM["openai_chat"])
    document = json.loads(answer("openai_chat", ZEROS["openai_chat"][1]))
    document["choices"][0]["delta"] = document["choices"][0].pop("message")
    events = decoder.feed(b"data: " + json.dumps(document).encode() + b"\n\ndata: [DONE]\n\n")
    assert not any(isinstance(event, UsageUpdate) for event in events)
    message = {"type": "message_start", "message": {"id": "a", "usage": {"input_tokens": 0, "output_tokens": 0}}}
    text = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": TEXT}}
    end = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 0}}
    blocks = [b"data: " + json.dumps(each).encode() + b"\n\n" for each in (message, text, end)]
    events = upstream_of("anthropic_messages").stream(BY_UPSTREAM["anthropic_messages"]).feed(b"".join(blocks))
    assert events[0].usage is None
    assert not any(isinstance(event, UsageUpdate) for event in events)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 0, "completion_tokens": 2}, Usage(output_tokens=2)),
        ({"prompt_tokens": 0, "completion_tokens": 0, "cost": 0.5}, Usage(provider_cost_microusd=500_000)),
        ({"prompt_tokens": -4, "completion_tokens": 0}, Usage(is_implausible=True)),
    ],
)
def test_usage_that_says_something_is_kept(usage: dict[str, Any], expected: Usage) -> None:
    read = upstream_of("openai_chat").decode(answer("openai_chat", usage), BY_UPSTREAM["openai_chat"])
    assert read.usage == expected
