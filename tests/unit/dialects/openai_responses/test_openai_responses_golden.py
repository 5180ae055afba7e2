"""Reads and writes all golden cases of the Responses dialect, and splits their streams at every byte."""

import json
from typing import Any

import msgspec
import pytest

from intellirouter.core import EMPTY_CONTEXT, SYSTEM_CLOCK, LossReport
from intellirouter.dialects.ir import Conversation, Response, collect, events_of
from intellirouter.dialects.openai_responses import CLIENT, UPSTREAM
from tests.support.dialects.golden import load, wire_of
from tests.support.dialects.openai_responses import DEPLOYMENT, validate_response, write_stream

_DIALECT = "openai_responses"
_REQUESTS = load(_DIALECT, "requests")
_RESPONSES = load(_DIALECT, "responses")
_STREAMS = load(_DIALECT, "streams")
_ERRORS = load(_DIALECT, "errors")


def _cases(cases: list[tuple[str, dict[str, Any]]]) -> Any:
    return pytest.mark.parametrize("case", [case for _, case in cases], ids=[name for name, _ in cases])


def _body(case: dict[str, Any]) -> bytes:
    return json.dumps(case["body"]).encode()


def _expected_response(case: dict[str, Any]) -> Response:
    return msgspec.convert(case["form"], Response)


@pytest.mark.parametrize(("cases", "minimum"), [(_REQUESTS, 35), (_RESPONSES, 20), (_STREAMS, 20), (_ERRORS, 10)])
def test_there_are_enough_cases(cases: list[Any], minimum: int) -> None:
    assert len(cases) >= minimum


@_cases(_REQUESTS)
def test_a_request_is_read(case: dict[str, Any]) -> None:
    call = CLIENT.decode_request(_body(case), EMPTY_CONTEXT)
    assert CLIENT.decode(call) == msgspec.convert(case["form"], Conversation)
    assert call.model == case["body"]["model"]
    assert call.is_stream == bool(case["body"].get("stream"))


@_cases([(name, case) for name, case in _REQUESTS if name != "audio"])
def test_a_request_is_unchanged_after_a_round_trip(case: dict[str, Any]) -> None:
    """Requests of the same dialect are written with the same content. Item ids are not sent."""
    conversation = msgspec.convert(case["form"], Conversation)
    request = UPSTREAM.encode(conversation, DEPLOYMENT, LossReport())
    body = json.loads(request.body)
    assert body.pop("model") == "up-1"
    assert body.pop("store") is False
    reread = CLIENT.decode(
        CLIENT.decode_request(json.dumps({**body, "model": conversation.model}).encode(), EMPTY_CONTEXT)
    )
    assert _comparable(reread) == _comparable(conversation)


def _comparable(conversation: Conversation) -> dict[str, Any]:
    """Return what a round trip must not change: all but ids, tokens of other vendors and unsigned reasoning."""
    content: dict[str, Any] = msgspec.to_builtins(conversation)
    messages = []
    for message in content["messages"]:
        parts = [_comparable_part(part) for part in message["parts"] if part["type"] != "reasoning"]
        signed = [
            (part["summary"], part["token"]["value"])
            for part in message["parts"]
            if part["type"] == "reasoning" and (part["token"] or {}).get("dialect") == _DIALECT
        ]
        role = "system" if message["role"] == "developer" else message["role"]
        if parts or signed:
            messages.append({"role": role, "parts": parts, "signed": signed, "extras": message["extras"]})
    include = content["extras"].get("include")
    extras = {**content["extras"], "include": sorted(include)} if include else content["extras"]
    tools = [{**tool, "parameters": tool.get("parameters") or {}} for tool in content["tools"]]
    for tool in tools:
        if tool["parameters"] == {"type": "object", "properties": {}}:
            tool["parameters"] = {}
        if tool["name" if "name" in tool else "kind"].endswith("__read"):
            tool["extras"] = {}  # its flat name is not its own, so it is written as a function outside the namespace
    return {**content, "messages": messages, "extras": extras, "tools": tools}


def _comparable_part(part: dict[str, Any]) -> dict[str, Any]:
    ignored = {"item_id", "token"}
    if part["type"] == "media" and part["detail"] == "auto":
        ignored.add("detail")
    if part["type"] == "tool_result":
        return {**part, "parts": [_comparable_part(inner) for inner in part["parts"]]}
    if part["type"] == "media" and not part["detail"]:
        ignored.add("detail")
    return {name: value for name, value in part.items() if name not in ignored}


@_cases(_RESPONSES)
def test_a_response_is_read(case: dict[str, Any]) -> None:
    assert UPSTREAM.decode(_body(case), DEPLOYMENT) == _expected_response(case)


def _read_stream(pieces: list[bytes]) -> Response:
    decoder = UPSTREAM.stream(DEPLOYMENT)
    events = [event for piece in pieces for event in decoder.feed(piece)]
    return collect(events + decoder.end(), _DIALECT)


@_cases(_STREAMS)
def test_a_stream_is_read(case: dict[str, Any]) -> None:
    assert _read_stream([wire_of(case)]) == _expected_response(case)


@_cases(_STREAMS)
def test_a_stream_may_be_split_at_any_byte(case: dict[str, Any]) -> None:
    wire = wire_of(case)
    for cut in range(0, len(wire), 97 if len(wire) > 5000 else 1):
        assert _read_stream([wire[:cut], wire[cut:]]) == _expected_response(case), cut
    assert _read_stream([wire[index : index + 1] for index in range(len(wire))]) == _expected_response(case)


@_cases(_ERRORS)
def test_an_error_is_read(case: dict[str, Any]) -> None:
    body = case["body"] if isinstance(case["body"], str) else json.dumps(case["body"])
    headers = [(name, value) for name, value in case["headers"]]
    error = UPSTREAM.decode_error(case["status"], headers, body.encode(), deployment="d", clock=SYSTEM_CLOCK)
    expected = case["error"]
    assert type(error).__name__ == expected["class"]
    assert (error.code, error.status) == (expected["code"], expected["status"])
    assert expected["message_has"] in error.message
    assert error.retry_after_s == expected.get("retry_after_s")


_CALL = CLIENT.decode_request(b'{"model":"m","input":"x","include":["reasoning.encrypted_content"]}', EMPTY_CONTEXT)


@_cases(_RESPONSES + _STREAMS)
def test_every_response_is_valid_when_written(case: dict[str, Any]) -> None:
    """Complete and streamed responses are valid and have the same output."""
    response = _expected_response(case)
    complete = json.loads(CLIENT.encode(response, _CALL, LossReport()))
    known = [item for item in complete["output"] if item["type"] != "tomorrow_call"]
    validate_response({**complete, "output": known})
    if known == complete["output"]:
        events = write_stream(CLIENT.stream(_CALL, LossReport()), list(events_of(response)))
        assert _without_ids(events[-1]["response"]) == _without_ids(complete)


def _without_ids(response: dict[str, Any]) -> dict[str, Any]:
    output = [{name: value for name, value in item.items() if name != "id"} for item in response["output"]]
    return {**response, "id": "", "created_at": 0, "completed_at": 0, "output": output}


@_cases([(name, case) for name, case in _RESPONSES if name not in {"cancelled", "queued", "no_output"}])
def test_a_response_is_unchanged_after_a_round_trip(case: dict[str, Any]) -> None:
    response = _expected_response(case)
    reread = UPSTREAM.decode(CLIENT.encode(response, _CALL, LossReport()), DEPLOYMENT)
    assert _comparable_response(reread) == _comparable_response(response)


def _comparable_response(response: Response) -> list[Any]:
    ignored = {"id", "item_id", "logprobs"}
    parts = [msgspec.to_builtins(part) for part in response.choices[0].parts]
    stop = response.choices[0].stop
    return [stop and stop.reason, [{k: v for k, v in part.items() if k not in ignored} for part in parts]]


@_cases(_REQUESTS)
def test_the_response_repeats_the_settings_of_the_request(case: dict[str, Any]) -> None:
    """The response object is valid for every request, and contains its settings."""
    call = CLIENT.decode_request(_body(case), EMPTY_CONTEXT)
    response = json.loads(CLIENT.encode(_expected_response(dict(_RESPONSES)["parallel_calls"]), call, LossReport()))
    response["tools"] = [tool for tool in response["tools"] if tool["type"] != "tomorrow"]
    validate_response(response)
    request = case["body"]
    for name in ("instructions", "temperature", "max_output_tokens", "metadata", "user", "prompt_cache_key"):
        if request.get(name) is not None:
            assert response[name] == request[name]
    assert response["store"] is (request.get("store") is not False)
    assert response["tool_choice"] == (request.get("tool_choice") or "auto")
