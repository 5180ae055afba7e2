"""Render a chat completion: as one body, or as the events of a stream."""

from collections.abc import Iterator
from functools import partial
from itertools import zip_longest
from typing import Any, Final

from intellirouter.core import new_id
from intellirouter.fake.completion import Choice, Completion, ToolCall
from intellirouter.fake.openai.chat_request import ChatRequest
from intellirouter.fake.openai.replies import DONE_EVENT, json_reply, sse_event, stream_reply
from intellirouter.fake.reply import Reply
from intellirouter.fake.tokens import split_tokens

FINGERPRINT: Final = "fp_0f1e2d3c4b"
SERVICE_TIER: Final = "default"


def chat_reply(request: ChatRequest, completion: Completion) -> Reply:
    if request.is_stream:
        reply = stream_reply([*(sse_event(chunk) for chunk in _chunks(request, completion)), DONE_EVENT])
    else:
        reply = json_reply(_document(request, completion))
    reply.plan, reply.render = completion, partial(chat_reply, request)
    return reply


def usage_of(completion: Completion) -> dict[str, Any]:
    return {
        "prompt_tokens": completion.prompt_tokens,
        "completion_tokens": completion.output_tokens,
        "total_tokens": completion.prompt_tokens + completion.output_tokens,
        "prompt_tokens_details": {"cached_tokens": completion.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": completion.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _document(request: ChatRequest, completion: Completion) -> dict[str, Any]:
    return {
        "id": new_id("chatcmpl-"),
        "object": "chat.completion",
        "created": completion.created_s,
        "model": completion.model,
        "choices": [
            {
                "index": index,
                "message": _message(choice),
                "logprobs": _logprobs(request, choice.tokens),
                "finish_reason": choice.finish_reason,
            }
            for index, choice in enumerate(completion.choices)
        ],
        "usage": usage_of(completion),
        "service_tier": SERVICE_TIER,
        "system_fingerprint": FINGERPRINT,
    }


def _message(choice: Choice) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": choice.text if choice.refusal is None else None}
    if choice.calls:
        message["content"] = None
        message["tool_calls"] = [_call(call, call.arguments) for call in choice.calls]
    if choice.reasoning:
        message["reasoning_content"] = "".join(choice.reasoning)
    return {**message, "refusal": choice.refusal, "annotations": []}


def _call(call: ToolCall, arguments: str) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _chunks(request: ChatRequest, completion: Completion) -> Iterator[dict[str, Any]]:
    """Yield the role, the content of the choices in turn, their finish_reason, and usage if it was requested."""
    head = {
        "id": new_id("chatcmpl-"),
        "object": "chat.completion.chunk",
        "created": completion.created_s,
        "model": completion.model,
        "service_tier": SERVICE_TIER,
        "system_fingerprint": FINGERPRINT,
    }
    no_usage = {"usage": None} if request.includes_usage else {}
    per_choice = [_choice_chunks(request, index, choice) for index, choice in enumerate(completion.choices)]
    for row in zip_longest(*per_choice):
        for choice in row:
            if choice is not None:
                yield {**head, "choices": [choice], **no_usage}
    if request.includes_usage:
        yield {**head, "choices": [], "usage": usage_of(completion)}


def _choice_chunks(request: ChatRequest, index: int, choice: Choice) -> Iterator[dict[str, Any]]:
    def chunk(delta: dict[str, Any], tokens: list[str], finish_reason: str | None = None) -> dict[str, Any]:
        logprobs = _logprobs(request, tokens) if tokens else None
        return {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}

    yield chunk({"role": "assistant", "content": None if choice.calls else "", "refusal": None}, [])
    for piece in split_tokens(choice.refusal or ""):
        yield chunk({"refusal": piece}, [])
    for piece in choice.reasoning:
        yield chunk({"reasoning_content": piece}, [])
    for token in choice.tokens:
        yield chunk({"content": token}, [token])
    for number, call in enumerate(choice.calls):
        yield chunk({"tool_calls": [{"index": number, **_call(call, "")}]}, [])
        for piece in split_tokens(call.arguments):
            yield chunk({"tool_calls": [{"index": number, "function": {"arguments": piece}}]}, [])
    yield chunk({}, [], choice.finish_reason)


def _logprobs(request: ChatRequest, tokens: list[str]) -> dict[str, Any] | None:
    if not request.has_logprobs:
        return None
    return {"content": [_logprob(token, request.top_logprobs) for token in tokens], "refusal": None}


def _logprob(token: str, top: int) -> dict[str, Any]:
    def entry(text: str, logprob: float) -> dict[str, Any]:
        return {"token": text, "logprob": logprob, "bytes": list(text.encode())}

    others = [entry(f"{token}{rank}" if rank else token, -0.05 - rank) for rank in range(top)]
    return {**entry(token, -0.05), "top_logprobs": others}
