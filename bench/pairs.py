"""The dialects of the load and of the upstream, and the pairs of them that are measured."""

import json
from dataclasses import dataclass
from typing import Any, Final

REQUEST_TEXT: Final = "Say in one paragraph what the first article says, then explain every word of it. " * 4
SYSTEM_TEXT: Final = "You are a careful lawyer."
ANSWER_TEXT: Final = "All human beings are born free and equal in dignity and rights. " * 9
STREAM_EVENTS: Final = 30
"""Number of text events in the fixed streams. Each stream has four or five more events."""
_CREATED_S: Final = 1_760_000_000
_COUNTS: Final = (57, 118)


@dataclass(frozen=True)
class Dialect:
    """The part of a vendor's API that the benchmarks use."""

    name: str
    title: str
    path: str
    end_of_stream: bytes
    """Every complete stream contains this."""

    def body(self, model: str, *, is_stream: bool) -> str:
        """Return a request of about half a kilobyte."""
        user = {"role": "user", "content": REQUEST_TEXT}
        if self is ANTHROPIC:
            body: dict[str, object] = {"model": model, "system": SYSTEM_TEXT, "messages": [user]}
        else:
            body = {"model": model, "messages": [{"role": "system", "content": SYSTEM_TEXT}, user]}
        body["max_tokens"] = 200
        if is_stream:
            body["stream"] = True
            if self is OPENAI:
                body["stream_options"] = {"include_usage": True}
        return json.dumps(body)

    def answer(self) -> str:
        """Return a complete response with usage, of about one kilobyte."""
        return json.dumps(_message() if self is ANTHROPIC else _completion())

    def events(self) -> list[str]:
        """Return the events of a stream with `STREAM_EVENTS` pieces of text."""
        return _message_events() if self is ANTHROPIC else _chunks()


OPENAI: Final = Dialect("openai", "OpenAI chat", "/v1/chat/completions", b"[DONE]")
ANTHROPIC: Final = Dialect("anthropic", "Anthropic messages", "/v1/messages", b"message_stop")
DIALECTS: Final = (OPENAI, ANTHROPIC)


@dataclass(frozen=True)
class Pair:
    """The dialects of the client and of the upstream."""

    client: Dialect
    upstream: Dialect

    @property
    def name(self) -> str:
        return f"{self.client.name}_to_{self.upstream.name}"

    @property
    def title(self) -> str:
        return f"{self.client.title} → {self.upstream.title}"

    @property
    def relay(self) -> "Pair":
        """The pair with the same client that needs no translation."""
        return Pair(self.client, self.client)


RELAY: Final = Pair(OPENAI, OPENAI)
MESSAGES_RELAY: Final = Pair(ANTHROPIC, ANTHROPIC)
MESSAGES_TO_CHAT: Final = Pair(ANTHROPIC, OPENAI)
CHAT_TO_MESSAGES: Final = Pair(OPENAI, ANTHROPIC)
PAIRS: Final = (RELAY, MESSAGES_RELAY, MESSAGES_TO_CHAT, CHAT_TO_MESSAGES)


def _completion() -> dict[str, Any]:
    input_tokens, output_tokens = _COUNTS
    return {
        "id": "chatcmpl-bench",
        "object": "chat.completion",
        "created": _CREATED_S,
        "model": "bench-1",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": ANSWER_TEXT, "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": input_tokens,
            "completion_tokens": output_tokens,
            "total_tokens": input_tokens + output_tokens,
        },
    }


def _pieces() -> list[str]:
    words = ANSWER_TEXT.split()
    return [f" {words[number]}" for number in range(STREAM_EVENTS)]


def _chunks() -> list[str]:
    deltas: list[dict[str, str]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": piece} for piece in _pieces()]
    choices: list[dict[str, object]]
    choices = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"})
    head: dict[str, object] = {
        "id": "chatcmpl-bench",
        "object": "chat.completion.chunk",
        "created": _CREATED_S,
        "model": "bench-1",
        "system_fingerprint": "fp_bench",
    }
    chunks = [json.dumps({**head, "choices": [choice], "usage": None}) for choice in choices]
    input_tokens, _ = _COUNTS
    usage = {
        "prompt_tokens": input_tokens,
        "completion_tokens": STREAM_EVENTS,
        "total_tokens": input_tokens + STREAM_EVENTS,
    }
    chunks.append(json.dumps({**head, "choices": [], "usage": usage}))
    return [f"data: {chunk}\n\n" for chunk in chunks] + ["data: [DONE]\n\n"]


def _message(**members: Any) -> dict[str, Any]:
    input_tokens, output_tokens = _COUNTS
    return {
        "id": "msg_bench",
        "type": "message",
        "role": "assistant",
        "model": "bench-1",
        "content": [{"type": "text", "text": ANSWER_TEXT}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": input_tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": output_tokens,
            "service_tier": "standard",
        },
    } | members


def _message_events() -> list[str]:
    opening = _message(content=[], stop_reason=None)
    opening["usage"] |= {"output_tokens": 1}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": opening},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    ]
    events += [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}
        for piece in _pieces()
    ]
    events += [
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": STREAM_EVENTS},
        },
        {"type": "message_stop"},
    ]
    return [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events]
