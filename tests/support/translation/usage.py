"""Read the usage of each vendor's answers in disjoint buckets, written after the vendors' documentation."""

import json
from typing import Any

import httpx

from intellirouter.dialects.bedrock.event_stream import MessageReader

Buckets = dict[str, int]


def replayed(request: dict[str, Any], vendor_url: str, client: httpx.Client) -> bytes:
    """Send a request of the gateway to the vendor again, and return the answer."""
    headers = [
        (name, value)
        for name, value in request["headers"]
        if name not in {"host", "content-length", "connection", "transfer-encoding"}
    ]
    url = vendor_url + request["path"]
    return client.request(request["method"], url, content=request["body"].encode(), headers=headers).content


def buckets(upstream: str, body: bytes) -> Buckets:
    """Return the buckets that are not zero."""
    read = _READERS[upstream]
    return {name: count for name, count in read(_documents(upstream, body)).items() if count}


def _documents(upstream: str, body: bytes) -> list[dict[str, Any]]:
    if upstream == "bedrock" and not body.startswith(b"{"):
        return [json.loads(message.payload) for message in MessageReader().feed(body)]
    text = body.decode()
    if "data: " in text:
        lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: {")]
        return [json.loads(line) for line in lines]
    if text.lstrip().startswith("{") and "\n{" in text:
        return [json.loads(line) for line in text.splitlines() if line]
    document = json.loads(text)
    return document if isinstance(document, list) else [document]


def _chat(documents: list[dict[str, Any]]) -> Buckets:
    usage = next(each["usage"] for each in reversed(documents) if each.get("usage"))
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    reasoning = (usage.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0
    return {
        "input_tokens": usage["prompt_tokens"] - cached,
        "cache_read_tokens": cached,
        "output_tokens": usage["completion_tokens"] - reasoning,
        "reasoning_tokens": reasoning,
    }


def _responses(documents: list[dict[str, Any]]) -> Buckets:
    last = documents[-1]
    usage = last.get("response", last)["usage"]
    cached = usage["input_tokens_details"]["cached_tokens"]
    reasoning = usage["output_tokens_details"]["reasoning_tokens"]
    return {
        "input_tokens": usage["input_tokens"] - cached,
        "cache_read_tokens": cached,
        "output_tokens": usage["output_tokens"] - reasoning,
        "reasoning_tokens": reasoning,
    }


def _anthropic(documents: list[dict[str, Any]]) -> Buckets:
    usage: dict[str, Any] = {}
    for document in documents:
        usage |= document.get("message", document).get("usage") or {}
    reasoning = (usage.get("output_tokens_details") or {}).get("thinking_tokens") or 0
    return {
        "input_tokens": usage["input_tokens"],
        "cache_read_tokens": usage["cache_read_input_tokens"],
        "cache_write_tokens": usage["cache_creation_input_tokens"],
        "output_tokens": usage["output_tokens"] - reasoning,
        "reasoning_tokens": reasoning,
    }


def _gemini(documents: list[dict[str, Any]]) -> Buckets:
    usage = documents[-1]["usageMetadata"]
    cached = usage.get("cachedContentTokenCount", 0)
    return {
        "input_tokens": usage["promptTokenCount"] - cached,
        "cache_read_tokens": cached,
        "output_tokens": usage["candidatesTokenCount"],
        "reasoning_tokens": usage.get("thoughtsTokenCount", 0),
    }


def _ollama(documents: list[dict[str, Any]]) -> Buckets:
    return {"input_tokens": documents[-1]["prompt_eval_count"], "output_tokens": documents[-1]["eval_count"]}


def _bedrock(documents: list[dict[str, Any]]) -> Buckets:
    usage = next(each["usage"] for each in reversed(documents) if each.get("usage"))
    return {
        "input_tokens": usage["inputTokens"],
        "cache_read_tokens": usage.get("cacheReadInputTokens", 0),
        "cache_write_tokens": usage.get("cacheWriteInputTokens", 0),
        "output_tokens": usage["outputTokens"],
    }


_READERS = {
    "openai": _chat,
    "azure": _chat,
    "responses": _responses,
    "anthropic": _anthropic,
    "gemini": _gemini,
    "ollama": _ollama,
    "bedrock": _bedrock,
}


def of_path(upstream: str, path: str) -> str:
    """Return the key of the reader for an answer at this path: OpenAI and Azure have two formats."""
    return "responses" if path.endswith("/responses") else upstream
