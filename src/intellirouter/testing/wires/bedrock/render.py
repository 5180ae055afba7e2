"""Render a completion in Bedrock's format: as one document, or as binary frames."""

from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from intellirouter.fake.completion import Choice, Completion
from intellirouter.fake.reply import Reply
from intellirouter.fake.tokens import split_tokens
from intellirouter.testing.wires.bedrock.reply import event, json_reply, stream_reply
from intellirouter.testing.wires.bedrock.request import ConverseRequest
from intellirouter.testing.wires.shared.opaque_tokens import issue_token

_REASONS: Final = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}
_PADDING: Final = "abcdefgh"
"""Bedrock pads its events, so that their length reveals nothing."""
LATENCY_MS: Final = 1


def converse_reply(request: ConverseRequest, completion: Completion, *, is_stream: bool) -> Reply:
    reply = stream_reply(list(_events(completion))) if is_stream else json_reply(_document(completion))
    reply.plan, reply.render = completion, partial(converse_reply, request, is_stream=is_stream)
    return reply


def _reason(choice: Choice) -> str | None:
    if choice.refusal is not None:
        return "content_filtered"
    if choice.stop_sequence is not None:
        return "stop_sequence"
    return _REASONS.get(choice.finish_reason or "")


def _usage(completion: Completion) -> dict[str, int]:
    read, written = completion.cached_tokens, completion.cache_write_tokens
    plain = completion.prompt_tokens - read - written
    return {
        "inputTokens": plain,
        "outputTokens": completion.output_tokens,
        "totalTokens": completion.prompt_tokens + completion.output_tokens,
        "cacheReadInputTokens": read,
        "cacheWriteInputTokens": written,
    }


def _document(completion: Completion) -> dict[str, Any]:
    choice = completion.choices[0]
    content: list[dict[str, Any]] = []
    reason = _reason(choice)
    if choice.reasoning:
        text = "".join(choice.reasoning)
        content.append({"reasoningContent": {"reasoningText": {"text": text, "signature": issue_token(text)}}})
    if choice.tokens or choice.refusal is not None or not choice.calls:
        content.append({"text": choice.text or choice.refusal or ""})
    for call in choice.calls:
        arguments = call.arguments_object()
        if arguments is None:
            # A document cannot contain an incomplete object.
            reason = "malformed_tool_use" if choice.finish_reason == "tool_calls" else reason
        else:
            content.append({"toolUse": {"toolUseId": call.id, "name": call.name, "input": arguments}})
    document = {"output": {"message": {"role": "assistant", "content": content}}, "usage": _usage(completion)}
    stop = {} if reason is None else {"stopReason": reason}
    return {"metrics": {"latencyMs": LATENCY_MS}, **document, **stop}


def _events(completion: Completion) -> Iterator[bytes]:
    choice = completion.choices[0]
    yield _padded("messageStart", {"role": "assistant"})
    for index, (start, deltas) in enumerate(_blocks(choice)):
        place = {"contentBlockIndex": index}
        if start is not None:  # text blocks have no start event
            yield _padded("contentBlockStart", {**place, "start": start})
        for delta in deltas:
            yield _padded("contentBlockDelta", {**place, "delta": delta})
        yield _padded("contentBlockStop", place)
    reason = _reason(choice)
    if reason is not None:
        yield _padded("messageStop", {"stopReason": reason})
    yield _padded("metadata", {"usage": _usage(completion), "metrics": {"latencyMs": LATENCY_MS}})


def _padded(name: str, document: dict[str, Any]) -> bytes:
    return event(name, {**document, "p": _PADDING})


def _blocks(choice: Choice) -> Iterator[tuple[dict[str, Any] | None, list[dict[str, Any]]]]:
    if choice.reasoning:
        deltas: list[dict[str, Any]] = [{"reasoningContent": {"text": token}} for token in choice.reasoning]
        yield None, [*deltas, {"reasoningContent": {"signature": issue_token("".join(choice.reasoning))}}]
    tokens = choice.tokens or split_tokens(choice.refusal or "")
    if tokens or not choice.calls:
        yield None, [{"text": token} for token in tokens]
    for call in choice.calls:
        pieces = [{"toolUse": {"input": piece}} for piece in split_tokens(call.arguments)]
        yield {"toolUse": {"toolUseId": call.id, "name": call.name}}, pieces
