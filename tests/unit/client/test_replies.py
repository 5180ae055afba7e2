import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from intellirouter import client
from intellirouter.client import replies
from intellirouter.client.flow import Answer


def answer(document: Any, status: int = 200, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status=status, headers=named, body=json.dumps(document).encode())


def test_a_chat_answer_is_read_with_its_headers(scripted: Any) -> None:
    reply = replies.chat(
        answer(
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


def test_tool_calls_are_read_and_parsed(scripted: Any) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    reply = replies.chat(answer(scripted.completion(None, tool_calls=[call])))
    assert reply.text == ""
    assert reply.tool_calls == (client.ToolCall(id="call_1", name="add", arguments='{"a": 1}'),)
    assert reply.tool_calls[0].parsed() == {"a": 1}


def test_usage_keeps_the_details_it_is_given() -> None:
    read = replies.usage(
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
    assert replies.usage(None) is None


@pytest.mark.parametrize(
    ("content", "text"), [("a", "a"), (None, ""), ([{"text": "a"}, {"x": 1}, {"text": "b"}], "ab")]
)
def test_text_is_found_in_strings_and_parts(content: Any, text: str) -> None:
    assert replies.text_of(content) == text


def test_vectors_come_in_the_order_of_the_inputs() -> None:
    rows = [{"index": 1, "embedding": [3.0, 4.0]}, {"index": 0, "embedding": [1.0, 2.0]}]
    assert replies.embeddings(answer({"data": rows})).vectors == ((1.0, 2.0), (3.0, 4.0))


def test_a_cost_that_is_no_number_is_unknown(scripted: Any) -> None:
    assert replies.chat(answer(scripted.completion(), x_intellirouter_cost_usd="?")).cost_usd is None


@pytest.mark.parametrize("document", [[], {}, {"choices": []}, {"choices": [1]}])
def test_what_is_no_chat_answer_is_said_to_be_none(document: Any) -> None:
    with pytest.raises(client.IntelliRouterError, match="not what a gateway") as raised:
        replies.chat(answer(document, x_request_id="req_1"))
    assert (raised.value.code, raised.value.request_id) == ("unreadable_answer", "req_1")


def test_a_page_of_html_is_no_answer() -> None:
    with pytest.raises(client.IntelliRouterError, match="not JSON"):
        replies.models(Answer(status=200, headers={}, body=b"<html>"))


def test_models_are_read_leniently_and_kept_raw() -> None:
    row = {"name": "auto", "kind": "model", "deployments": ["a"], "brand_new_field": 1}
    (model,) = replies.models(answer({"models": [row]}))
    assert (model.name, model.deployments, model.price) == ("auto", ("a",), None)
    assert model.raw == row


def test_an_unhealthy_report_is_a_report_and_an_error_is_an_error() -> None:
    assert replies.health(answer({"status": "unhealthy"}, 503)).status == "unhealthy"
    with pytest.raises(client.UpstreamError, match="overloaded"):
        replies.health(answer({"error": {"message": "overloaded"}}, 503))


def test_an_explanation_carries_the_decision() -> None:
    candidate = {"deployment": "a", "provider": "p", "upstream_model": "m", "verdict": "chosen", "reason": "first"}
    decision = {
        "model": "auto",
        "strategy": "priority",
        "reason": "first in order",
        "order": ["a"],
        "pool_size": 1,
        "candidates": [candidate],
    }
    read = replies.explanation(answer({"model": "auto", "decision": decision, "needs": ["tools"]}))
    assert read.decision.candidates[0].deployment == "a"
    assert read.needs == ("tools",)


def test_records_and_pages_are_read() -> None:
    record = {"request_id": "r", "started_us": 1, "endpoint": "/v1", "tenant": "t", "status": 200, "duration_ms": 2.5}
    assert replies.record(answer({**record, "cost_usd": None})).duration_ms == 2.5
    row = {"request_id": "r", "started_us": 1, "status": 200, "duration_ms": 2.5}
    page = replies.page(answer({"requests": [row], "next": "c"}))
    assert (page.requests[0].request_id, page.next) == ("r", "c")
    with pytest.raises(client.IntelliRouterError, match="request_id"):
        replies.record(answer({"status": 200}))


def test_arguments_that_are_no_json_are_the_models_fault() -> None:
    with pytest.raises(msgspec.DecodeError):
        client.ToolCall(id="1", name="f", arguments="{oops").parsed()
