import json
from decimal import Decimal
from typing import Any

import pytest

from intellirouter.client import AttemptLimits
from intellirouter.client.api_requests import (
    ApiRequest,
    chat_request,
    chat_stream_request,
    embeddings_request,
    explain_request,
    record_page_request,
    record_request,
)


def body(request: ApiRequest) -> Any:
    assert request.body is not None
    return json.loads(request.body)


def test_prompt_becomes_a_user_message() -> None:
    request = chat_request("Hi", "auto", {"temperature": 0, "seed": None})
    assert (request.method, request.path) == ("POST", "/v1/chat/completions")
    assert body(request) == {"model": "auto", "messages": [{"role": "user", "content": "Hi"}], "temperature": 0}


def test_messages_are_sent_unchanged() -> None:
    talk = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": [{"type": "text", "text": "Hi"}]}]
    assert body(chat_request(talk, "m", {}))["messages"] == talk


def test_stream_requests_usage_unless_disabled() -> None:
    default = chat_stream_request("Hi", "m", {})
    disabled = chat_stream_request("Hi", "m", {"stream_options": {"include_usage": False}})
    assert default.is_stream
    assert body(default)["stream"] is True
    assert body(default)["stream_options"] == {"include_usage": True}
    assert body(disabled)["stream_options"] == {"include_usage": False}


def test_stream_field_is_rejected() -> None:
    with pytest.raises(TypeError, match=r"Call \.stream"):
        chat_request("Hi", "m", {"stream": True})


def test_unset_filters_are_left_out() -> None:
    assert record_page_request({"limit": 5, "model": None, "errors": False}).path == "/api/v1/requests?limit=5"
    assert record_page_request({"errors": True, "model": "a/b c"}).path == "/api/v1/requests?errors=1&model=a%2Fb+c"
    assert record_page_request({}).path == "/api/v1/requests"


def test_request_id_is_escaped_in_the_path() -> None:
    assert record_request("../health?x").path == "/api/v1/requests/..%2Fhealth%3Fx"


def test_embeddings_take_one_text_or_several() -> None:
    assert body(embeddings_request("a", "e", {}))["input"] == "a"
    assert body(embeddings_request(("a", "b"), "e", {"dimensions": 4})) == {
        "model": "e",
        "input": ["a", "b"],
        "encoding_format": "float",
        "dimensions": 4,
    }


def test_limits_of_the_attempts_are_headers() -> None:
    limits = AttemptLimits(retries=2, fallbacks=True, timeout_s=0.5, max_cost_usd=Decimal("0.000001"), priority="batch")
    for request in (
        chat_request("Hi", "m", {}, limits),
        chat_stream_request("Hi", "m", {}, limits),
        explain_request("Hi", "m", {}, limits),
        embeddings_request("Hi", "m", {}, limits),
    ):
        assert request.headers == {
            "x-intellirouter-retries": "2",
            "x-intellirouter-fallbacks": "on",
            "x-intellirouter-timeout-s": "0.500000",
            "x-intellirouter-max-cost-usd": "0.000001",
            "x-intellirouter-priority": "batch",
        }
    assert chat_request("Hi", "m", {}).headers == {}
