"""The items of requests and responses that are stored, and requests that continue a stored conversation."""

import json
from typing import Any

import pytest
from msgspec import structs

from intellirouter.core import EMPTY_CONTEXT, LossReport, errors
from intellirouter.dialects.ir import Choice, Opaque, Reasoning, Response, Stop, Text, ToolCall, ToolResult, events_of
from intellirouter.dialects.openai_responses import CLIENT, history


def body_of(**members: Any) -> bytes:
    return json.dumps({"model": "m"} | members).encode()


def test_input_items_have_types_and_ids_with_the_prefix_of_their_type() -> None:
    items = [
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": "y"},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "1"},
        {"type": "custom_tool_call", "call_id": "d", "name": "p", "input": ""},
        {"type": "reasoning", "summary": [], "encrypted_content": "t"},
        {"type": "web_search_call", "id": "ws_1"},
        {"type": "novel"},
    ]
    items_with_ids = history.input_items(body_of(input=items))
    prefixes = ["msg_", "msg_", "fc_", "fco_", "ctc_", "rs_", "ws_", "item_"]
    assert all(item["id"].startswith(prefix) for item, prefix in zip(items_with_ids, prefixes, strict=True))
    assert items_with_ids[6]["id"] == "ws_1"
    assert items_with_ids[0]["content"] == [{"type": "input_text", "text": "x"}]
    assert items_with_ids[1]["content"] == [{"type": "output_text", "text": "y"}]
    assert len({item["id"] for item in items_with_ids}) == len(items_with_ids)


def test_a_string_is_one_user_message() -> None:
    (item,) = history.input_items(body_of(input="x"))
    assert (item["type"], item["role"], item["content"]) == ("message", "user", [{"type": "input_text", "text": "x"}])


@pytest.mark.parametrize("body", [b"[", b"5", body_of(input=[5]), body_of(input=[{"content": "x"}])])
def test_invalid_input_is_rejected(body: bytes) -> None:
    with pytest.raises(errors.InvalidRequest):
        history.input_items(body)


def test_a_request_without_input_has_no_items() -> None:
    assert history.input_items(body_of(previous_response_id="resp_1")) == []


def test_instructions_are_not_inherited() -> None:
    call = CLIENT.decode_request(body_of(input="x", instructions="Be brief."), EMPTY_CONTEXT)
    assert "Be brief." not in json.dumps(history.input_items(call.body))


def test_a_stored_conversation_is_continued() -> None:
    """The stored items are enough for any upstream: tool calls, tool results and signed reasoning."""
    token = Opaque(value="SIG", origin="o", dialect="anthropic_messages")
    first = CLIENT.decode_request(body_of(input="Weather?", instructions="Be brief."), EMPTY_CONTEXT)
    parts = [Reasoning(text="hm", token=token), ToolCall(id="c1", name="f"), Text(text="Wait.")]
    response = Response(choices=[Choice(parts=list(parts), stop=Stop(reason="tool_calls"))])
    stored = history.input_items(first.body) + history.output_items(CLIENT.encode(response, first, LossReport()))
    result = {"type": "function_call_output", "call_id": "c1", "output": "sun"}
    body = history.with_history(body_of(previous_response_id="resp_1", input=[result]), stored)
    assert "previous_response_id" not in json.loads(body)
    messages = CLIENT.decode(CLIENT.decode_request(body, EMPTY_CONTEXT)).messages
    assert [message.role for message in messages] == ["user", "assistant", "tool"]
    assert [structs.replace(part, id="") for part in messages[1].parts[:1]] == parts[:1]
    assert [structs.replace(messages[1].parts[1], item_id=""), messages[1].parts[2]] == parts[1:]
    assert messages[2].parts == [ToolResult(call_id="c1", parts=[Text(text="sun")])]


def test_a_text_input_continues_the_conversation() -> None:
    body = history.with_history(body_of(input="And?"), [{"type": "message", "role": "user", "content": "x"}])
    assert [item["content"] for item in json.loads(body)["input"]] == ["x", "And?"]


def test_unusable_reasoning_and_ids_that_refer_to_it_are_left_out() -> None:
    items = [
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "t", "status": "completed"},
        {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}", "status": "completed"},
        {"type": "message", "id": "msg_1", "role": "assistant", "content": [], "phase": None},
        {"type": "item_reference", "id": "msg_9"},
    ]
    assert json.loads(history.with_history(body_of(input=[]), items))["input"] == [
        {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "t"},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "message", "role": "assistant", "content": []},
        {"type": "item_reference", "id": "msg_9"},
    ]


@pytest.mark.parametrize("body", [b"", b"[]", b'{"output":5}', b"\xff", b"{}"])
def test_an_invalid_response_has_no_items(body: bytes) -> None:
    assert history.output_items(body) == []


def test_the_final_response_is_read_from_a_stream() -> None:
    call = CLIENT.decode_request(body_of(input="x", stream=True), EMPTY_CONTEXT)
    writer = CLIENT.stream(call, LossReport())
    response = Response(choices=[Choice(parts=[Text(text="a")], stop=Stop(reason="stop"))])
    events = list(events_of(response))[:-1]
    stream = writer.encode(events) + writer.end()
    response = history.final_response(stream + b": bye\n\ndata: [DONE]\n\n")
    assert response is not None
    assert json.loads(response)["output"] == history.output_items(response)
    assert json.loads(response)["status"] == "completed"
    assert history.final_response(stream[: stream.index(b"event: response.completed")]) is None


def test_the_final_response_is_read_from_a_failed_stream() -> None:
    writer = CLIENT.stream(CLIENT.decode_request(body_of(input="x"), EMPTY_CONTEXT), LossReport())
    stream = writer.encode(list(events_of(Response()))[:1]) + writer.fail(errors.UpstreamTimeout("late"))
    response = history.final_response(stream)
    assert response is not None
    assert json.loads(response)["status"] == "failed"


def test_upstream_requests_do_not_ask_for_background_processing() -> None:
    body = history.without_background(b'{"model":"m","background":true,"input":"x"}')
    assert json.loads(body) == {"model": "m", "input": "x"}
