"""Put a completion on Anthropic's wire: one message, or the events of a stream."""

from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import msgspec

from intellirouter.core import new_id
from intellirouter.testing.plan import Choice, Completion, split_tokens
from intellirouter.testing.wires.anthropic.reply import event, json_reply, stream_reply
from intellirouter.testing.wires.anthropic.request import MessagesAsk
from intellirouter.testing.wires.shared import Reply
from intellirouter.testing.wires.shared.seal import mint

_PING: Final = event({"type": "ping"})
_REASONS: Final = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}


def messages_reply(ask: MessagesAsk, completion: Completion) -> Reply:
    reply = stream_reply(list(_events(ask, completion))) if ask.is_stream else json_reply(_message(ask, completion))
    reply.plan, reply.render = completion, partial(messages_reply, ask)
    return reply


def _message(ask: MessagesAsk, completion: Completion) -> dict[str, Any]:
    choice = completion.choices[0]
    return {
        "model": completion.model,
        "id": new_id("msg_"),
        "type": "message",
        "role": "assistant",
        "content": [block for block, _ in _blocks(ask, choice)],
        **_ending(choice),
        "usage": _usage(ask, completion, completion.output_tokens),
    }


def _ending(choice: Choice) -> dict[str, Any]:
    reason = _REASONS.get(choice.finish_reason or "")
    if choice.refusal is not None:
        reason = "refusal"
    elif choice.stop_sequence is not None:
        reason = "stop_sequence"
    details = {"type": "refusal", "category": None, "explanation": None} if reason == "refusal" else None
    return {"stop_reason": reason, "stop_sequence": choice.stop_sequence, "stop_details": details}


def _usage(ask: MessagesAsk, completion: Completion, output_tokens: int) -> dict[str, Any]:
    read = completion.cached_tokens
    written = completion.cache_write_tokens
    usage = {
        "input_tokens": completion.prompt_tokens - read - written,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": ask.cache.written_5m,
            "ephemeral_1h_input_tokens": ask.cache.written_1h,
        },
        "output_tokens": output_tokens,
        "service_tier": "standard",
        "inference_geo": "not_available",
    }
    if completion.thought_tokens:
        usage["output_tokens_details"] = {"thinking_tokens": completion.thought_tokens}
    return usage


def _blocks(ask: MessagesAsk, choice: Choice) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Yield each whole block, and the deltas that make it up from its start."""
    if choice.thought and ask.is_redacted:
        yield {"type": "redacted_thinking", "data": mint("redacted")}, []
    elif choice.thought:
        is_shown = ask.shows_thought or choice.is_thought_shown or not ask.thinks
        tokens = choice.thought if is_shown else []
        text = "".join(tokens)
        signature = mint(text)
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
    """Return the call's input; where the token limit cut it, nothing of it is an object."""
    try:
        return msgspec.json.decode(arguments, type=dict[str, Any])
    except msgspec.MsgspecError:
        return {}


def _begun(block: dict[str, Any]) -> dict[str, Any]:
    match block["type"]:
        case "text":
            return {"type": "text", "text": ""}
        case "thinking":
            return {"type": "thinking", "thinking": "", "signature": ""}
        case "tool_use":
            return {**block, "input": {}}
        case _:
            return block


def _events(ask: MessagesAsk, completion: Completion) -> Iterator[bytes]:
    choice = completion.choices[0]
    start = {
        **_message(ask, completion),
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": _usage(ask, msgspec.structs.replace(completion, thought_tokens=0), 1),
    }
    yield event({"type": "message_start", "message": start})
    for index, (block, deltas) in enumerate(_blocks(ask, choice)):
        yield event({"type": "content_block_start", "index": index, "content_block": _begun(block)})
        if index == 0:
            yield _PING
        for delta in deltas:
            yield event({"type": "content_block_delta", "index": index, "delta": delta})
        yield event({"type": "content_block_stop", "index": index})
    usage = _usage(ask, completion, completion.output_tokens)
    told = {name: usage[name] for name in usage if name.endswith(("_tokens", "_details"))}
    yield event({"type": "message_delta", "delta": _ending(choice), "usage": told})
    yield event({"type": "message_stop"})
