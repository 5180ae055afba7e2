"""Which media URLs a route wants to have fetched before a request is encoded, each of them once."""

import json

import pytest

from intellirouter.core import EMPTY_CONTEXT, Call, Loss
from tests.support.dialects.pairs import BY_UPSTREAM
from tests.support.dialects.standard import ENDPOINTS

IMAGE, PDF = "https://images.example/a.png", "https://images.example/b.pdf"


def call_with(*urls: str) -> Call:
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return chat_call(parts)


def chat_call(content: object) -> Call:
    body = {"model": "m", "messages": [{"role": "user", "content": content}]}
    return ENDPOINTS["openai_chat"].decode_request(json.dumps(body).encode(), EMPTY_CONTEXT)


@pytest.mark.parametrize(
    ("upstream", "urls"),
    [
        ("openai_chat", []),
        ("openai_responses", []),
        ("anthropic_messages", []),
        ("gemini", [IMAGE]),
        ("ollama", [IMAGE]),
        ("bedrock", [IMAGE]),
    ],
)
def test_only_upstreams_without_url_support_need_media_to_be_fetched(upstream: str, urls: list[str]) -> None:
    call, target = call_with(IMAGE, IMAGE), BY_UPSTREAM[upstream]
    assert list(ENDPOINTS["openai_chat"].route(call, target).media_urls(call, target)) == urls


def test_documents_are_fetched_for_chat_upstreams() -> None:
    body = {
        "model": "m",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": [{"type": "document", "source": {"type": "url", "url": PDF}}]}],
    }
    call = ENDPOINTS["anthropic_messages"].decode_request(json.dumps(body).encode(), EMPTY_CONTEXT)
    target = BY_UPSTREAM["openai_chat"]
    assert list(ENDPOINTS["anthropic_messages"].route(call, target).media_urls(call, target)) == [PDF]


def test_fetched_media_are_not_requested_again() -> None:
    call, target = call_with(IMAGE), BY_UPSTREAM["gemini"]
    route = ENDPOINTS["openai_chat"].route(call, target)
    call.fetched = {IMAGE: ("image/png", "iVBORw0KGgo=")}
    assert list(route.media_urls(call, target)) == []
    request = route.encode_request(call, target)
    assert request.losses == (Loss("messages[].content[].url", "emulated", "fetched by the gateway"),)
    assert b"iVBORw0KGgo=" in request.body


def test_text_needs_no_fetches() -> None:
    call = chat_call("hi")
    for target in BY_UPSTREAM.values():
        assert list(ENDPOINTS["openai_chat"].route(call, target).media_urls(call, target)) == []
