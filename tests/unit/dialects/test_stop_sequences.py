"""Stop sequences that an upstream does not take are left out and reported, alike for all upstreams."""

import json
from typing import Any

import pytest

from intellirouter.core import LossReport
from intellirouter.dialects.adapt.stop_sequences import usable_stops
from tests.support.dialects.pairs import BY_UPSTREAM, call_of, deployment, send

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


@pytest.mark.parametrize("upstream", list(LIMITS))
@pytest.mark.parametrize("client", ["anthropic_messages", "gemini"])
def test_six_sequences_reach_every_upstream_as_far_as_it_takes_them(client: str, upstream: str) -> None:
    if client == upstream:
        return
    body: dict[str, Any] = {
        "model": "m",
        "max_tokens": 9,
        "stop_sequences": SIX,
        "messages": [{"role": "user", "content": "hi"}],
    }
    path = None
    if client == "gemini":
        body = {
            "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
            "generationConfig": {"stopSequences": SIX},
        }
        path = {"model": "m", "is_stream": False, "query": ""}
    target = BY_UPSTREAM[upstream]
    if upstream == "openai_chat":
        target = deployment("openai_chat", "openai", "gpt-4.1", "https://api.openai.com/v1")
    sent = send(call_of(client, {"body": body, "path": path}), client, target)
    assert sent.request is not None
    assert _stops(json.loads(sent.request.body)) == SIX[: LIMITS[upstream]]
    assert any("stop" in field for field in sent.losses) == (LIMITS[upstream] < len(SIX))
