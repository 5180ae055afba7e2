"""Put a completion on the wire: one body, or the events of a stream."""

from collections.abc import Iterator
from itertools import zip_longest
from typing import Any, Final

from intellirouter.testing.openai_wire.chat_plan import Choice, Completion, ToolCall
from intellirouter.testing.openai_wire.chat_request import ChatAsk
from intellirouter.testing.openai_wire.reply import (
    DONE_EVENT,
    STREAM_TYPE,
    Reply,
    json_reply,
    reply_headers,
    sse_event,
)
from intellirouter.testing.openai_wire.tokens import split_tokens

FINGERPRINT: Final = "fp_0f1e2d3c4b"
SERVICE_TIER: Final = "default"


def chat_reply(ask: ChatAsk, completion: Completion) -> Reply:
    if not ask.is_stream:
        return json_reply(_document(ask, completion))
    events = [sse_event(chunk) for chunk in _chunks(ask, completion)]
    return Reply(headers=reply_headers(STREAM_TYPE), parts=[*events, DONE_EVENT], is_stream=True)


def usage_of(completion: Completion) -> dict[str, Any]:
    return {
        "prompt_tokens": completion.prompt_tokens,
        "completion_tokens": completion.completion_tokens,
        "total_tokens": completion.prompt_tokens + completion.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _document(ask: ChatAsk, completion: Completion) -> dict[str, Any]:
    return {
        "id": completion.id,
        "object": "chat.completion",
        "created": completion.created_s,
        "model": completion.model,
        "choices": [
            {
                "index": index,
                "message": _message(choice),
                "logprobs": _logprobs(ask, choice.tokens),
                "finish_reason": choice.finish_reason,
            }
            for index, choice in enumerate(completion.choices)
        ],
        "usage": usage_of(completion),
        "service_tier": SERVICE_TIER,
        "system_fingerprint": FINGERPRINT,
    }


def _message(choice: Choice) -> dict[str, Any]:
    if choice.calls:
        calls = {"content": None, "tool_calls": [_call(call, call.arguments) for call in choice.calls]}
        return {"role": "assistant", **calls, "refusal": None, "annotations": []}
    return {"role": "assistant", "content": "".join(choice.tokens), "refusal": None, "annotations": []}


def _call(call: ToolCall, arguments: str) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _chunks(ask: ChatAsk, completion: Completion) -> Iterator[dict[str, Any]]:
    """Role first, then what each choice says in turns, then its finish_reason, then usage if it was asked for."""
    head = {
        "id": completion.id,
        "object": "chat.completion.chunk",
        "created": completion.created_s,
        "model": completion.model,
        "service_tier": SERVICE_TIER,
        "system_fingerprint": FINGERPRINT,
    }
    silent = {"usage": None} if ask.includes_usage else {}
    per_choice = [_choice_chunks(ask, index, choice) for index, choice in enumerate(completion.choices)]
    for row in zip_longest(*per_choice):
        for choice in row:
            if choice is not None:
                yield {**head, "choices": [choice], **silent}
    if ask.includes_usage:
        yield {**head, "choices": [], "usage": usage_of(completion)}


def _choice_chunks(ask: ChatAsk, index: int, choice: Choice) -> Iterator[dict[str, Any]]:
    def chunk(delta: dict[str, Any], tokens: list[str], finish_reason: str | None = None) -> dict[str, Any]:
        logprobs = _logprobs(ask, tokens) if tokens else None
        return {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}

    yield chunk({"role": "assistant", "content": None if choice.calls else "", "refusal": None}, [])
    for token in choice.tokens:
        yield chunk({"content": token}, [token])
    for number, call in enumerate(choice.calls):
        yield chunk({"tool_calls": [{"index": number, **_call(call, "")}]}, [])
        for piece in split_tokens(call.arguments):
            yield chunk({"tool_calls": [{"index": number, "function": {"arguments": piece}}]}, [])
    yield chunk({}, [], choice.finish_reason)


def _logprobs(ask: ChatAsk, tokens: list[str]) -> dict[str, Any] | None:
    if not ask.has_logprobs:
        return None
    return {"content": [_logprob(token, ask.top_logprobs) for token in tokens], "refusal": None}


def _logprob(token: str, top: int) -> dict[str, Any]:
    def entry(text: str, logprob: float) -> dict[str, Any]:
        return {"token": text, "logprob": logprob, "bytes": list(text.encode())}

    others = [entry(f"{token}{rank}" if rank else token, -0.05 - rank) for rank in range(top)]
    return {**entry(token, -0.05), "top_logprobs": others}
