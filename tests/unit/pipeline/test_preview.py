"""The dry run of an encoding: what each deployment could not be told, without sending anything."""

import json
from typing import Any

from intellirouter.core import EMPTY_CONTEXT, Deployment, Loss, UpstreamAddress
from intellirouter.dialects import ENDPOINTS
from intellirouter.pipeline import preview_losses

CHAT = ENDPOINTS["openai_chat"]


def deployment(dialect: str, surfaces: frozenset[str] | None = None) -> Deployment:
    endpoint = UpstreamAddress(base_url="http://localhost")
    return Deployment(
        name=dialect,
        provider="p",
        vendor="v",
        upstream_model="m",
        address=endpoint,
        dialects=(dialect,),
        operations=surfaces,
    )


def preview(surface: str = "openai_chat", *dialects: str, **members: Any) -> dict[str, tuple[Loss, ...] | str]:
    request = {"model": "m", "messages": [{"role": "user", "content": "x"}], **members}
    asked = ENDPOINTS[surface]
    call = asked.decode_request(json.dumps(request).encode(), EMPTY_CONTEXT)
    return preview_losses(asked, call, {name: deployment(name) for name in dialects})


def test_each_deployment_has_its_own_losses() -> None:
    said = preview("openai_chat", "openai_chat", "anthropic_messages", "gemini", max_tokens=9, seed=1, n=2)
    assert said["openai_chat"] == ()
    assert Loss("seed") in said["anthropic_messages"]
    assert Loss("n", "emulated", "2 requests") in said["anthropic_messages"]
    assert Loss("seed") not in said["gemini"]


def test_what_cannot_be_encoded_is_said_in_words() -> None:
    said = preview("openai_chat", "anthropic_messages", logprobs=True, max_tokens=9)["anthropic_messages"]
    assert isinstance(said, str)
    assert "log probabilities" in said


def test_media_by_url_would_be_fetched() -> None:
    picture = [{"type": "image_url", "image_url": {"url": "https://pictures.example/a.png"}}]
    said = preview("openai_chat", "gemini", "openai_chat", messages=[{"role": "user", "content": picture}])
    assert [each.how for each in said["gemini"] if isinstance(each, Loss)] == ["emulated"]
    assert said["openai_chat"] == ()


def test_counts_are_estimated_where_nobody_counts() -> None:
    said = preview("anthropic_count_tokens", "openai_chat", "anthropic_messages")
    assert [each.how for each in said["openai_chat"] if isinstance(each, Loss)] == ["emulated"]
    assert said["anthropic_messages"] == ()
