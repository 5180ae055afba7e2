"""Put a completion on the wire: one body, or the events of a stream."""

from collections.abc import Iterator
from functools import partial
from itertools import zip_longest
from typing import Any, Final

from intellirouter.core import new_id
from intellirouter.testing.plan import Choice, Completion, ToolCall, split_tokens
from intellirouter.testing.wires.openai.chat_request import ChatAsk
from intellirouter.testing.wires.openai.reply import DONE_EVENT, json_reply, sse_event, stream_reply
from intellirouter.testing.wires.shared import Reply

FINGERPRINT: Final = "fp_0f1e2d3c4b"
SERVICE_TIER: Final = "default"


def chat_reply(ask: ChatAsk, completion: Completion) -> Reply:
    if ask.is_stream:
        reply = stream_reply([*(sse_event(chunk) for chunk in _chunks(ask, completion)), DONE_EVENT])
    else:
        reply = json_reply(_document(ask, completion))
    reply.plan, reply.render = completion, partial(chat_reply, ask)
    return reply


def usage_of(completion: Completion) -> dict[str, Any]:
    return {
        "prompt_tokens": completion.prompt_tokens,
        "completion_tokens": completion.output_tokens,
        "total_tokens": completion.prompt_tokens + completion.output_tokens,
        "prompt_tokens_details": {"cached_tokens": completion.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": completion.thought_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _document(ask: ChatAsk, completion: Completion) -> dict[str, Any]:
    return {
        "id": new_id("chatcmpl-"),
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
    message: dict[str, Any] = {"role": "assistant", "content": choice.text if choice.refusal is None else None}
    if choice.calls:
        message["content"] = None
        message["tool_calls"] = [_call(call, call.arguments) for call in choice.calls]
    if choice.thought:
        message["reasoning_content"] = "".join(choice.thought)
    return {**message, "refusal": choice.refusal, "annotations": []}


def _call(call: ToolCall, arguments: str) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _chunks(ask: ChatAsk, completion: Completion) -> Iterator[dict[str, Any]]:
    """Role first, then what each choice says in turns, then its finish_reason, then usage if it was asked for."""
    head = {
        "id": new_id("chatcmpl-"),
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
    for refused in split_tokens(choice.refusal or ""):
        yield chunk({"refusal": refused}, [])
    for thought in choice.thought:
        yield chunk({"reasoning_content": thought}, [])
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
