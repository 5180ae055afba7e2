"""Put a completion on Google's wire: one response, or one for each piece."""

from collections.abc import Iterator
from functools import partial
from itertools import zip_longest
from typing import Any, Final

from intellirouter.core import new_id
from intellirouter.fake.completion import Choice, Completion
from intellirouter.fake.reply import Reply
from intellirouter.testing.wires.gemini.reply import json_reply, stream_reply
from intellirouter.testing.wires.gemini.request import GeminiRequest
from intellirouter.testing.wires.shared.seal import mint

_REASONS: Final = {"stop": "STOP", "length": "MAX_TOKENS", "tool_calls": "STOP"}
_CREATED: Final = "2026-01-01T00:00:00.000000Z"
Form = str
"""`whole`, `sse` or `array`."""


def generate_reply(ask: GeminiRequest, form: Form, completion: Completion) -> Reply:
    if form == "whole":
        reply = json_reply(_whole(ask, completion))
    else:
        reply = stream_reply(list(_pieces(ask, completion)), is_sse=form == "sse")
    reply.plan, reply.render = completion, partial(generate_reply, ask, form)
    return reply


def _response(
    ask: GeminiRequest, completion: Completion, candidates: list[dict[str, Any]], said: int
) -> dict[str, Any]:
    usage: dict[str, Any] = {
        "promptTokenCount": completion.prompt_tokens,
        "candidatesTokenCount": said,
        "totalTokenCount": completion.prompt_tokens + said + completion.reasoning_tokens,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": completion.prompt_tokens}],
    }
    if completion.cached_tokens:
        usage["cachedContentTokenCount"] = completion.cached_tokens
    if completion.reasoning_tokens:
        usage["thoughtsTokenCount"] = completion.reasoning_tokens
    document = {"candidates": candidates, "usageMetadata": usage, "modelVersion": completion.model}
    if ask.is_vertex:
        usage["trafficType"] = "ON_DEMAND"
        document["createTime"] = _CREATED
    return document


def _whole(ask: GeminiRequest, completion: Completion) -> dict[str, Any]:
    candidates = []
    for index, choice in enumerate(completion.choices):
        parts = _thoughts(ask, choice, ["".join(choice.reasoning)] if choice.reasoning else [])
        if choice.tokens:
            parts.append({"text": choice.text, **_signature(ask)})
        parts += _calls(ask, choice)
        candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"} if parts else {"role": "model"}}
        if ask.has_logprobs:
            candidate |= {"avgLogprobs": -0.05, "logprobsResult": _logprobs(choice)}
        candidates.append({**candidate, **_ending(choice), "index": index})
    document = _response(ask, completion, candidates, completion.completion_tokens)
    return {**document, "responseId": new_id("")}


def _pieces(ask: GeminiRequest, completion: Completion) -> Iterator[dict[str, Any]]:
    """Each piece carries the usage so far; the last one of a candidate says why it ended."""
    name = new_id("")
    rows = zip_longest(*(_choice_pieces(ask, index, choice) for index, choice in enumerate(completion.choices)))
    candidates = [candidate for row in rows for candidate in row if candidate is not None]
    for said, candidate in enumerate(candidates, 1):
        counted = completion.completion_tokens if said == len(candidates) else min(said, completion.completion_tokens)
        yield {**_response(ask, completion, [candidate], counted), "responseId": name}


def _choice_pieces(ask: GeminiRequest, index: int, choice: Choice) -> list[dict[str, Any]]:
    parts = _thoughts(ask, choice, choice.reasoning)
    parts += [{"text": token} for token in choice.tokens]
    parts += _calls(ask, choice)
    if choice.tokens and ask.signs:
        parts.append({"text": "", **_signature(ask)})
    if not parts:
        return [{"content": {"role": "model"}, **_ending(choice), "index": index}]
    pieces = [{"content": {"parts": [part], "role": "model"}, "index": index} for part in parts]
    pieces[-1] |= _ending(choice)
    return pieces


def _thoughts(ask: GeminiRequest, choice: Choice, thoughts: list[str]) -> list[dict[str, Any]]:
    # A model that thinks by its name alone shows it.
    is_shown = ask.shows_thought or choice.is_reasoning_forced or not ask.wants_reasoning
    return [{"text": thought, "thought": True} for thought in thoughts] if is_shown else []


def _signature(ask: GeminiRequest) -> dict[str, str]:
    return {"thoughtSignature": mint(ask.endpoint)} if ask.signs else {}


def _calls(ask: GeminiRequest, choice: Choice) -> list[dict[str, Any]]:
    """Calls that are no JSON are not sent: the finish reason tells. Of parallel calls only the first is signed."""
    parts: list[dict[str, Any]] = []
    for call in choice.calls:
        arguments = call.arguments_object()
        if arguments is None:
            continue
        named = {"name": call.name, "args": arguments}
        called = {"id": call.id, **named} if ask.signs else named
        parts.append({"functionCall": called, **({} if parts else _signature(ask))})
    return parts


def _ending(choice: Choice) -> dict[str, Any]:
    if choice.finish_reason is None:
        return {}
    if choice.refusal is not None:
        return {"finishReason": "SAFETY", "finishMessage": choice.refusal}
    broken = next((call for call in choice.calls if call.arguments_object() is None), None)
    if broken is not None and choice.finish_reason != "length":
        said = f"Malformed function call: print(default_api.{broken.name}({broken.arguments}"
        return {"finishReason": "MALFORMED_FUNCTION_CALL", "finishMessage": said}
    return {"finishReason": _REASONS[choice.finish_reason]}


def _logprobs(choice: Choice) -> dict[str, Any]:
    chosen = [{"token": token, "tokenId": at, "logProbability": -0.05} for at, token in enumerate(choice.tokens)]
    return {"topCandidates": [{"candidates": [entry]} for entry in chosen], "chosenCandidates": chosen}
