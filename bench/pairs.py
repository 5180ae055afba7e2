"""The dialects of the load and of the upstream, the pairs of them that are measured, and the sizes of the bodies."""

import json
import random
from dataclasses import dataclass
from typing import Any, Final

REQUEST_TEXT: Final = "Say in one paragraph what the first article says, then explain every word of it. " * 4
SYSTEM_TEXT: Final = "You are a careful lawyer."
ANSWER_TEXT: Final = "All human beings are born free and equal in dignity and rights. " * 9
_TURNS: Final = 21
"""Number of messages in a large request."""
_CREATED_S: Final = 1_760_000_000
_COUNTS: Final = (57, 118)


@dataclass(frozen=True)
class Size:
    """How large requests and answers are."""

    name: str
    title: str
    message_bytes: int
    """Size of each message of the request, if it has many of them."""
    answer_bytes: int
    stream_events: int
    """Number of text events in a stream. Each stream has four or five more events."""

    @property
    def is_large(self) -> bool:
        return self.message_bytes > 0


SMALL: Final = Size("small", "small", 0, len(ANSWER_TEXT), 30)
LARGE: Final = Size("large", "100 kB", 100_000 // _TURNS, 100_000, 450)
SIZES: Final = (SMALL, LARGE)


@dataclass(frozen=True)
class Dialect:
    """The part of a vendor's API that the benchmarks use."""

    name: str
    title: str
    path: str
    end_of_stream: bytes
    """Every complete stream contains this."""

    def body(self, model: str, *, is_stream: bool, size: Size = SMALL) -> str:
        """Return a request of about half a kilobyte, or a conversation of 100 kB."""
        messages = _conversation(size)
        if self is ANTHROPIC:
            body: dict[str, object] = {"model": model, "system": SYSTEM_TEXT, "messages": messages}
        else:
            body = {"model": model, "messages": [{"role": "system", "content": SYSTEM_TEXT}, *messages]}
        body["max_tokens"] = 200
        if is_stream:
            body["stream"] = True
            if self is OPENAI:
                body["stream_options"] = {"include_usage": True}
        return json.dumps(body)

    def answer(self, size: Size = SMALL) -> str:
        """Return a complete response with usage, of about one kilobyte, or of 100 kB."""
        text = _prose(size.answer_bytes) if size.is_large else ANSWER_TEXT
        return json.dumps(_message(text) if self is ANTHROPIC else _completion(text))

    def events(self, size: Size = SMALL) -> list[str]:
        """Return the events of a stream with `size.stream_events` pieces of text."""
        pieces = _pieces(size.stream_events)
        return _message_events(pieces) if self is ANTHROPIC else _chunks(pieces)


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


def repeated(text: str, length: int) -> str:
    """Return `length` characters of the repeated text."""
    return (text * (length // len(text) + 1))[:length]


def _prose(length: int) -> str:
    """Return so many characters of words in random order: a text that repeats itself would be a broken answer."""
    words = random.Random(1).choices(ANSWER_TEXT.split(), k=length)
    return " ".join(words)[:length]


def _conversation(size: Size) -> list[dict[str, str]]:
    if not size.is_large:
        return [{"role": "user", "content": REQUEST_TEXT}]
    text = repeated(REQUEST_TEXT, size.message_bytes)
    return [{"role": "assistant" if number % 2 else "user", "content": text} for number in range(_TURNS)]


def _completion(text: str) -> dict[str, Any]:
    input_tokens, output_tokens = _COUNTS
    return {
        "id": "chatcmpl-bench",
        "object": "chat.completion",
        "created": _CREATED_S,
        "model": "bench-1",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text, "refusal": None},
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


def _pieces(count: int) -> list[str]:
    words = ANSWER_TEXT.split()
    return [f" {words[number % len(words)]}" for number in range(count)]


def _chunks(pieces: list[str]) -> list[str]:
    deltas: list[dict[str, str]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": piece} for piece in pieces]
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
        "completion_tokens": len(pieces),
        "total_tokens": input_tokens + len(pieces),
    }
    chunks.append(json.dumps({**head, "choices": [], "usage": usage}))
    return [f"data: {chunk}\n\n" for chunk in chunks] + ["data: [DONE]\n\n"]


def _message(text: str, **members: Any) -> dict[str, Any]:
    input_tokens, output_tokens = _COUNTS
    return {
        "id": "msg_bench",
        "type": "message",
        "role": "assistant",
        "model": "bench-1",
        "content": [{"type": "text", "text": text}],
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


def _message_events(pieces: list[str]) -> list[str]:
    opening = _message("", content=[], stop_reason=None)
    opening["usage"] |= {"output_tokens": 1}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": opening},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    ]
    events += [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}} for piece in pieces
    ]
    events += [
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": len(pieces)},
        },
        {"type": "message_stop"},
    ]
    return [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events]
