"""Complete answers of compatible servers that leave out the finish reason get the one that their content implies."""

import json
from typing import Any

import pytest

from intellirouter.core import EMPTY_CONTEXT
from intellirouter.dialects.openai_chat.passthrough import OpenAIChatPassthrough
from tests.support.dialects.pairs import deployment
from tests.support.dialects.standard import ENDPOINTS

_CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


@pytest.mark.parametrize("finish", [{}, {"finish_reason": None}])
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"message": {"role": "assistant", "content": "x"}}, "stop"),
        ({"message": {"role": "assistant", "content": "x", "tool_calls": []}}, "stop"),
        ({"message": {"role": "assistant", "content": None, "tool_calls": [_CALL]}}, "tool_calls"),
        ({"message": {"role": "assistant", "content": None, "function_call": {"name": "f"}}}, "function_call"),
        ({"text": "x"}, "stop"),
    ],
)
def test_missing_finish_reason_is_put_in(content: dict[str, Any], expected: str, finish: dict[str, Any]) -> None:
    choices = [{"index": 0, **content, **finish}, {"index": 1, **content, "finish_reason": "length"}]
    answer = OpenAIChatPassthrough().decode_response(
        json.dumps({"id": "1", "seed": 2**60, "choices": choices}).encode()
    )
    assert answer.finish_reason is None, "nobody knows whether the answer is complete"
    assert answer.body is not None
    document = json.loads(answer.body)
    assert [each["finish_reason"] for each in document["choices"]] == [expected, "length"]
    for choice in (*document["choices"], *choices):
        choice.pop("finish_reason", None)
    assert document == {"id": "1", "seed": 2**60, "choices": choices}


def test_finished_answer_is_relayed_unchanged() -> None:
    body = b'{"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]}'
    assert OpenAIChatPassthrough().decode_response(body).body is None


_TOOL_USE = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}


@pytest.mark.parametrize("stop", [{}, {"stop_reason": None, "stop_sequence": None}])
@pytest.mark.parametrize(
    ("blocks", "expected"), [([], "end_turn"), ([{"type": "text", "text": "x"}], "end_turn"), ([_TOOL_USE], "tool_use")]
)
def test_missing_stop_reason_is_put_in(blocks: list[Any], expected: str, stop: dict[str, Any]) -> None:
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": blocks, "seed": 2**60}
    request = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
    endpoint = ENDPOINTS["anthropic_messages"]
    call = endpoint.decode_request(json.dumps(request).encode(), EMPTY_CONTEXT)
    upstream = deployment("anthropic_messages", "anthropic", "m", "https://a.test")
    answer = endpoint.route(call, upstream).decode_response(json.dumps({**message, **stop}).encode(), call, upstream)
    assert answer.finish_reason is None, "nobody knows whether the answer is complete"
    assert answer.body is not None
    assert json.loads(answer.body) == {**message, **stop, "stop_reason": expected}
