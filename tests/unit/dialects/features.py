"""What becomes of each feature between each client and each upstream, as the golden cases show it.

A case names the features that it is about. Sent to an upstream, its request is refused, or arrives with losses that
are said; a loss belongs to a feature by the fields that the feature is made of. An answer's case is told to a client.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from answers import FAILS, said_by
from golden import KINDS, load
from msgspec import Struct

from intellirouter.core import Call, errors
from intellirouter.dialects import ENDPOINTS
from intellirouter.dialects.ir import Response
from pairs import (
    BY_UPSTREAM,
    CLIENTS,
    UPSTREAMS,
    call_of,
    client_of,
    endpoint_of,
    read_answer,
    told_whole,
    upstream_of,
    web,
)

_CARRIERS = frozenset({"text", "multi_turn", "tools", "tool_result"})
"""Features that others stand on."""
_RESULT = ("messages[].content[].tool_result", "messages[].content[].tool_result.content")
_MEDIA = ("messages[].content[]", "messages[].content[].detail", "messages[].content[].url", "messages")
_DOCUMENT = (*_MEDIA, *(f"messages[].content[].{name}" for name in ("document", "file", "name", "context")))
_REASONING = ("reasoning", "reasoning.effort", "reasoning.budget_tokens", "reasoning.summary")
_THOUGHTS = ("messages[].reasoning",)
_CHOICE = ("tool_choice",)
OF_THEIR_OWN = ("server_tool", "unknown_fields")
"""Features whose fields have any name: whatever a vendor calls its tools, whatever a client invents."""
ASKED: dict[str, tuple[str, ...]] = {
    "text": ("messages",),
    "multi_turn": ("messages",),
    "system": ("messages", "messages[].role"),
    "developer": ("messages", "messages[].role"),
    "system_in_middle": ("messages", "messages[].role"),
    "unicode": ("messages",),
    "empty_content": ("messages",),
    "max_tokens": ("max_output_tokens",),
    "stop": ("stop",),
    "temperature": ("temperature",),
    "top_k": ("top_k",),
    "penalties": ("presence_penalty", "frequency_penalty", "repetition_penalty"),
    "seed": ("seed",),
    "logit_bias": ("logit_bias",),
    "logprobs": ("logprobs", "top_logprobs"),
    "n": ("n",),
    "tools": ("tools", "tools[].strict", "tools[].parameters"),
    "parallel_tools": ("messages[].tool_calls[].arguments",),
    "no_parallel_tools": ("is_parallel", "tool_choice.is_parallel"),
    "tool_choice_none": _CHOICE,
    "tool_choice_required": _CHOICE,
    "tool_choice_named": _CHOICE,
    "tool_choice_allowed": _CHOICE,
    "tool_result": _RESULT,
    "tool_result_error": ("messages[].content[].is_error",),
    "tool_result_image": (*_RESULT, *_MEDIA),
    "custom_tool": ("tools", "tools[].custom.format"),
    "server_tool": (),
    "json_object": ("output",),
    "json_schema": ("output", "output.schema", "output.description"),
    "image_data": _MEDIA,
    "image_url": _MEDIA,
    "image_file": _MEDIA,
    "pdf": _DOCUMENT,
    "audio": _MEDIA,
    "video": _MEDIA,
    "reasoning_effort": _REASONING,
    "reasoning_budget": _REASONING,
    "reasoning": _THOUGHTS,
    "refusal": ("messages",),
    "citations": ("messages[].content[].citations",),
    "cache_mark": ("cache", "cachedContent"),
    "user": ("user",),
    "metadata": ("metadata", "labels"),
    "service_tier": ("service_tier",),
    "unknown_fields": (),
}
"""By feature of a request: the form's fields that it is made of."""
TOLD = (
    "text", "unicode", "empty_content", "tools", "parallel_tools", "custom_tool", "server_tool", "reasoning",
    "reasoning_signature", "redacted_reasoning", "refusal", "citations", "image_data", "audio", "video",
    "logprobs", "n", "usage", "cache_usage", "finish_stop", "finish_stop_sequence", "finish_length", "finish_context",
    "finish_tool_calls", "finish_content_filter", "finish_pause", "odd_deltas",
)  # fmt: skip
"""Features of answers."""
_OF_ANSWERS = {
    "n": ("n",),
    "citations": ("citations", "annotations"),
    "image_data": ("image", "content"),
    "audio": ("audio", "content"),
    "video": ("video", "content"),
    "reasoning_signature": ("signature",),
    "redacted_reasoning": ("signature",),
    "tools": ("arguments", "args", "input"),
}
"""By feature of an answer: how the names of its losses end."""
ORDER = ("honoured", "emulated", "nearest", "reported", "refused")
"""From best to worst."""


class Cell(Struct, frozen=True):
    """What becomes of one feature between one client and one upstream."""

    outcome: str
    is_always: bool
    """False: some cases come out otherwise."""
    cases: int


def asked() -> dict[str, dict[str, dict[str, Cell]]]:
    """Return what becomes of requests: by client, feature and upstream."""
    found = _Outcomes()
    for client in CLIENTS:
        for _, case in load(client, "requests"):
            for upstream in UPSTREAMS:
                for feature in ASKED.keys() & set(case["features"]):
                    outcome = _asked(client, upstream, case, feature)
                    if outcome:
                        found.add(client, feature, upstream, outcome, is_alone=_is_alone(case, feature))
    return found.cells()


def told() -> dict[str, dict[str, dict[str, Cell]]]:
    """Return what becomes of answers: by client, feature and upstream."""
    found = _Outcomes()
    for upstream in UPSTREAMS:
        for _, case in load(upstream, "responses"):
            response = read_answer(upstream, case)
            for client in CLIENTS:
                for feature in set(TOLD) & set(case["features"]):
                    outcome = "honoured" if client == upstream else _told(client, response, feature)
                    found.add(client, feature, upstream, outcome, is_alone=_is_alone(case, feature))
    return found.cells()


def counts() -> dict[str, dict[str, int]]:
    """Return how many cases there are, by dialect and kind."""
    return {dialect: {kind: len(load(dialect, kind)) for kind in KINDS} for dialect in UPSTREAMS}


class _Outcomes:
    def __init__(self) -> None:
        self._found: dict[tuple[str, str, str], list[tuple[bool, str]]] = defaultdict(list)

    def add(self, client: str, feature: str, upstream: str, outcome: str, *, is_alone: bool) -> None:
        self._found[client, feature, upstream].append((is_alone, outcome))

    def cells(self) -> dict[str, dict[str, dict[str, Cell]]]:
        found: dict[str, dict[str, dict[str, Cell]]] = {}
        for (client, feature, upstream), outcomes in self._found.items():
            found.setdefault(client, {}).setdefault(feature, {})[upstream] = _cell(outcomes)
        return found


def _cell(outcomes: list[tuple[bool, str]]) -> Cell:
    """The most frequent outcome, the best of equals; cases about this feature alone decide where there are any."""
    deciding = [outcome for is_alone, outcome in outcomes if is_alone] or [outcome for _, outcome in outcomes]
    often = Counter(deciding)
    best = max(often, key=lambda outcome: (often[outcome], -ORDER.index(outcome)))
    return Cell(outcome=best, is_always=len(often) == 1, cases=len(outcomes))


def _is_alone(case: dict[str, Any], feature: str) -> bool:
    """Whether the case is about this feature and what it cannot do without."""
    return not set(case["features"]) - _CARRIERS - {feature}


def _asked(client: str, upstream: str, case: dict[str, Any], feature: str) -> str:
    """Return the outcome; empty where the case says nothing of the feature, being refused for another one."""
    call = call_of(client, case)
    names = client_of(client, call.body).field_names
    fields = {names.get(field, field) for field in ASKED[feature]}
    try:
        losses = _losses(call, client, upstream)
    except errors.UnsupportedFeature as refusal:
        is_its_own = _is_alone(case, feature) or refusal.param in fields
        return "refused" if is_its_own else ""
    hows = {how for field, how in losses.items() if field in fields}
    if feature in OF_THEIR_OWN:
        known = {names.get(field, field) for each in ASKED.values() for field in each}
        hows = {how for field, how in losses.items() if field not in known}
    if not hows:
        return "honoured"
    return "emulated" if hows == {"emulated"} else "reported"


def _losses(call: Call, client: str, upstream: str) -> dict[str, str]:
    """Encode the request on the route that the pipeline takes."""
    target = BY_UPSTREAM[upstream]
    route = ENDPOINTS[endpoint_of(client, call.body)].route(call, target)
    if urls := route.media_urls(call, target):
        call.fetched = {url: web(url) for url in urls}
    request = route.encode_request(call, target)
    return {loss.field: loss.how for loss in request.losses}


def _told(client: str, response: Response, feature: str) -> str:
    body, losses = told_whole(response, client)
    if feature.startswith("finish_"):
        return _end(client, response, body)
    if feature == "server_tool":
        return "reported" if losses else "honoured"
    if _is_lost(losses, _OF_ANSWERS.get(feature, ())):
        return "reported"
    return "honoured"


def _is_lost(losses: dict[str, str], ends: Iterable[str]) -> bool:
    return any(field.endswith(tuple(ends)) for field in losses) if ends else False


def _end(client: str, response: Response, body: bytes) -> str:
    """Whether the client's dialect has a word of its own for this end."""
    was = said_by(response.choices[0]).end
    if was in FAILS.get(client, ()):
        return "nearest"
    again = upstream_of(client).decode(body, BY_UPSTREAM[client])
    return "honoured" if said_by(again.choices[0]).end == was else "nearest"
