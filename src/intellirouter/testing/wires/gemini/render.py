"""Render a completion in Google's format: as one response, or as one response per chunk."""

from collections.abc import Iterator
from functools import partial
from itertools import zip_longest
from typing import Any, Final

from intellirouter.core import new_id
from intellirouter.fake.completion import Choice, Completion
from intellirouter.fake.reply import Reply
from intellirouter.testing.wires.gemini.reply import json_reply, stream_reply
from intellirouter.testing.wires.gemini.request import GeminiRequest
from intellirouter.testing.wires.shared.opaque_tokens import issue_token

_REASONS: Final = {"stop": "STOP", "length": "MAX_TOKENS", "tool_calls": "STOP"}
_CREATED: Final = "2026-01-01T00:00:00.000000Z"
Form = str
"""`whole`, `sse` or `array`."""


def generate_reply(request: GeminiRequest, form: Form, completion: Completion) -> Reply:
    if form == "whole":
        reply = json_reply(_whole(request, completion))
    else:
        reply = stream_reply(list(_pieces(request, completion)), is_sse=form == "sse")
    reply.plan, reply.render = completion, partial(generate_reply, request, form)
    return reply


def _response(
    request: GeminiRequest, completion: Completion, candidates: list[dict[str, Any]], output_tokens: int
) -> dict[str, Any]:
    usage: dict[str, Any] = {
        "promptTokenCount": completion.prompt_tokens,
        "candidatesTokenCount": output_tokens,
        "totalTokenCount": completion.prompt_tokens + output_tokens + completion.reasoning_tokens,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": completion.prompt_tokens}],
    }
    if completion.cached_tokens:
        usage["cachedContentTokenCount"] = completion.cached_tokens
    if completion.reasoning_tokens:
        usage["thoughtsTokenCount"] = completion.reasoning_tokens
    document = {"candidates": candidates, "usageMetadata": usage, "modelVersion": completion.model}
    if request.is_vertex:
        usage["trafficType"] = "ON_DEMAND"
        document["createTime"] = _CREATED
    return document


def _whole(request: GeminiRequest, completion: Completion) -> dict[str, Any]:
    candidates = []
    for index, choice in enumerate(completion.choices):
        parts = _reasoning(request, choice, ["".join(choice.reasoning)] if choice.reasoning else [])
        if choice.tokens:
            parts.append({"text": choice.text, **_signature(request)})
        parts += _calls(request, choice)
        candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"} if parts else {"role": "model"}}
        if request.has_logprobs:
            candidate |= {"avgLogprobs": -0.05, "logprobsResult": _logprobs(choice)}
        candidates.append({**candidate, **_ending(choice), "index": index})
    document = _response(request, completion, candidates, completion.completion_tokens)
    return {**document, "responseId": new_id("")}


def _pieces(request: GeminiRequest, completion: Completion) -> Iterator[dict[str, Any]]:
    """Yield chunks with the usage so far; the last chunk of a candidate has the finish reason."""
    name = new_id("")
    rows = zip_longest(*(_choice_pieces(request, index, choice) for index, choice in enumerate(completion.choices)))
    candidates = [candidate for row in rows for candidate in row if candidate is not None]
    for number, candidate in enumerate(candidates, 1):
        tokens = completion.completion_tokens
        if number < len(candidates):
            tokens = min(number, tokens)
        yield {**_response(request, completion, [candidate], tokens), "responseId": name}


def _choice_pieces(request: GeminiRequest, index: int, choice: Choice) -> list[dict[str, Any]]:
    parts = _reasoning(request, choice, choice.reasoning)
    parts += [{"text": token} for token in choice.tokens]
    parts += _calls(request, choice)
    if choice.tokens and request.has_signatures:
        parts.append({"text": "", **_signature(request)})
    if not parts:
        return [{"content": {"role": "model"}, **_ending(choice), "index": index}]
    pieces = [{"content": {"parts": [part], "role": "model"}, "index": index} for part in parts]
    pieces[-1] |= _ending(choice)
    return pieces


def _reasoning(request: GeminiRequest, choice: Choice, pieces: list[str]) -> list[dict[str, Any]]:
    # The fake model with reasoning shows it without a request.
    is_shown = request.shows_reasoning or choice.is_reasoning_forced or not request.wants_reasoning
    return [{"text": piece, "thought": True} for piece in pieces] if is_shown else []


def _signature(request: GeminiRequest) -> dict[str, str]:
    return {"thoughtSignature": issue_token(request.endpoint)} if request.has_signatures else {}


def _calls(request: GeminiRequest, choice: Choice) -> list[dict[str, Any]]:
    """Return the calls as parts; only the first of parallel calls is signed.

    Calls with invalid JSON are omitted, as the finish reason reports them.
    """
    parts: list[dict[str, Any]] = []
    for call in choice.calls:
        arguments = call.arguments_object()
        if arguments is None:
            continue
        function_call = {"name": call.name, "args": arguments}
        if request.has_signatures:
            function_call = {"id": call.id, **function_call}
        parts.append({"functionCall": function_call, **({} if parts else _signature(request))})
    return parts


def _ending(choice: Choice) -> dict[str, Any]:
    if choice.finish_reason is None:
        return {}
    if choice.refusal is not None:
        return {"finishReason": "SAFETY", "finishMessage": choice.refusal}
    broken = next((call for call in choice.calls if call.arguments_object() is None), None)
    if broken is not None and choice.finish_reason != "length":
        message = f"Malformed function call: print(default_api.{broken.name}({broken.arguments}"
        return {"finishReason": "MALFORMED_FUNCTION_CALL", "finishMessage": message}
    return {"finishReason": _REASONS[choice.finish_reason]}


def _logprobs(choice: Choice) -> dict[str, Any]:
    chosen = [{"token": token, "tokenId": at, "logProbability": -0.05} for at, token in enumerate(choice.tokens)]
    return {"topCandidates": [{"candidates": [entry]} for entry in chosen], "chosenCandidates": chosen}
