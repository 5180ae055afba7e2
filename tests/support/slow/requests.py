"""Requests with very many of something, in every dialect. Each builder takes the number of somethings."""

from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import Struct

Build = Callable[[int], bytes]
MODEL: Final = "slow"


class SlowRequest(Struct, frozen=True):
    """A family of requests to one endpoint."""

    name: str
    endpoint: str
    """The name of the endpoint."""
    path: str
    build: Build
    is_translated: bool = True
    """Whether the request is valid, so that it reaches every upstream dialect."""


def _json(document: Any) -> bytes:
    return msgspec.json.encode(document)


def _user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def _text(text: str = "x") -> dict[str, Any]:
    return {"type": "text", "text": text}


def _schema(n: int) -> dict[str, Any]:
    return {"type": "object", "properties": {f"p{i}": {"type": "string", "enum": ["a"]} for i in range(n)}}


def _chat(**members: Any) -> bytes:
    return _json({"model": MODEL, "messages": [_user("hello")], **members})


def _call(index: int) -> dict[str, Any]:
    return {"id": f"call_{index}", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}


def _tool(index: int) -> dict[str, Any]:
    return {"type": "function", "function": {"name": f"f{index}", "parameters": _schema(1)}}


def _chat_calls(n: int) -> bytes:
    results = [{"role": "tool", "tool_call_id": f"call_{i}", "content": "ok"} for i in range(n)]
    calls = {"role": "assistant", "content": None, "tool_calls": [_call(i) for i in range(n)]}
    return _chat(messages=[_user("go"), calls, *results], tools=[_tool(0)])


def _chat_turns(n: int) -> bytes:
    turns = [{"role": "assistant" if i % 2 else "user", "content": f"turn {i}"} for i in range(n)]
    return _chat(messages=[*turns, _user("go")])


def _chat_systems(n: int) -> bytes:
    return _chat(messages=[{"role": ("system", "user")[i % 2], "content": "x"} for i in range(2 * n)])


def _repeated_model(n: int) -> bytes:
    return b'{"messages":[{"role":"user","content":"x"}],' + b'"model":"slow",' * n + b'"mod\\u0065l":"slow"}'


def _escaped_names(n: int) -> bytes:
    return b'{"messages":[{"role":"user","content":"x"}],"x":[' + b"[]," * n + b'1],"mod\\u0065l":"slow"}'


_PNG: Final = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
_CHAT: Final[dict[str, Build]] = {
    "messages": _chat_turns,
    "system messages": _chat_systems,
    "parts": lambda n: _chat(messages=[_user([_text() for _ in range(n)])]),
    "images": lambda n: _chat(
        messages=[
            _user([{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{_PNG}"}} for _ in range(n)])
        ]
    ),
    "tool calls": _chat_calls,
    "tools": lambda n: _chat(tools=[_tool(i) for i in range(n)]),
    "properties": lambda n: _chat(
        tools=[{"type": "function", "function": {"name": "f", "parameters": _schema(n // 10)}} for _ in range(10)]
    ),
    "schema": lambda n: _chat(
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "s", "schema": {"allOf": [_schema(n // 10) for _ in range(10)]}},
        }
    ),
    "stops": lambda n: _chat(stop=["stop"] * n),
    "metadata": lambda n: _chat(metadata={f"k{i}": "v" for i in range(min(n, 9000))}),
    "unknown members": lambda n: _chat(**{f"x{i}": 1 for i in range(min(n, 9000))}),
    "empty lists": _escaped_names,
    "repeated member": _repeated_model,
    "white space": lambda n: _chat()[:-1] + b" " * (n * 100) + b"}",
    "escapes": lambda n: _chat(messages=[_user('"\n\\' * (n * 4))]),
    "long text": lambda n: _chat(messages=[_user("hello, world. " * (n * 20))]),
    "wide text": lambda n: _chat(messages=[_user("日本語。" * (n * 10))]),
}
_RESPONSES_ITEMS: Final[dict[str, Callable[[int], Any]]] = {
    "items": lambda n: [_user(f"turn {i}") for i in range(n)],
    "assistant items": lambda n: [{"role": "assistant", "content": "x"} for _ in range(n)] + [_user("go")],
    "parts": lambda n: [_user([{"type": "input_text", "text": "x"} for _ in range(n)])],
    "calls": lambda n: [
        _user("go"),
        *({"type": "function_call", "call_id": f"c{i}", "name": "f", "arguments": "{}"} for i in range(n)),
        *({"type": "function_call_output", "call_id": f"c{i}", "output": "ok"} for i in range(n)),
    ],
    "calls in turn": lambda n: [
        _user("go"),
        *(
            item
            for i in range(n // 2)
            for item in (
                {"type": "function_call", "call_id": f"c{i}", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": f"c{i}", "output": "ok"},
            )
        ),
    ],
    "reasoning": lambda n: [
        *({"type": "reasoning", "summary": [{"type": "summary_text", "text": "x"}]} for _ in range(n)),
        _user("go"),
    ],
}


def _responses(value: Any, **members: Any) -> bytes:
    return _json({"model": MODEL, "input": value, **members})


def _responses_input(make: Callable[[int], Any]) -> Build:
    return lambda n: _responses(make(n))


def _messages(messages: list[Any], **members: Any) -> bytes:
    return _json({"model": MODEL, "max_tokens": 100, "messages": messages, **members})


def _claude_calls(n: int) -> bytes:
    uses = [{"type": "tool_use", "id": f"t{i}", "name": "f", "input": {"a": 1}} for i in range(n)]
    results = [{"type": "tool_result", "tool_use_id": f"t{i}", "content": [_text()]} for i in range(n)]
    turns = [_user("go"), {"role": "assistant", "content": uses}, _user(results)]
    return _messages(turns, tools=[{"name": "f", "input_schema": _schema(1)}])


_CLAUDE: Final[dict[str, Build]] = {
    "messages": lambda n: _messages(
        [{"role": "assistant" if i % 2 else "user", "content": f"turn {i}"} for i in range(n)] + [_user("go")]
    ),
    "parts": lambda n: _messages([_user([_text() for _ in range(n)])]),
    "system": lambda n: _messages([_user("go")], system=[_text() for _ in range(n)]),
    "tool calls": _claude_calls,
    "tools": lambda n: _messages(
        [_user("go")], tools=[{"name": f"f{i}", "input_schema": _schema(1)} for i in range(n)]
    ),
    "thinking": lambda n: _messages(
        [
            _user("go"),
            {"role": "assistant", "content": [{"type": "thinking", "thinking": "x", "signature": "s"}] * n + [_text()]},
            _user("go"),
        ]
    ),
}


def _gemini(contents: list[Any], **members: Any) -> bytes:
    return _json({"contents": contents, **members})


def _gemini_calls(n: int) -> bytes:
    calls = [{"functionCall": {"name": f"f{i}", "args": {"a": 1}}} for i in range(n)]
    results = [{"functionResponse": {"name": f"f{i}", "response": {"a": 1}}} for i in range(n)]
    user = {"role": "user", "parts": [{"text": "go"}]}
    return _gemini([user, {"role": "model", "parts": calls}, {"role": "user", "parts": results}])


_GEMINI: Final[dict[str, Build]] = {
    "contents": lambda n: _gemini(
        [{"role": "model" if i % 2 else "user", "parts": [{"text": "x"}]} for i in range(n | 1)]
    ),
    "parts": lambda n: _gemini([{"role": "user", "parts": [{"text": "x"} for _ in range(n)]}]),
    "tool calls": _gemini_calls,
    "tools": lambda n: _gemini(
        [{"role": "user", "parts": [{"text": "x"}]}],
        tools=[{"functionDeclarations": [{"name": f"f{i}", "parameters": _schema(1)} for i in range(n)]}],
    ),
}
_OLLAMA: Final[dict[str, Build]] = {
    "messages": _chat_turns,
    "images": lambda n: _chat(messages=[{"role": "user", "content": "x", "images": [_PNG for _ in range(n)]}]),
    "tools": lambda n: _chat(tools=[_tool(i) for i in range(n)]),
    "tool calls": lambda n: _chat(
        messages=[
            _user("go"),
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"function": {"name": "f", "arguments": {"a": i}}} for i in range(n)],
            },
            *({"role": "tool", "tool_name": "f", "content": "ok"} for _ in range(n)),
        ]
    ),
}
_EMBEDDINGS: Final[dict[str, Build]] = {
    "texts": lambda n: _responses(["x"] * n),
    "tokens": lambda n: _responses([1234] * n),
    "token lists": lambda n: _responses([[1234, 5678]] * n),
}
_COMPLETIONS: Final[dict[str, Build]] = {
    "text": lambda n: _json({"model": MODEL, "prompt": "x" * (n * 100)}),
    "prompts": lambda n: _json({"model": MODEL, "prompt": ["x"] * n}),
    "tokens": lambda n: _json({"model": MODEL, "prompt": [1234] * n}),
}
_OTHERS: Final[dict[str, tuple[str, Build]]] = {
    "openai_moderations": ("/v1/moderations", lambda n: _responses(["x"] * n)),
    "openai_images": ("/v1/images/generations", lambda n: _json({"model": MODEL, "prompt": "x, " * n * 10})),
    "openai_speech": ("/v1/audio/speech", lambda n: _json({"model": MODEL, "voice": "v", "input": "x, " * n * 10})),
    "rerank": ("/v1/rerank", lambda n: _json({"model": MODEL, "query": "q", "documents": ["x"] * n})),
}


def _family(
    endpoint: str, path: str, builders: dict[str, Build], untranslated: frozenset[str] = frozenset()
) -> list[SlowRequest]:
    return [
        SlowRequest(f"{endpoint}: {name}", endpoint, path, build, name not in untranslated)
        for name, build in builders.items()
    ]


SLOW_REQUESTS: Final[list[SlowRequest]] = [
    *_family("openai_chat", "/v1/chat/completions", _CHAT),
    *_family("openai_completions", "/v1/completions", _COMPLETIONS, frozenset({"prompts", "tokens"})),
    *_family("openai_embeddings", "/v1/embeddings", _EMBEDDINGS),
    *_family(
        "openai_responses",
        "/v1/responses",
        {name: _responses_input(make) for name, make in _RESPONSES_ITEMS.items()}
        | {"tools": lambda n: _responses("x", tools=[{"type": "function", "name": f"f{i}"} for i in range(n)])},
    ),
    *_family(
        "openai_input_tokens", "/v1/responses/input_tokens", {"items": _responses_input(_RESPONSES_ITEMS["items"])}
    ),
    *_family("anthropic_messages", "/v1/messages", _CLAUDE),
    *_family("anthropic_count_tokens", "/v1/messages/count_tokens", _CLAUDE),
    *_family("gemini", "/v1beta/models/slow:generateContent", _GEMINI),
    *_family("ollama_chat", "/api/chat", _OLLAMA),
    *_family(
        "ollama_generate", "/api/generate", {"context": lambda n: _json({"model": MODEL, "prompt": "x, " * n * 10})}
    ),
    *_family("ollama_embed", "/api/embed", {"texts": _EMBEDDINGS["texts"]}),
    *(SlowRequest(endpoint, endpoint, path, build) for endpoint, (path, build) in _OTHERS.items()),
]
