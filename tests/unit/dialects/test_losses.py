"""Losses of a request by deployment, without sending it."""

import json
from typing import Any

from intellirouter.core import EMPTY_CONTEXT, Deployment, Loss, UpstreamAddress
from tests.support.dialects.standard import ENDPOINTS


def deployment(dialect: str) -> Deployment:
    return Deployment(
        name=dialect,
        provider="p",
        vendor="v",
        upstream_model="m",
        address=UpstreamAddress(base_url="http://localhost"),
        dialects=(dialect,),
    )


def preview(endpoint_name: str = "openai_chat", *dialects: str, **members: Any) -> dict[str, tuple[Loss, ...] | str]:
    request = {"model": "m", "messages": [{"role": "user", "content": "x"}], **members}
    endpoint = ENDPOINTS[endpoint_name]
    call = endpoint.decode_request(json.dumps(request).encode(), EMPTY_CONTEXT)
    return {name: endpoint.losses(call, deployment(name)) for name in dialects}


def test_each_deployment_has_its_own_losses() -> None:
    losses = preview("openai_chat", "openai_chat", "anthropic_messages", "gemini", max_tokens=9, seed=1, n=2)
    assert losses["openai_chat"] == ()
    assert Loss("seed") in losses["anthropic_messages"]
    assert Loss("n", "emulated", "2 requests") in losses["anthropic_messages"]
    assert Loss("seed") not in losses["gemini"]


def test_reason_is_returned_if_a_request_cannot_be_encoded() -> None:
    losses = preview("openai_chat", "anthropic_messages", logprobs=True, max_tokens=9)["anthropic_messages"]
    assert isinstance(losses, str)
    assert "log probabilities" in losses


def test_media_url_is_an_emulated_loss_and_not_fetched() -> None:
    image = [{"type": "image_url", "image_url": {"url": "https://images.example/a.png"}}]
    losses = preview("openai_chat", "gemini", "openai_chat", messages=[{"role": "user", "content": image}])
    assert [each.how for each in losses["gemini"] if isinstance(each, Loss)] == ["emulated"]
    assert losses["openai_chat"] == ()


def test_estimated_token_count_is_a_loss() -> None:
    losses = preview("anthropic_count_tokens", "openai_chat", "anthropic_messages")
    assert [each.how for each in losses["openai_chat"] if isinstance(each, Loss)] == ["emulated"]
    assert losses["anthropic_messages"] == ()
