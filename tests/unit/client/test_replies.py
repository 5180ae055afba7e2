import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from intellirouter import client
from intellirouter.client import replies
from intellirouter.client.retries import ApiResponse


def response(document: Any, status: int = 200, **headers: str) -> ApiResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return ApiResponse(status=status, headers=named, body=json.dumps(document).encode())


def test_chat_response_is_parsed_with_its_headers(scripted: Any) -> None:
    reply = replies.parse_chat(
        response(
            scripted.completion("Hi."),
            x_request_id="req_1",
            x_intellirouter_deployment="mini",
            x_intellirouter_cost_usd="0.000012",
        )
    )
    assert (reply.text, reply.finish_reason, reply.request_id, reply.deployment) == ("Hi.", "stop", "req_1", "mini")
    assert reply.cost_usd == Decimal("0.000012")
    assert reply.usage == client.TokenUsage(prompt_tokens=7, completion_tokens=2, total_tokens=9)
    assert reply.raw["model"] == "mini"


def test_tool_calls_are_parsed(scripted: Any) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    reply = replies.parse_chat(response(scripted.completion(None, tool_calls=[call])))
    assert reply.text == ""
    assert reply.tool_calls == (client.ToolCall(id="call_1", name="add", arguments='{"a": 1}'),)
    assert reply.tool_calls[0].parsed() == {"a": 1}


def test_usage_includes_the_details() -> None:
    read = replies.parse_usage(
        {
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "prompt_tokens_details": {"cached_tokens": 4},
            "completion_tokens_details": {"reasoning_tokens": 3},
        }
    )
    assert read == client.TokenUsage(
        prompt_tokens=10, completion_tokens=5, total_tokens=15, cached_tokens=4, reasoning_tokens=3
    )
    assert replies.parse_usage(None) is None


@pytest.mark.parametrize(
    ("content", "text"), [("a", "a"), (None, ""), ([{"text": "a"}, {"x": 1}, {"text": "b"}], "ab")]
)
def test_content_text_of_strings_and_parts(content: Any, text: str) -> None:
    assert replies.content_text(content) == text


def test_vectors_are_in_the_order_of_the_inputs() -> None:
    rows = [{"index": 1, "embedding": [3.0, 4.0]}, {"index": 0, "embedding": [1.0, 2.0]}]
    assert replies.parse_embeddings(response({"data": rows})).vectors == ((1.0, 2.0), (3.0, 4.0))


def test_invalid_cost_is_unknown(scripted: Any) -> None:
    assert replies.parse_chat(response(scripted.completion(), x_intellirouter_cost_usd="?")).cost_usd is None


@pytest.mark.parametrize("document", [[], {}, {"choices": []}, {"choices": [1]}])
def test_invalid_chat_response_is_an_error(document: Any) -> None:
    with pytest.raises(client.IntelliRouterError, match="invalid response") as raised:
        replies.parse_chat(response(document, x_request_id="req_1"))
    assert (raised.value.code, raised.value.request_id) == ("invalid_response", "req_1")


def test_html_page_is_an_error() -> None:
    with pytest.raises(client.IntelliRouterError, match="not valid JSON"):
        replies.parse_models(ApiResponse(status=200, headers={}, body=b"<html>"))


def test_unknown_model_fields_are_kept_in_raw() -> None:
    row = {"name": "auto", "kind": "model", "deployments": ["a"], "brand_new_field": 1}
    (model,) = replies.parse_models(response({"models": [row]}))
    assert (model.name, model.deployments, model.price) == ("auto", ("a",), None)
    assert model.raw == row


def test_health_report_with_503_is_not_an_error() -> None:
    assert replies.parse_health(response({"status": "unhealthy"}, 503)).status == "unhealthy"
    with pytest.raises(client.UpstreamError, match="overloaded"):
        replies.parse_health(response({"error": {"message": "overloaded"}}, 503))


def test_explanation_contains_the_decision() -> None:
    candidate = {"deployment": "a", "provider": "p", "upstream_model": "m", "verdict": "chosen", "reason": "first"}
    decision = {
        "model": "auto",
        "strategy": "priority",
        "reason": "first in order",
        "order": ["a"],
        "pool_size": 1,
        "candidates": [candidate],
    }
    read = replies.parse_explanation(response({"model": "auto", "decision": decision, "needs": ["tools"]}))
    assert read.decision.candidates[0].deployment == "a"
    assert read.needs == ("tools",)


def test_records_and_pages_are_parsed() -> None:
    record = {"request_id": "r", "started_us": 1, "endpoint": "/v1", "tenant": "t", "status": 200, "duration_ms": 2.5}
    assert replies.parse_record(response({**record, "cost_usd": None})).duration_ms == 2.5
    row = {"request_id": "r", "started_us": 1, "status": 200, "duration_ms": 2.5}
    page = replies.parse_record_page(response({"requests": [row], "next": "c"}))
    assert (page.requests[0].request_id, page.next) == ("r", "c")
    with pytest.raises(client.IntelliRouterError, match="request_id"):
        replies.parse_record(response({"status": 200}))


def test_invalid_tool_arguments_raise() -> None:
    with pytest.raises(msgspec.DecodeError):
        client.ToolCall(id="1", name="f", arguments="{oops").parsed()
