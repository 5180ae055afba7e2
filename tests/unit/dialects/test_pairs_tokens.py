"""Opaque tokens travel through clients of every dialect, and are sent back only to the endpoint that issued them.

A response with signed reasoning or signed calls is encoded for a client, which sends it back as history like official
clients do. Ollama's dialect has no member for tokens, so their loss is reported.
"""

import json
from typing import Any

import msgspec
import pytest
from msgspec import structs

from intellirouter.core import Deployment, UpstreamAddress
from intellirouter.dialects.ir import Reasoning, Response, ToolCall, origin_of
from tests.support.dialects.golden import load
from tests.support.dialects.pairs import BY_UPSTREAM, CLIENTS, UPSTREAMS, call_of, encode_answer, read_answer, send

_TOOLS: dict[str, Any] = {"type": "object", "properties": {}}


def tokens_of(response: Response) -> list[str]:
    parts = [part for choice in response.choices[:1] for part in choice.parts]
    tokens = [part.token.value for part in parts if isinstance(part, Reasoning | ToolCall) and part.token is not None]
    return [_secret(token) for token in tokens if token]


def _secret(token: str) -> str:
    """Return the secret of a token. Tokens of the chat dialect are complete entries of `reasoning_details`."""
    if not token.startswith("{"):
        return token
    entry = json.loads(token)
    secret: str = entry.get("signature") or entry.get("data")
    return secret


def _is_bare(response: Response, client: str, upstream: str) -> bool:
    """Return whether tokens from another upstream belong to the client's dialect. These are not wrapped."""
    parts = [part for part in response.choices[0].parts if isinstance(part, Reasoning | ToolCall)]
    return client != upstream and any(part.token is not None and part.token.dialect == client for part in parts)


CASES = [
    pytest.param(client, upstream, case, id=f"{client}-{upstream}-{name}")
    for upstream in UPSTREAMS
    for name, case in load(upstream, "responses")
    if tokens_of(read_answer(upstream, case))
    for client in CLIENTS
    if client != "ollama" and not _is_bare(read_answer(upstream, case), client, upstream)
]


def history(client: str, answer: dict[str, Any]) -> dict[str, Any]:
    """Return the request that continues after this response: with a result for each call, or a user message."""
    match client:
        case "openai_chat":
            return _chat(answer)
        case "openai_responses":
            return _responses(answer)
        case "anthropic_messages":
            return _anthropic(answer)
        case _:
            return _gemini(answer)


def _chat(answer: dict[str, Any]) -> dict[str, Any]:
    message = answer["choices"][0]["message"]
    calls = message.get("tool_calls", [])
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "ok"} for call in calls]
    tools = [{"type": "function", "function": {"name": call["function"]["name"]}} for call in calls]
    hello = {"role": "user", "content": "hi"}
    body = {"model": "m", "messages": [hello, message, *results, *([] if calls else [hello])]}
    return {"body": body | ({"tools": tools} if tools else {})}


def _responses(answer: dict[str, Any]) -> dict[str, Any]:
    calls = [item for item in answer["output"] if item["type"] == "function_call"]
    results = [{"type": "function_call_output", "call_id": call["call_id"], "output": "ok"} for call in calls]
    hello = {"role": "user", "content": "hi"}
    body: dict[str, Any] = {"model": "m", "input": [hello, *answer["output"], *results, *([] if calls else [hello])]}
    body["tools"] = [{"type": "function", "name": call["name"], "parameters": _TOOLS} for call in calls]
    return {"body": body}


def _anthropic(answer: dict[str, Any]) -> dict[str, Any]:
    calls = [block for block in answer["content"] if block["type"] == "tool_use"]
    results = [{"type": "tool_result", "tool_use_id": call["id"], "content": "ok"} for call in calls]
    hello = {"role": "user", "content": "hi"}
    turns = [hello, {"role": "assistant", "content": answer["content"]}]
    turns.append({"role": "user", "content": results} if results else hello)
    tools = [{"name": call["name"], "input_schema": _TOOLS} for call in calls]
    return {"body": {"model": "m", "max_tokens": 9, "messages": turns, "tools": tools}}


def _gemini(answer: dict[str, Any]) -> dict[str, Any]:
    content = answer["candidates"][0]["content"]
    calls = [part["functionCall"] for part in content["parts"] if "functionCall" in part]
    results = [
        {"functionResponse": {"id": call["id"], "name": call["name"], "response": {"result": "ok"}}} for call in calls
    ]
    hello = {"role": "user", "parts": [{"text": "hi"}]}
    contents = [hello, content, {"role": "user", "parts": results} if results else hello]
    tools = [{"functionDeclarations": [{"name": call["name"]}]} for call in calls]
    return {
        "body": {"contents": contents, "tools": tools},
        "path": {"model": "m", "is_stream": False, "query": ""},
    }


def elsewhere(target: Deployment) -> Deployment:
    """Return a deployment of the same dialect at another endpoint."""
    url = "https://elsewhere.example/v1"
    return structs.replace(target, provider="elsewhere", address=UpstreamAddress(base_url=url))


@pytest.mark.parametrize(("client", "upstream", "case"), CASES)
def test_tokens_are_sent_back_only_to_the_endpoint_that_issued_them(
    client: str, upstream: str, case: dict[str, Any]
) -> None:
    response, home = read_answer(upstream, case), BY_UPSTREAM[upstream]
    tokens = tokens_of(response)
    body, _ = encode_answer(response, client)
    call = call_of(client, history(client, json.loads(body)))
    back = send(call, client, home)
    assert back.request is not None
    for token in tokens:
        assert msgspec.json.encode(token) in back.request.body
    for name, target in BY_UPSTREAM.items():
        other = elsewhere(target) if origin_of(target) == origin_of(home) else target
        sent = send(call, client, other)
        if sent.request is None or (client == upstream == name):
            continue  # tokens in their own dialect are not wrapped, so their origin is unknown
        assert b"irt1." not in sent.request.body
        for token in tokens:
            assert msgspec.json.encode(token) not in sent.request.body


def test_the_loss_of_tokens_is_reported_to_ollama_clients() -> None:
    for upstream in UPSTREAMS:
        for name, case in load(upstream, "responses"):
            response = read_answer(upstream, case)
            reasoning = [part for part in response.choices[0].parts if isinstance(part, Reasoning)]
            if any(part.token is not None for part in reasoning):
                _, losses = encode_answer(response, "ollama")
                assert losses.get("thinking.signature") == "dropped", (upstream, name)
