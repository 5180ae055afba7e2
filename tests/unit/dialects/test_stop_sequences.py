"""Stop sequences that an upstream does not take are left out and reported, alike for all upstreams."""

import json
from typing import Any

import pytest

from intellirouter.core import LossReport, RequestContext
from intellirouter.dialects.adapt.stop_sequences import usable_stops
from tests.support.dialects.pairs import BY_UPSTREAM, deployment
from tests.support.dialects.standard import ENDPOINTS

SIX = ["a", "b", "c", "d", "e", "f"]
LIMITS = {"openai_chat": 4, "anthropic_messages": 6, "gemini": 5, "bedrock": 6, "ollama": 6}


@pytest.mark.parametrize(
    ("stop", "members", "usable", "detail"),
    [
        (SIX, {"max_count": 4}, SIX[:4], "the first 4"),
        (SIX[:4], {"max_count": 4}, SIX[:4], None),
        (["", "a"], {}, ["a"], "empty"),
        ([" \n", "a"], {}, [" \n", "a"], None),
        ([" \n", "a"], {"takes_blank": False}, ["a"], "white space only"),
        ([], {"max_count": 4}, [], None),
    ],
)
def test_sequences_are_left_out_and_reported(
    stop: list[str], members: dict[str, Any], usable: list[str], detail: str | None
) -> None:
    losses = LossReport()
    assert usable_stops(stop, losses, **members) == usable
    assert [loss.detail for loss in losses.taken()] == ([detail] if detail is not None else [])


def _stops(value: Any) -> list[str]:
    if isinstance(value, dict):
        for name in ("stop", "stop_sequences", "stopSequences"):
            if isinstance(value.get(name), list):
                found: list[str] = value[name]
                return found
        return next((found for each in value.values() if (found := _stops(each))), [])
    return []


BODIES: dict[str, dict[str, Any]] = {
    "openai_chat": {"stop": SIX},
    "anthropic_messages": {"max_tokens": 9, "stop_sequences": SIX},
    "gemini": {"generationConfig": {"stopSequences": SIX}},
    "ollama_chat": {"stream": False, "options": {"stop": SIX}},
    "ollama_generate": {"stream": False, "options": {"stop": SIX}},
    "openai_completions": {"stop": SIX},
}
PROMPTS = {"openai_completions", "ollama_generate"}


def call_with(client: str, stop: list[str] | None = None) -> Any:
    members = json.loads(json.dumps(BODIES[client]).replace(json.dumps(SIX), json.dumps(stop or SIX)))
    if client == "gemini":
        body = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}], **members}
    elif client in PROMPTS:
        body = {"model": "m", "prompt": "hi", **members}
    else:
        body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **members}
    return ENDPOINTS[client].decode_request(json.dumps(body).encode(), RequestContext(model="m"))


def target_of(upstream: str) -> Any:
    if upstream == "openai_chat":
        return deployment("openai_chat", "openai", "gpt-4.1", "https://api.openai.com/v1")
    return BY_UPSTREAM[upstream]


@pytest.mark.parametrize("upstream", list(LIMITS))
@pytest.mark.parametrize("client", list(BODIES))
def test_six_sequences_reach_every_upstream_as_far_as_it_takes_them(client: str, upstream: str) -> None:
    call, target = call_with(client), target_of(upstream)
    request = ENDPOINTS[client].route(call, target).encode_request(call, target)
    assert _stops(json.loads(request.body)) == SIX[: LIMITS[upstream]]
    assert any("stop" in loss.field for loss in request.losses) == (LIMITS[upstream] < len(SIX))


@pytest.mark.parametrize("client", ["openai_chat", "openai_completions"])
@pytest.mark.parametrize(("vendor", "limit"), [("openai-compatible", 4), ("groq", 4), ("vllm", 6), ("llamacpp", 6)])
def test_relayed_sequences_are_limited_like_translated_ones(client: str, vendor: str, limit: int) -> None:
    for quirks in ({}, {"renames": (("max_completion_tokens", "max_tokens"),)}):
        target = deployment("openai_chat", vendor, "up", "http://u.test/v1", **quirks)
        call = call_with(client)
        request = ENDPOINTS[client].route(call, target).encode_request(call, target)
        assert json.loads(request.body)["stop"] == SIX[:limit]
        assert [loss.field for loss in request.losses] == (["stop"] if limit < 6 else [])


@pytest.mark.parametrize(("client", "upstream"), [("openai_chat", "openai_chat"), ("gemini", "gemini")])
def test_request_with_few_sequences_is_relayed_as_it_is(client: str, upstream: str) -> None:
    call, target = call_with(client, SIX[:4]), target_of(upstream)
    request = ENDPOINTS[client].route(call, target).encode_request(call, target)
    assert request.body == call.body.replace(b'"model": "m"', b'"model": "gpt-4.1"')
    assert request.losses == ()
