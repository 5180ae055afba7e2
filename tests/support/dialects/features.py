"""How each feature is translated between each client and each upstream, measured with the golden cases.

A case names its features. A request is encoded for each upstream, which rejects it or reports losses; a loss belongs to
the features whose fields it names. An answer is encoded for each client.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from intellirouter.core import Call, errors
from intellirouter.dialects.ir import Response
from tests.support.dialects.answers import FAILS, content_of
from tests.support.dialects.golden import KINDS, load
from tests.support.dialects.pairs import (
    BY_UPSTREAM,
    CLIENTS,
    UPSTREAMS,
    call_of,
    client_of,
    encode_answer,
    endpoint_of,
    read_answer,
    upstream_of,
    web,
)
from tests.support.dialects.standard import ENDPOINTS

_CARRIERS = frozenset({"text", "multi_turn", "tools", "tool_result"})
"""Features that cases of other features also need."""
_RESULT = ("messages[].content[].tool_result", "messages[].content[].tool_result.content")
_MEDIA = ("messages[].content[]", "messages[].content[].detail", "messages[].content[].url", "messages")
_DOCUMENT = (*_MEDIA, *(f"messages[].content[].{name}" for name in ("document", "file", "name", "context")))
_REASONING = ("reasoning", "reasoning.effort", "reasoning.budget_tokens", "reasoning.summary")
_EARLIER_REASONING = ("messages[].reasoning",)
_CHOICE = ("tool_choice",)
WITHOUT_FIXED_FIELDS = ("server_tool", "unknown_fields")
"""Features whose fields can have any name, such as tools of vendors and unknown members."""
REQUEST_FEATURES: dict[str, tuple[str, ...]] = {
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
    "reasoning": _EARLIER_REASONING,
    "refusal": ("messages",),
    "citations": ("messages[].content[].citations",),
    "cache_mark": ("cache", "cachedContent"),
    "user": ("user",),
    "metadata": ("metadata", "labels"),
    "service_tier": ("service_tier",),
    "unknown_fields": (),
}
"""The features of requests, with the fields of the conversation to which they belong."""
ANSWER_FEATURES = (
    "text", "unicode", "empty_content", "tools", "parallel_tools", "custom_tool", "server_tool", "reasoning",
    "reasoning_signature", "redacted_reasoning", "refusal", "citations", "image_data", "audio", "video",
    "logprobs", "n", "usage", "cache_usage", "finish_stop", "finish_stop_sequence", "finish_length", "finish_context",
    "finish_tool_calls", "finish_content_filter", "finish_pause", "odd_deltas",
)  # fmt: skip
"""The features of answers."""
_LOSS_SUFFIXES = {
    "n": ("n",),
    "citations": ("citations", "annotations"),
    "image_data": ("image", "content"),
    "audio": ("audio", "content"),
    "video": ("video", "content"),
    "reasoning_signature": ("signature",),
    "redacted_reasoning": ("signature",),
    "tools": ("arguments", "args", "input"),
}
"""By feature of an answer: the suffixes of the fields of its losses."""
ORDER = ("honored", "emulated", "nearest", "reported", "refused")
"""From best to worst."""


class Cell(Struct, frozen=True):
    """The translation of one feature between one client and one upstream."""

    outcome: str
    is_always: bool
    """False if some cases have another outcome."""
    cases: int


def request_outcomes() -> dict[str, dict[str, dict[str, Cell]]]:
    """Return the outcomes of requests by client, feature and upstream."""
    found = _Outcomes()
    for client in CLIENTS:
        for _, case in load(client, "requests"):
            for upstream in UPSTREAMS:
                for feature in REQUEST_FEATURES.keys() & set(case["features"]):
                    outcome = _request_outcome(client, upstream, case, feature)
                    if outcome:
                        found.add(client, feature, upstream, outcome, is_alone=_is_alone(case, feature))
    return found.cells()


def answer_outcomes() -> dict[str, dict[str, dict[str, Cell]]]:
    """Return the outcomes of answers by client, feature and upstream."""
    found = _Outcomes()
    for upstream in UPSTREAMS:
        for _, case in load(upstream, "responses"):
            response = read_answer(upstream, case)
            for client in CLIENTS:
                for feature in set(ANSWER_FEATURES) & set(case["features"]):
                    outcome = "honored" if client == upstream else _answer_outcome(client, response, feature)
                    found.add(client, feature, upstream, outcome, is_alone=_is_alone(case, feature))
    return found.cells()


def case_counts() -> dict[str, dict[str, int]]:
    """Return the number of cases by dialect and kind."""
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
    """Return the most frequent outcome, or the best of them; cases of this feature alone take precedence."""
    deciding = [outcome for is_alone, outcome in outcomes if is_alone] or [outcome for _, outcome in outcomes]
    often = Counter(deciding)
    best = max(often, key=lambda outcome: (often[outcome], -ORDER.index(outcome)))
    return Cell(outcome=best, is_always=len(often) == 1, cases=len(outcomes))


def _is_alone(case: dict[str, Any], feature: str) -> bool:
    """Return whether the case has only this feature and those that it needs."""
    return not set(case["features"]) - _CARRIERS - {feature}


def _request_outcome(client: str, upstream: str, case: dict[str, Any], feature: str) -> str:
    """Return the outcome, or an empty string if the request was rejected because of another feature."""
    call = call_of(client, case)
    names = client_of(client, call.body).field_names
    fields = {names.get(field, field) for field in REQUEST_FEATURES[feature]}
    try:
        losses = _losses(call, client, upstream)
    except errors.UnsupportedFeature as refusal:
        is_relevant = _is_alone(case, feature) or refusal.param in fields
        return "refused" if is_relevant else ""
    hows = {how for field, how in losses.items() if field in fields}
    if feature in WITHOUT_FIXED_FIELDS:
        known = {names.get(field, field) for each in REQUEST_FEATURES.values() for field in each}
        hows = {how for field, how in losses.items() if field not in known}
    if not hows:
        return "honored"
    return "emulated" if hows == {"emulated"} else "reported"


def _losses(call: Call, client: str, upstream: str) -> dict[str, str]:
    """Encode the request on the route of the pipeline, and return its losses."""
    target = BY_UPSTREAM[upstream]
    route = ENDPOINTS[endpoint_of(client, call.body)].route(call, target)
    if urls := route.media_urls(call, target):
        call.fetched = {url: web(url) for url in urls}
    request = route.encode_request(call, target)
    return {loss.field: loss.how for loss in request.losses}


def _answer_outcome(client: str, response: Response, feature: str) -> str:
    body, losses = encode_answer(response, client)
    if feature.startswith("finish_"):
        return _stop_reason_outcome(client, response, body)
    if feature == "server_tool":
        return "reported" if losses else "honored"
    if _is_lost(losses, _LOSS_SUFFIXES.get(feature, ())):
        return "reported"
    return "honored"


def _is_lost(losses: dict[str, str], suffixes: Iterable[str]) -> bool:
    return any(field.endswith(tuple(suffixes)) for field in losses) if suffixes else False


def _stop_reason_outcome(client: str, response: Response, body: bytes) -> str:
    """Return whether the client dialect has this stop reason."""
    was = content_of(response.choices[0]).stop_reason
    if was in FAILS.get(client, ()):
        return "nearest"
    again = upstream_of(client).decode(body, BY_UPSTREAM[client])
    return "honored" if content_of(again.choices[0]).stop_reason == was else "nearest"
