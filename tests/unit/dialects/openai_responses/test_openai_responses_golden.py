"""Golden cases of the responses dialect: requests, responses, streams cut anywhere, errors."""

import json
from typing import Any

import msgspec
import pytest

from intellirouter.core import EMPTY_CONTEXT, SYSTEM_CLOCK, LossReport
from intellirouter.dialects.ir import Conversation, Response, collect, events_of
from intellirouter.dialects.openai_responses import CLIENT, UPSTREAM
from tests.support.dialects.golden import load, wire_of
from tests.support.dialects.openai_responses import DEPLOYMENT, validate_response, written

_DIALECT = "openai_responses"
_REQUESTS = load(_DIALECT, "requests")
_RESPONSES = load(_DIALECT, "responses")
_STREAMS = load(_DIALECT, "streams")
_ERRORS = load(_DIALECT, "errors")


def _cases(cases: list[tuple[str, dict[str, Any]]]) -> Any:
    return pytest.mark.parametrize("case", [case for _, case in cases], ids=[name for name, _ in cases])


def _body(case: dict[str, Any]) -> bytes:
    return json.dumps(case["body"]).encode()


def _form(case: dict[str, Any]) -> Response:
    return msgspec.convert(case["form"], Response)


@pytest.mark.parametrize(("cases", "least"), [(_REQUESTS, 35), (_RESPONSES, 20), (_STREAMS, 20), (_ERRORS, 10)])
def test_there_are_cases(cases: list[Any], least: int) -> None:
    assert len(cases) >= least


@_cases(_REQUESTS)
def test_a_request_is_read(case: dict[str, Any]) -> None:
    call = CLIENT.decode_request(_body(case), EMPTY_CONTEXT)
    assert CLIENT.decode(call) == msgspec.convert(case["form"], Conversation)
    assert call.model == case["body"]["model"]
    assert call.is_stream == bool(case["body"].get("stream"))


@_cases([(name, case) for name, case in _REQUESTS if name != "audio"])
def test_a_request_written_again_means_the_same(case: dict[str, Any]) -> None:
    """decode ∘ encode is the identity for this dialect's own conversations, but for item ids, which are not sent."""
    conversation = msgspec.convert(case["form"], Conversation)
    request = UPSTREAM.encode(conversation, DEPLOYMENT, LossReport())
    body = json.loads(request.body)
    assert body.pop("model") == "up-1"
    assert body.pop("store") is False
    again = CLIENT.decode(
        CLIENT.decode_request(json.dumps({**body, "model": conversation.model}).encode(), EMPTY_CONTEXT)
    )
    assert _comparable(again) == _comparable(conversation)


def _comparable(conversation: Conversation) -> dict[str, Any]:
    """What must survive: all but ids, tokens of other vendors, and thoughts that nobody signed."""
    form: dict[str, Any] = msgspec.to_builtins(conversation)
    messages = []
    for message in form["messages"]:
        parts = [_comparable_part(part) for part in message["parts"] if part["type"] != "reasoning"]
        signed = [
            (part["summary"], part["token"]["value"])
            for part in message["parts"]
            if part["type"] == "reasoning" and (part["token"] or {}).get("dialect") == _DIALECT
        ]
        role = "system" if message["role"] == "developer" else message["role"]
        if parts or signed:
            messages.append({"role": role, "parts": parts, "signed": signed, "extras": message["extras"]})
    include = form["extras"].get("include")
    extras = {**form["extras"], "include": sorted(include)} if include else form["extras"]
    tools = [{**tool, "parameters": tool.get("parameters") or {}} for tool in form["tools"]]
    for tool in tools:
        if tool["parameters"] == {"type": "object", "properties": {}}:
            tool["parameters"] = {}
        if tool["name" if "name" in tool else "kind"].endswith("__read"):
            tool["extras"] = {}  # told by a longer name: it is a plain function from then on
    return {**form, "messages": messages, "extras": extras, "tools": tools}


def _comparable_part(part: dict[str, Any]) -> dict[str, Any]:
    left_out = {"item_id", "token"}
    if part["type"] == "media" and part["detail"] == "auto":
        left_out.add("detail")
    if part["type"] == "tool_result":
        return {**part, "parts": [_comparable_part(inner) for inner in part["parts"]]}
    if part["type"] == "media" and not part["detail"]:
        left_out.add("detail")
    return {name: value for name, value in part.items() if name not in left_out}


@_cases(_RESPONSES)
def test_a_response_is_read(case: dict[str, Any]) -> None:
    assert UPSTREAM.decode(_body(case), DEPLOYMENT) == _form(case)


def _collected(pieces: list[bytes]) -> Response:
    decoder = UPSTREAM.stream(DEPLOYMENT)
    events = [event for piece in pieces for event in decoder.feed(piece)]
    return collect(events + decoder.end(), _DIALECT)


@_cases(_STREAMS)
def test_a_stream_is_read(case: dict[str, Any]) -> None:
    assert _collected([wire_of(case)]) == _form(case)


@_cases(_STREAMS)
def test_a_stream_is_read_however_it_is_cut(case: dict[str, Any]) -> None:
    wire = wire_of(case)
    for cut in range(0, len(wire), 97 if len(wire) > 5000 else 1):
        assert _collected([wire[:cut], wire[cut:]]) == _form(case), cut
    assert _collected([wire[index : index + 1] for index in range(len(wire))]) == _form(case)


@_cases(_ERRORS)
def test_an_error_is_read(case: dict[str, Any]) -> None:
    body = case["body"] if isinstance(case["body"], str) else json.dumps(case["body"])
    headers = [(name, value) for name, value in case["headers"]]
    error = UPSTREAM.decode_error(case["status"], headers, body.encode(), deployment="d", clock=SYSTEM_CLOCK)
    said = case["error"]
    assert type(error).__name__ == said["class"]
    assert (error.code, error.status) == (said["code"], said["status"])
    assert said["message_has"] in error.message
    assert error.retry_after_s == said.get("retry_after_s")


_PLAIN = CLIENT.decode_request(b'{"model":"m","input":"x","include":["reasoning.encrypted_content"]}', EMPTY_CONTEXT)


@_cases(_RESPONSES + _STREAMS)
def test_every_answer_is_written_by_the_rules(case: dict[str, Any]) -> None:
    """Whole and streamed, they are valid and hold the same output."""
    form = _form(case)
    whole = json.loads(CLIENT.encode(form, _PLAIN, LossReport()))
    known = [item for item in whole["output"] if item["type"] != "tomorrow_call"]
    validate_response({**whole, "output": known})
    if known == whole["output"]:
        told = written(CLIENT.stream(_PLAIN, LossReport()), list(events_of(form)))
        assert _without_ids(told[-1]["response"]) == _without_ids(whole)


def _without_ids(response: dict[str, Any]) -> dict[str, Any]:
    output = [{name: value for name, value in item.items() if name != "id"} for item in response["output"]]
    return {**response, "id": "", "created_at": 0, "completed_at": 0, "output": output}


@_cases([(name, case) for name, case in _RESPONSES if name not in {"cancelled", "queued", "no_output"}])
def test_an_answer_written_again_means_the_same(case: dict[str, Any]) -> None:
    form = _form(case)
    again = UPSTREAM.decode(CLIENT.encode(form, _PLAIN, LossReport()), DEPLOYMENT)
    assert _comparable_answer(again) == _comparable_answer(form)


def _comparable_answer(response: Response) -> list[Any]:
    left_out = {"id", "item_id", "logprobs"}
    parts = [msgspec.to_builtins(part) for part in response.choices[0].parts]
    stop = response.choices[0].stop
    return [stop and stop.reason, [{k: v for k, v in part.items() if k not in left_out} for part in parts]]


@_cases(_REQUESTS)
def test_every_request_is_said_again_by_the_rules(case: dict[str, Any]) -> None:
    """The response object shows the settings that were asked for, and is valid whatever was asked."""
    call = CLIENT.decode_request(_body(case), EMPTY_CONTEXT)
    response = json.loads(CLIENT.encode(_form(dict(_RESPONSES)["parallel_calls"]), call, LossReport()))
    response["tools"] = [tool for tool in response["tools"] if tool["type"] != "tomorrow"]
    validate_response(response)
    asked = case["body"]
    for name in ("instructions", "temperature", "max_output_tokens", "metadata", "user", "prompt_cache_key"):
        if asked.get(name) is not None:
            assert response[name] == asked[name]
    assert response["store"] is (asked.get("store") is not False)
    assert response["tool_choice"] == (asked.get("tool_choice") or "auto")
