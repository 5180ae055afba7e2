"""The reasoning effort for OpenAI's models, from clients of other dialects."""

import json
from typing import Any

import pytest
from msgspec import structs

from intellirouter.catalog.profiles import profile_of
from intellirouter.core import Deployment
from tests.support.dialects.pairs import BY_UPSTREAM, call_of, send

UPSTREAMS = ["openai_chat", "openai_responses"]


def _deployment(upstream: str, model: str) -> Deployment:
    deployment = BY_UPSTREAM[upstream]
    profile = profile_of(deployment.dialects, deployment.vendor, model)
    return structs.replace(deployment, upstream_model=model, profile=profile)


def _sent(upstream: str, model: str, **members: Any) -> tuple[dict[str, Any], dict[str, str]]:
    body = {"model": "m", "max_tokens": 9000, "messages": [{"role": "user", "content": "hi"}], **members}
    call = call_of("anthropic_messages", {"body": body})
    sent = send(call, "anthropic_messages", _deployment(upstream, model))
    assert sent.request is not None
    return json.loads(sent.request.body), sent.losses


def _effort(body: dict[str, Any]) -> str | None:
    effort: str | None = body.get("reasoning_effort") or body.get("reasoning", {}).get("effort")
    return effort


@pytest.mark.parametrize("upstream", UPSTREAMS)
@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4.1-mini-2025-04-14", "ft:gpt-3.5-turbo:org", "gpt-5-chat-latest"])
@pytest.mark.parametrize(
    "members",
    [{"thinking": {"type": "enabled", "budget_tokens": 2048}}, {"output_config": {"effort": "high"}}],
)
def test_models_that_do_not_reason_are_not_asked_to(upstream: str, model: str, members: dict[str, Any]) -> None:
    body, losses = _sent(upstream, model, **members)
    assert not {"reasoning", "reasoning_effort", "include"} & body.keys()
    assert "dropped" in losses.values()


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_reasoning_that_is_off_is_not_reported_for_them(upstream: str) -> None:
    body, losses = _sent(upstream, "gpt-4o", thinking={"type": "disabled"})
    assert not {"reasoning", "reasoning_effort", "include"} & body.keys()
    assert not losses


@pytest.mark.parametrize("upstream", UPSTREAMS)
@pytest.mark.parametrize(
    ("model", "members", "effort"),
    [
        ("gpt-5", {"thinking": {"type": "disabled"}}, "minimal"),
        ("gpt-5-codex", {"thinking": {"type": "disabled"}}, "low"),
        ("gpt-5.1", {"thinking": {"type": "disabled"}}, "none"),
        ("o3", {"thinking": {"type": "disabled"}}, "low"),
        ("gpt-5", {"output_config": {"effort": "max"}}, "high"),
        ("gpt-5.1-codex-max", {"output_config": {"effort": "xhigh"}}, "xhigh"),
        ("gpt-5.1", {"output_config": {"effort": "xhigh"}}, "high"),
        ("gpt-5.2", {"output_config": {"effort": "max"}}, "xhigh"),
        ("o4-mini", {"output_config": {"effort": "xhigh"}}, "high"),
        ("gpt-5", {"output_config": {"effort": "medium"}}, "medium"),
        ("my-model", {"output_config": {"effort": "max"}}, "max"),
    ],
)
def test_the_closest_accepted_effort_is_sent(upstream: str, model: str, members: dict[str, Any], effort: str) -> None:
    body, losses = _sent(upstream, model, **members)
    assert _effort(body) == effort
    wanted = members.get("output_config", {}).get("effort", "none")
    assert ("clamped" in losses.values()) is (effort != wanted)
