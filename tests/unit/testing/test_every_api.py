"""Properties of all of MockVendor's APIs: every fault applies, and no request causes a server error."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intellirouter.dialects import event_stream
from intellirouter.fake.reply import Reply
from intellirouter.fake.script import Script
from intellirouter.testing.faults.fault import Fault, apply_fault
from intellirouter.testing.mock_vendor.apis import VendorApis
from intellirouter.testing.wires.realtime import Session
from intellirouter.testing.wires.shared.request import WireRequest
from tests.support.mock_vendor.faults import EVERY_FAULT
from tests.support.mock_vendor.requests import wire_request

SCHEMA: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TEXT = 'please call weather with {"city": "Oslo"} and call weather with {"city": "Rome"}'
CHAT = {"messages": [{"role": "user", "content": TEXT}]}
OPENAI_TOOL = {"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}
GEMINI_TOOL = {"functionDeclarations": [{"name": "weather", "parametersJsonSchema": SCHEMA}]}
CONVERSE = {"messages": [{"role": "user", "content": [{"text": TEXT}]}]}
CONVERSE_TOOL = {"toolSpec": {"name": "weather", "inputSchema": {"json": SCHEMA}}}

# protocol: (path, path of the stream, headers, body, what makes it a stream, what offers the tool)
PROTOCOLS: dict[str, tuple[str, str, dict[str, str], dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "openai_chat": (
        "/v1/chat/completions", "", {}, {"model": "m", **CHAT},
        {"stream": True, "stream_options": {"include_usage": True}}, {"tools": [OPENAI_TOOL]},
    ),
    "openai_responses": (
        "/v1/responses", "", {}, {"model": "m", "input": TEXT}, {"stream": True},
        {"tools": [{"type": "function", "name": "weather", "parameters": SCHEMA}]},
    ),
    "azure": (
        "/openai/deployments/m/chat/completions?api-version=2024-10-21", "", {"api_key": "k"}, CHAT, {"stream": True},
        {"tools": [OPENAI_TOOL]},
    ),
    "anthropic": (
        "/v1/messages", "", {"x_api_key": "k", "anthropic_version": "2023-06-01"},
        {"model": "m", "max_tokens": 900, **CHAT}, {"stream": True},
        {"tools": [{"name": "weather", "input_schema": SCHEMA}]},
    ),
    "gemini": (
        "/v1beta/models/gemini-3-m:generateContent", "/v1beta/models/gemini-3-m:streamGenerateContent?alt=sse",
        {"x_goog_api_key": "k"}, {"contents": [{"parts": [{"text": TEXT}]}]}, {}, {"tools": [GEMINI_TOOL]},
    ),
    "gemini_array": (
        "/v1beta/models/gemini-3-m:generateContent", "/v1beta/models/gemini-3-m:streamGenerateContent",
        {"x_goog_api_key": "k"}, {"contents": [{"parts": [{"text": TEXT}]}]}, {}, {"tools": [GEMINI_TOOL]},
    ),
    "ollama": (
        "/api/chat", "", {}, {"model": "m", **CHAT, "stream": False}, {"stream": True}, {"tools": [OPENAI_TOOL]},
    ),
    "bedrock": (
        "/model/m/converse", "/model/m/converse-stream", {"authorization": "Bearer k"}, CONVERSE, {},
        {"toolConfig": {"tools": [CONVERSE_TOOL]}},
    ),
}  # fmt: skip


CHAT_CALL = {"id": "c", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
CALLED = {"type": "function_call", "call_id": "c", "name": "weather", "arguments": "{}"}
OLLAMA_CALL = {"function": {"name": "weather", "arguments": {}}}
USE = {"type": "tool_use", "id": "c", "name": "weather", "input": {}}
CONVERSE_USE = {"toolUse": {"toolUseId": "c", "name": "weather", "input": {}}}
CONVERSE_RESULT = {"toolResult": {"toolUseId": "c", "content": [{"text": "sunny"}, {"json": {"c": 1}}]}}
SIGNED = "skip_thought_signature_validator"
GEMINI_CALL = {"functionCall": {"name": "weather", "args": {}}, "thoughtSignature": SIGNED}
GEMINI_RESULT = {"functionResponse": {"name": "weather", "response": {"output": "sunny"}}}
HISTORIES: dict[str, tuple[str, list[Any]]] = {
    "openai_chat": ("messages", [{"role": "assistant", "tool_calls": [CHAT_CALL]},
                                 {"role": "tool", "tool_call_id": "c", "content": "sunny"}]),
    "openai_responses": ("input", [{"role": "user", "content": "hi"}, CALLED,
                                   {"type": "function_call_output", "call_id": "c", "output": "sunny"}]),
    "anthropic": ("messages", [{"role": "assistant", "content": [USE]},
                               {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c",
                                                             "content": [{"type": "text", "text": "sunny"}]}]}]),
    "gemini": ("contents", [{"role": "model", "parts": [GEMINI_CALL]}, {"role": "user", "parts": [GEMINI_RESULT]}]),
    "ollama": ("messages", [{"role": "assistant", "content": "", "tool_calls": [OLLAMA_CALL]},
                            {"role": "tool", "content": "sunny", "tool_name": "weather"}]),
    "bedrock": ("messages", [{"role": "assistant", "content": [CONVERSE_USE]},
                             {"role": "user", "content": [CONVERSE_RESULT]}]),
}  # fmt: skip


def request_of(protocol: str, *, is_stream: bool, with_tool: bool = False) -> WireRequest:
    path, stream_path, headers, body, streams, tools = PROTOCOLS[protocol]
    document = {**body, **(streams if is_stream else {}), **(tools if with_tool else {})}
    return wire_request(stream_path or path if is_stream else path, document, **headers)


def reply_of(protocol: str, *, is_stream: bool, with_tool: bool = False) -> Reply:
    reply = VendorApis().answer(request_of(protocol, is_stream=is_stream, with_tool=with_tool))
    assert (reply.status, reply.is_stream) == (200, is_stream), reply.parts
    return reply


def data_of(script: Script) -> bytes:
    return b"".join(step for step in script.steps if isinstance(step, bytes))


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("fault", EVERY_FAULT)
def test_every_fault_applies_to_every_protocol(protocol: str, is_stream: bool, fault: str) -> None:
    for with_tool in (False, True):
        script = apply_fault(reply_of(protocol, is_stream=is_stream, with_tool=with_tool), Fault.parse(fault))
        assert script.content_length >= 0


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("how", ["truncated_tool_args", "schema_violation", "no_finish_reason", "repetition", "json",
                                 "truncated", "utf8", "utf8_in_text", "no_done"])  # fmt: skip
def test_content_faults_change_the_content(protocol: str, is_stream: bool, how: str) -> None:
    with_tool = how in ("truncated_tool_args", "schema_violation")
    reply = reply_of(protocol, is_stream=is_stream, with_tool=with_tool)
    broken = data_of(apply_fault(reply, Fault.parse(f"malformed;how={how}")))
    match how:
        case "schema_violation":
            assert b"unask" in broken
        case "utf8" | "utf8_in_text":
            assert b"\xff\xfe" in broken
        case "repetition":
            assert len(broken) > len(b"".join(reply.parts)) * 3
        case "no_done" if not is_stream:
            assert broken == b"".join(reply.parts)
        case _:
            assert len(broken) != len(b"".join(reply.parts))


def ids_in(document: Any) -> list[str]:
    if isinstance(document, list):
        return [name for inner in document for name in ids_in(inner)]
    if not isinstance(document, dict):
        return []
    own = [document[name] for name in ("id", "call_id", "toolUseId") if isinstance(document.get(name), str)]
    return [*own, *(name for inner in document.values() for name in ids_in(inner))]


@pytest.mark.parametrize("protocol", ["openai_chat", "openai_responses", "anthropic", "gemini", "ollama", "bedrock"])
def test_calls_can_share_one_id(protocol: str) -> None:
    def calls(reply: Reply) -> set[str]:
        marks = ("call_", "toolu_", "tooluse_")
        return {name for name in ids_in(json.loads(data_of(apply_fault(reply, None)))) if name.startswith(marks)}

    reply = reply_of(protocol, is_stream=False, with_tool=True)
    assert len(calls(reply)) == 2
    broken = json.loads(data_of(apply_fault(reply, Fault.parse("malformed;how=duplicate_ids"))))
    assert len({name for name in ids_in(broken) if name.startswith(("call_", "toolu_", "tooluse_"))}) == 1


ENVELOPES = {
    "openai_chat": ("error", "message"),
    "openai_responses": ("error", "message"),
    "azure": ("error", "message"),
    "anthropic": ("error", "message"),
    "gemini": ("error", "message"),
    "gemini_array": ("error", "message"),
    "ollama": ("error",),
    "bedrock": ("message",),
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("is_stream", [False, True])
def test_errors_have_the_format_of_the_protocol(protocol: str, is_stream: bool) -> None:
    reply = reply_of(protocol, is_stream=is_stream)
    script = apply_fault(reply, Fault.parse("error;status=503;message=come back"))
    document = json.loads(data_of(script))
    if protocol == "gemini_array" and is_stream:
        (document,) = document
    for name in ENVELOPES[protocol]:
        document = document[name]
    assert (script.status, document) == (503, "come back")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_rate_limits_report_the_retry_delay(protocol: str) -> None:
    script = apply_fault(reply_of(protocol, is_stream=False), Fault.parse("rate_limit;retry_after_s=7"))
    assert script.status == 429
    if protocol.startswith("gemini"):
        assert b'"retryDelay": "7s"' in data_of(script)
        assert "retry-after" not in dict(script.headers)
    else:
        assert dict(script.headers)["retry-after"] == "7"


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("after", [0, 1])
def test_error_in_a_stream_ends_it(protocol: str, after: int) -> None:
    reply = reply_of(protocol, is_stream=True)
    script = apply_fault(reply, Fault.parse(f"error_in_stream;after_events={after};message=broken off"))
    *good, last = [step for step in script.steps if isinstance(step, bytes)]
    assert good == reply.parts[: len(good)]
    assert len(good) == (after + reply.wire.lead_events if after else 0)
    assert b"broken off" in last
    match protocol:
        case "openai_responses":
            assert json.loads(last.partition(b"data: ")[2])["sequence_number"] == len(good)
        case "anthropic":
            assert last.startswith(b"event: error\n")
        case "gemini_array":
            assert json.loads(b"".join([*good, last]))[-1]["error"]["code"] == 500
        case "bedrock":
            (message,) = event_stream.MessageReader().feed(last)
            assert message.headers[":message-type"] == "exception"
            assert message.headers[":exception-type"] == "internalServerException"


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("what", ["body", "event"])
@pytest.mark.parametrize("is_stream", [False, True])
def test_huge_answers_are_well_formed(protocol: str, what: str, is_stream: bool) -> None:
    reply = reply_of(protocol, is_stream=is_stream)
    data = data_of(apply_fault(reply, Fault.parse(f"huge;what={what};size_mib=0.25")))
    assert len(data) > 256 * 1024
    if not is_stream or protocol == "gemini_array":
        json.loads(data)
    elif protocol == "ollama":
        assert all(json.loads(line) for line in data.splitlines())
    elif protocol == "bedrock":
        event_stream.MessageReader().feed(data)
    else:
        for line in data.replace(b"\r\n", b"\n").split(b"\n"):
            if line.startswith(b"data: ") and line != b"data: [DONE]":
                json.loads(line[6:])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_unrequested_reasoning_precedes_the_answer(protocol: str) -> None:
    reply = reply_of(protocol, is_stream=True)
    data = data_of(apply_fault(reply, Fault.parse("extra;what=reasoning")))
    assert data.index(b"Let me") < data.index(b"please")


NAMES = st.sampled_from(["type", "text", "role", "id", "name"])
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "text", "role", "id", "name"]), inner)
    ),
    max_leaves=5,
)


def places(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    return [path, *(place for name, value in inner for place in places(value, (*path, name)))]


def replaced(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    changed = document.copy()
    changed[path[0]] = replaced(document[path[0]], path[1:], value)
    return changed


@pytest.mark.parametrize("protocol", HISTORIES)
@pytest.mark.parametrize("is_stream", [False, True])
def test_tool_results_are_answered(protocol: str, is_stream: bool) -> None:
    request = with_history(request_of(protocol, is_stream=is_stream, with_tool=True), protocol)
    reply = VendorApis().answer(request)
    assert reply.status == 200, reply.parts
    assert b"sunny" in b"".join(reply.parts)


def with_history(request: WireRequest, protocol: str) -> WireRequest:
    document = msgspec.json.decode(request.body)
    name, turns = HISTORIES[protocol]
    document[name] = [*(document[name] if isinstance(document[name], list) else []), *turns]
    request.body = msgspec.json.encode(document)
    return request


@pytest.mark.parametrize("protocol", PROTOCOLS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_request_causes_a_server_error(protocol: str, data: st.DataObject) -> None:
    request = request_of(protocol, is_stream=data.draw(st.booleans()), with_tool=True)
    if protocol in HISTORIES and data.draw(st.booleans()):
        request = with_history(request, protocol)
    document = msgspec.json.decode(request.body)
    for _ in range(data.draw(st.integers(1, 2))):
        place = data.draw(st.sampled_from(places(document)))
        document = replaced(document, place, data.draw(ANY_JSON))
    request.body = msgspec.json.encode(document)
    assert 200 <= VendorApis().answer(request).status < 500


@given(data=st.data())
def test_no_event_breaks_a_session(data: st.DataObject) -> None:
    session = Session("m", 1)
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": TEXT}]}
    tools = [{"type": "function", "name": "weather", "parameters": SCHEMA}]
    audio = {"output": {"voice": "alloy"}}
    events: list[Any] = [
        {"type": "session.update", "session": {"type": "realtime", "output_modalities": ["text"], "tools": tools,
                                               "tool_choice": "auto", "audio": audio, "instructions": "a"}},
        {"type": "conversation.item.create", "item": item},
        {"type": "response.create", "response": {"input": [item], "max_output_tokens": 9}},
    ]  # fmt: skip
    broken = data.draw(st.sampled_from(range(3)))
    place = data.draw(st.sampled_from(places(events[broken])))
    events[broken] = replaced(events[broken], place, data.draw(ANY_JSON))
    for event in events:
        assert session.take(json.dumps(event))
