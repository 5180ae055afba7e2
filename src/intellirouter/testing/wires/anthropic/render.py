"""Render a completion in Anthropic's format: as one message, or as the events of a stream."""

from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import msgspec

from intellirouter.core import new_id
from intellirouter.fake.completion import Choice, Completion
from intellirouter.fake.reply import Reply
from intellirouter.fake.tokens import split_tokens
from intellirouter.testing.wires.anthropic.reply import event, json_reply, stream_reply
from intellirouter.testing.wires.anthropic.request import MessagesRequest
from intellirouter.testing.wires.shared.opaque_tokens import issue_token

_PING: Final = event({"type": "ping"})
_REASONS: Final = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}


def messages_reply(request: MessagesRequest, completion: Completion) -> Reply:
    reply = (
        stream_reply(list(_events(request, completion)))
        if request.is_stream
        else json_reply(_message(request, completion))
    )
    reply.plan, reply.render = completion, partial(messages_reply, request)
    return reply


def _message(request: MessagesRequest, completion: Completion) -> dict[str, Any]:
    choice = completion.choices[0]
    return {
        "model": completion.model,
        "id": new_id("msg_"),
        "type": "message",
        "role": "assistant",
        "content": [block for block, _ in _blocks(request, choice)],
        **_ending(choice),
        "usage": _usage(request, completion, completion.output_tokens),
    }


def _ending(choice: Choice) -> dict[str, Any]:
    reason = _REASONS.get(choice.finish_reason or "")
    if choice.refusal is not None:
        reason = "refusal"
    elif choice.stop_sequence is not None:
        reason = "stop_sequence"
    details = {"type": "refusal", "category": None, "explanation": None} if reason == "refusal" else None
    return {"stop_reason": reason, "stop_sequence": choice.stop_sequence, "stop_details": details}


def _usage(request: MessagesRequest, completion: Completion, output_tokens: int) -> dict[str, Any]:
    read = completion.cached_tokens
    written = completion.cache_write_tokens
    usage = {
        "input_tokens": completion.prompt_tokens - read - written,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": request.cache.written_5m,
            "ephemeral_1h_input_tokens": request.cache.written_1h,
        },
        "output_tokens": output_tokens,
        "service_tier": "standard",
        "inference_geo": "not_available",
    }
    if completion.reasoning_tokens:
        usage["output_tokens_details"] = {"thinking_tokens": completion.reasoning_tokens}
    return usage


def _blocks(request: MessagesRequest, choice: Choice) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Yield each complete block, and the deltas that build it from its start."""
    if choice.reasoning and request.is_redacted:
        yield {"type": "redacted_thinking", "data": issue_token("redacted")}, []
    elif choice.reasoning:
        is_shown = request.shows_reasoning or choice.is_reasoning_forced or not request.wants_reasoning
        tokens = choice.reasoning if is_shown else []
        text = "".join(tokens)
        signature = issue_token(text)
        deltas = [{"type": "thinking_delta", "thinking": token} for token in tokens]
        yield (
            {"type": "thinking", "thinking": text, "signature": signature},
            [*deltas, {"type": "signature_delta", "signature": signature}],
        )
    tokens = choice.tokens or split_tokens(choice.refusal or "")
    if tokens or not choice.calls:
        yield {"type": "text", "text": "".join(tokens)}, [{"type": "text_delta", "text": token} for token in tokens]
    for call in choice.calls:
        pieces = ["", *split_tokens(call.arguments)]
        yield (
            {"type": "tool_use", "id": call.id, "name": call.name, "input": _input(call.arguments)},
            [{"type": "input_json_delta", "partial_json": piece} for piece in pieces],
        )


def _input(arguments: str) -> dict[str, Any]:
    """Return the input of a call, or an empty object if the token limit cut it off."""
    try:
        return msgspec.json.decode(arguments, type=dict[str, Any])
    except msgspec.MsgspecError:
        return {}


def _started(block: dict[str, Any]) -> dict[str, Any]:
    match block["type"]:
        case "text":
            return {"type": "text", "text": ""}
        case "thinking":
            return {"type": "thinking", "thinking": "", "signature": ""}
        case "tool_use":
            return {**block, "input": {}}
        case _:
            return block


def _events(request: MessagesRequest, completion: Completion) -> Iterator[bytes]:
    choice = completion.choices[0]
    start = {
        **_message(request, completion),
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": _usage(request, msgspec.structs.replace(completion, reasoning_tokens=0), 1),
    }
    yield event({"type": "message_start", "message": start})
    for index, (block, deltas) in enumerate(_blocks(request, choice)):
        yield event({"type": "content_block_start", "index": index, "content_block": _started(block)})
        if index == 0:
            yield _PING
        for delta in deltas:
            yield event({"type": "content_block_delta", "index": index, "delta": delta})
        yield event({"type": "content_block_stop", "index": index})
    usage = _usage(request, completion, completion.output_tokens)
    final_usage = {name: usage[name] for name in usage if name.endswith(("_tokens", "_details"))}
    yield event({"type": "message_delta", "delta": _ending(choice), "usage": final_usage})
    yield event({"type": "message_stop"})
