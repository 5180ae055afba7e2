"""Malformed requests and responses, made from valid ones with a seeded generator."""

import json
import random
from typing import Any

ODD_VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    2**31,
    2**63,
    2**64,
    10**30,
    1e308,
    -0.0,
    0.1,
    "",
    "x" * 3000,
    "\x00",
    "\ud7ff\ue000\U0010ffff",
    "data: [DONE]\n\n",
    "\r\n\r\nHTTP/1.1 200 OK\r\n",
    '"}]}',
    [],
    [[]],
    {},
    {"": ""},
    {"model": "fake/echo"},
    [None] * 50,
)
_BYTES = (b"\x00", b"\xff", b"\\", b'"', b"{", b"}", b"[", b"]", b",", b":", b"\r", b"\n", b"\n\n", b"e999", b"\\u0000")

_TOOL = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}
CHATS: tuple[dict[str, Any], ...] = (
    {"model": "fake/echo", "messages": [{"role": "user", "content": "hello"}]},
    {"model": "fake/echo", "messages": [{"role": "user", "content": "hello"}], "stream": True},
    {
        "stream": True,
        "stream_options": {"include_usage": True},
        "model": "mock/fuzz",
        "messages": [
            {"role": "system", "content": "model"},
            {"role": "user", "content": [{"type": "text", "text": "hi"}]},
        ],
        "temperature": 0.5,
        "max_tokens": 20,
    },
    {
        "messages": [{"role": "user", "content": 'call weather with {"city": "Oslo"}'}],
        "tools": [_TOOL],
        "tool_choice": "auto",
        "model": "mock/fuzz",
        "n": 2,
        "stop": ["x"],
        "logit_bias": {"5": 1},
        "response_format": {"type": "text"},
        "metadata": {"model": "not this one"},
    },
)
EMBEDDINGS: tuple[dict[str, Any], ...] = (
    {"model": "fake/embed", "input": "hello"},
    {"model": "mock/embed", "input": ["a", "b"], "encoding_format": "base64"},
    {"input": [[1, 2], [3]], "model": "fake/embed", "dimensions": 8},
)


def mutated_bytes(rng: random.Random, data: bytes) -> bytes:
    """Replace, insert, delete, repeat or cut off a few bytes."""
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        at = rng.randrange(len(data) + 1)
        end = min(len(data), at + rng.randrange(1, 12))
        match rng.randrange(6):
            case 0:
                data = data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
            case 1:
                data = data[:at] + rng.choice(_BYTES) + data[at:]
            case 2:
                data = data[:at] + data[end:]
            case 3:
                data = data[:end] + data[at:]
            case 4:
                data = data[:at]
            case _:
                data = data[:at] + rng.randbytes(end - at) + data[end:]
    return data


def mutated_document(rng: random.Random, document: Any) -> Any:
    """Replace, remove or add a value anywhere in a JSON value."""
    if rng.random() < 0.3 or not isinstance(document, dict | list) or not document:
        return rng.choice(ODD_VALUES)
    changed: Any = document.copy()
    key: Any = rng.choice(list(document)) if isinstance(document, dict) else rng.randrange(len(document))
    match rng.randrange(5):
        case 0:
            del changed[key]
        case 1 if isinstance(changed, dict):
            changed[rng.choice(("model", "stream", "usage", "error", "n", "x", "messages"))] = rng.choice(ODD_VALUES)
        case _:
            changed[key] = mutated_document(rng, changed[key])
    return changed


def request_body(rng: random.Random, valid: dict[str, Any]) -> bytes:
    """Return a request with mutations of its values, of its bytes, of both, or of neither."""
    document: Any = valid
    for _ in range(rng.choice((0, 1, 1, 2, 4))):
        document = mutated_document(rng, document)
    text = json.dumps(document, ensure_ascii=rng.random() < 0.5, indent=rng.choice((None, None, 1)))
    body = text.encode("utf-8", "surrogatepass")
    if rng.random() < 0.1:  # a duplicate member
        body = body.replace(b"{", b'{"model": "fake/echo", "stream": false, ', 1)
    return mutated_bytes(rng, body) if rng.random() < 0.5 else body


def _chunk(**members: Any) -> bytes:
    document = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", **members}
    return b"data: " + json.dumps(document).encode() + b"\n\n"


def _delta(finish: str | None = None, **delta: Any) -> bytes:
    return _chunk(choices=[{"index": 0, "delta": delta, "finish_reason": finish}])


USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5, "prompt_tokens_details": {"cached_tokens": 1}}
STREAM = b"".join(
    (
        _delta(role="assistant", content=""),
        _delta(content="Hel"),
        b": keep-alive\n\n",
        _delta(content="lo žluťoučký"),
        _delta("stop"),
        _chunk(choices=[], usage=USAGE),
        b"data: [DONE]\n\n",
    )
)
WHOLE = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
    "usage": USAGE,
}


def upstream_answer(rng: random.Random, *, stream: bool) -> list[bytes]:
    """Return the pieces of an HTTP response; the connection is closed after the last one."""
    if stream:
        body = STREAM
        if rng.random() < 0.3:
            body = body.replace(b"\n", rng.choice((b"\r\n", b"\r")))
    else:
        document: Any = WHOLE
        for _ in range(rng.choice((0, 1, 3))):
            document = mutated_document(rng, document)
        body = json.dumps(document).encode()
    if rng.random() < 0.7:
        body = mutated_bytes(rng, body)
    kind = b"text/event-stream" if stream else b"application/json"
    status = rng.choice((b"200 OK",) * 8 + (b"500 Oops", b"404 No", b"429 Slow", b"302 Away", b"204 None", b"100 On"))
    head = b"HTTP/1.1 " + status + b"\r\ncontent-type: " + kind + b"\r\n"
    match rng.randrange(4):
        case 0:
            head += b"transfer-encoding: chunked\r\n\r\n"
            cuts = sorted(rng.sample(range(len(body) + 1), min(3, len(body) + 1)))
            parts = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True) if a < b]
            body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
        case 1:
            head += b"\r\n"  # the body ends with the connection
        case _:
            head += b"content-length: %d\r\n\r\n" % len(body)
    data = head + body
    if rng.random() < 0.2:
        data = mutated_bytes(rng, data)
    if rng.random() < 0.05:
        data = rng.randbytes(rng.randrange(200))
    step = rng.choice((len(data) + 1, len(data) + 1, 97, 13))
    return [data[at : at + step] for at in range(0, len(data), step)]
