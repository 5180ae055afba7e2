"""The passthrough of chat completions: validation of requests, edits of model and stream options, decoding."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intellirouter.core import Usage, errors
from intellirouter.dialects.openai_chat.passthrough import OpenAIChatPassthrough
from intellirouter.dialects.openai_chat.passthrough_stream import ChatStreamRelay
from intellirouter.testing import FakeClock

codec = OpenAIChatPassthrough()
MESSAGES = [{"role": "user", "content": "hello"}]
streamed = pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])


def body(**members: Any) -> bytes:
    return json.dumps({"model": "m", "messages": MESSAGES, **members}).encode()


def rejection(**members: Any) -> errors.InvalidRequest:
    with pytest.raises(errors.InvalidRequest) as caught:
        codec.decode_request(body(**members))
    assert (caught.value.status, caught.value.type) == (400, "invalid_request_error")
    return caught.value


@streamed
def test_a_request_is_decoded(is_stream: bool) -> None:
    sent = body(stream=is_stream, max_tokens=7, unknown={"a": [1]})
    call = codec.decode_request(sent)
    assert (call.operation, call.model, call.body) == ("chat", "m", sent)
    assert (call.is_stream, call.wants_usage, call.max_output_tokens, call.needs) == (is_stream, False, 7, frozenset())


def test_null_means_the_default() -> None:
    names = [
        name for name in codec.decode_request(body()).source.__struct_fields__ if name not in {"model", "messages"}
    ]
    assert len(names) > 15
    call = codec.decode_request(body(**dict.fromkeys(names)))
    assert not call.is_stream
    assert call.max_output_tokens is None


@pytest.mark.parametrize("role", ["developer", "system", "user", "assistant", "tool", "function"])
@pytest.mark.parametrize("content", [None, "", "x", [], [{"type": "text", "text": "x"}], [{"type": "new", "x": 1}]])
def test_all_roles_and_kinds_of_content_are_accepted(role: str, content: Any) -> None:
    message = {"role": role, "content": content, "name": "n", "tool_call_id": "c", "unknown": 1}
    call = {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f"}}]}
    codec.decode_request(body(messages=[call, message, {"role": role}]))


def test_max_completion_tokens_has_precedence() -> None:
    assert codec.decode_request(body(max_tokens=5, max_completion_tokens=9)).max_output_tokens == 9
    assert codec.decode_request(body(max_tokens=5, max_completion_tokens=None)).max_output_tokens == 5


@pytest.mark.parametrize(
    ("members", "needs"),
    [
        ({}, set()),
        ({"tools": []}, set()),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, {"tools"}),
        ({"functions": []}, set()),
        ({"functions": None}, set()),
        ({"functions": [{"name": "f"}]}, {"tools"}),
        ({"response_format": {"type": "text"}}, set()),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, {"json_schema"}),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]}, set()),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "u"}}]}]}, {"vision"}),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": each}]} for each in ("input_audio", "file", "video_url")
                ]
            },
            {"audio", "files", "video"},
        ),
    ],
)
def test_needs_follow_from_the_request(members: dict[str, Any], needs: set[str]) -> None:
    assert codec.decode_request(body(**members)).needs == needs


@pytest.mark.parametrize(
    ("members", "code", "param"),
    [
        ({"model": None}, "invalid_type", "model"),
        ({"model": ["m"]}, "invalid_type", "model"),
        ({"model": ""}, "invalid_value", "model"),
        ({"model": "x" * 1000}, "string_above_max_length", "model"),
        ({"model": "a\nb"}, "invalid_value", "model"),
        ({"messages": None}, "invalid_type", "messages"),
        ({"messages": "hi"}, "invalid_type", "messages"),
        ({"messages": {}}, "invalid_type", "messages"),
        ({"messages": []}, "empty_array", "messages"),
        ({"messages": ["hi"]}, "invalid_type", "messages[0]"),
        ({"messages": [None]}, "invalid_type", "messages[0]"),
        ({"messages": [*MESSAGES, {"content": "x"}]}, "missing_required_parameter", "messages[1].role"),
        ({"messages": [*MESSAGES, {"role": "boss", "content": "x"}]}, "invalid_value", "messages[1].role"),
        ({"messages": [{"role": None, "content": "x"}]}, "invalid_type", "messages[0].role"),
        ({"messages": [{"role": "user", "content": 5}]}, "invalid_type", "messages[0].content"),
        ({"messages": [{"role": "user", "content": {}}]}, "invalid_type", "messages[0].content"),
        ({"messages": [{"role": "user", "content": ["x"]}]}, "invalid_type", "messages[0].content[0]"),
        (
            {"messages": [{"role": "user", "content": [{"text": "x"}]}]},
            "missing_required_parameter",
            "messages[0].content[0].type",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": 5}]}]},
            "invalid_type",
            "messages[0].content[0].text",
        ),
        ({"messages": [{"role": "user", "name": 5}]}, "invalid_type", "messages[0].name"),
        ({"messages": [{"role": "tool", "tool_call_id": 5}]}, "invalid_type", "messages[0].tool_call_id"),
        ({"messages": [{"role": "assistant", "tool_calls": {}}]}, "invalid_type", "messages[0].tool_calls"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"function": {"arguments": {}}}]}]},
            "invalid_type",
            "messages[0].tool_calls[0].function.arguments",
        ),
        ({"tools": {}}, "invalid_type", "tools"),
        ({"tools": ["f"]}, "invalid_type", "tools[0]"),
        ({"tools": [{"function": {"name": "f"}}]}, "missing_required_parameter", "tools[0].type"),
        ({"tools": [{"type": "function", "function": {}}]}, "missing_required_parameter", "tools[0].function.name"),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "parameters": []}}]},
            "invalid_type",
            "tools[0].function.parameters",
        ),
        ({"tool_choice": 5}, "invalid_type", "tool_choice"),
        ({"parallel_tool_calls": "yes"}, "invalid_type", "parallel_tool_calls"),
        ({"stream": "true"}, "invalid_type", "stream"),
        ({"stream": 1}, "invalid_type", "stream"),
        ({"stream_options": True}, "invalid_type", "stream_options"),
        ({"stream_options": {"include_usage": "yes"}}, "invalid_type", "stream_options.include_usage"),
        ({"temperature": "hot"}, "invalid_type", "temperature"),
        ({"top_p": []}, "invalid_type", "top_p"),
        ({"n": 0}, "integer_below_min_value", "n"),
        ({"n": -1}, "integer_below_min_value", "n"),
        ({"n": 129}, "integer_above_max_value", "n"),
        ({"n": 1.5}, "invalid_type", "n"),
        ({"n": True}, "invalid_type", "n"),
        ({"max_tokens": -1}, "integer_below_min_value", "max_tokens"),
        ({"max_tokens": "5"}, "invalid_type", "max_tokens"),
        ({"max_completion_tokens": -1}, "integer_below_min_value", "max_completion_tokens"),
        ({"stop": 5}, "invalid_type", "stop"),
        ({"stop": [5]}, "invalid_type", "stop[0]"),
        ({"logit_bias": {"5": "x"}}, "invalid_type", "logit_bias[...]"),
        ({"seed": "x"}, "invalid_type", "seed"),
        ({"max_tokens": int("1" * 4000)}, "integer_above_max_value", "max_tokens"),
        ({"max_completion_tokens": 2**53 + 1}, "integer_above_max_value", "max_completion_tokens"),
        ({"response_format": {}}, "missing_required_parameter", "response_format.type"),
        ({"response_format": "json"}, "invalid_type", "response_format"),
        ({"user": 5}, "invalid_type", "user"),
    ],
)
def test_an_invalid_request_is_rejected_with_code_and_param(members: dict[str, Any], code: str, param: str) -> None:
    error = rejection(**members)
    assert (error.code, error.param) == (code, param)
    assert len(error.message) < 5000


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (
            {"messages": []},
            "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.",
        ),
        (
            {"messages": [{"role": "boss"}]},
            "Invalid value: 'boss'. Supported values are: assistant, developer, function, system, tool, user.",
        ),
        ({"n": 0}, "Invalid 'n': integer below minimum value. Expected a value >= 1, but got 0 instead."),
        ({"n": 200}, "Invalid 'n': integer above maximum value. Expected a value <= 128, but got 200 instead."),
        ({"model": ""}, "You must provide a model parameter."),
    ],
)
def test_messages_have_openais_wording(members: dict[str, Any], message: str) -> None:
    assert rejection(**members).message == message


def test_an_invalid_role_is_quoted_up_to_a_limit() -> None:
    assert len(rejection(messages=[{"role": "x" * 100_000}]).message) < 300


@pytest.mark.parametrize("missing", ["model", "messages"])
def test_missing_members_are_named(missing: str) -> None:
    document = json.loads(body())
    del document[missing]
    with pytest.raises(errors.InvalidRequest) as caught:
        codec.decode_request(json.dumps(document).encode())
    assert (caught.value.code, caught.value.param) == ("missing_required_parameter", missing)


@pytest.mark.parametrize("text", ["", "[]", "nonsense", '{"model":"m","messages":NaN}'])
def test_invalid_documents_are_rejected(text: str) -> None:
    with pytest.raises(errors.InvalidRequest):
        codec.decode_request(text.encode())


@pytest.mark.parametrize("n", [1, 128])
def test_bounds_are_inclusive(n: int) -> None:
    codec.decode_request(body(n=n, max_tokens=0, max_completion_tokens=0))


@streamed
def test_only_the_model_is_replaced(is_stream: bool) -> None:
    options = b',"stream":true,"stream_options": {"include_usage" :true}' if is_stream else b""
    sent = b'{ "messages":[{"role":"user","content":"\\u4f60 \\"model\\""}], "x":1e999' + options + b', "model" : "m"}'
    call = codec.decode_request(sent)
    assert codec.edited(call, "m") is sent
    assert codec.edited(call, "up/\u00e9") == sent.replace(b'"m"', '"up/\u00e9"'.encode())
    assert call.body is sent


HEAD = '{"model":"m","messages":[{"role":"user","content":"x"}],"stream":true'


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("}", ',"stream_options":{"include_usage":true}}'),
        (" \n} ", ',"stream_options":{"include_usage":true}} '),
        (',"stream_options":null}', ',"stream_options":{"include_usage":true}}'),
        (',"stream_options":{}}', ',"stream_options":{"include_usage":true}}'),
        (',"stream_options": { } }', ',"stream_options": {"include_usage":true} }'),
        (',"stream_options":{"include_usage":false}}', ',"stream_options":{"include_usage":true}}'),
        (',"stream_options":{"include_usage": null }}', ',"stream_options":{"include_usage": true }}'),
        (
            ',"stream_options":{"new": 1e999, "include_usage":false}, "z":1}',
            ',"stream_options":{"new": 1e999, "include_usage":true}, "z":1}',
        ),
        (',"stream_options":{"null":1.50 }}', ',"stream_options":{"null":1.50,"include_usage":true}}'),
        (',"stream\\u005foptions":{"a":1}}', ',"stream\\u005foptions":{"a":1,"include_usage":true}}'),
        (
            ',"stream_options":{"a":1},"stream_options":{}}',
            ',"stream_options":{"include_usage":true},"stream_options":{"include_usage":true}}',
        ),
        (
            ',"metadata":{"stream_options":{}}}',
            ',"metadata":{"stream_options":{}},"stream_options":{"include_usage":true}}',
        ),
    ],
)
def test_usage_is_requested_if_the_client_does_not(written: str, expected: str) -> None:
    call = codec.decode_request((HEAD + written).encode())
    assert codec.edited(call, "m").decode() == HEAD + expected
    renamed = codec.edited(call, "up").decode()
    assert renamed == (HEAD + expected).replace('"model":"m"', '"model":"up"')


@pytest.mark.parametrize("written", ["}", ',"stream_options":{"include_usage":true,"a":1}}'])
def test_usage_is_not_requested_without_need(written: str) -> None:
    head = HEAD if "usage" in written else HEAD.replace("true", "false")
    sent = (head + written).encode()
    call = codec.decode_request(sent)
    assert codec.edited(call, "m") is sent
    assert call.wants_usage == ("usage" in written)


options = st.dictionaries(
    st.sampled_from(["a", "include_obfuscation", "}{", '"', "\u00e9"]), st.integers() | st.text(), max_size=3
)


@given(options, st.sampled_from(["absent", None, False]), st.integers(0, 3), st.booleans())
def test_other_stream_options_are_kept(other_options: dict[str, Any], usage: Any, indent: int, is_ascii: bool) -> None:
    options = other_options if usage == "absent" else {**other_options, "include_usage": usage}
    document = {**json.loads(body(stream=True)), "stream_options": options, "z": "}"}
    sent = json.dumps(document, indent=indent or None, ensure_ascii=is_ascii).encode()
    call = codec.decode_request(sent)
    edited = json.loads(codec.edited(call, "up"))
    assert edited == {**document, "model": "up", "stream_options": {**options, "include_usage": True}}


def test_the_relay_keeps_usage_if_the_client_requested_it() -> None:
    usage = b'data: {"choices":[],"usage":{"prompt_tokens":1}}\n\n'
    finish = b'data: {"choices":[{"finish_reason":"stop"}]}\n\n'
    for wants_usage, expected in ((True, finish + usage), (False, finish)):
        relay = codec.relay(codec.decode_request(body(stream=True, stream_options={"include_usage": wants_usage})))
        assert relay.feed(finish + usage) == expected
        assert relay.usage == Usage(input_tokens=1)


@pytest.mark.parametrize(
    ("answer", "usage", "finish"),
    [
        ({"choices": [{"finish_reason": "stop"}]}, None, "stop"),
        ({"choices": [{"finish_reason": "a"}, {"finish_reason": "b"}], "error": None}, None, "a"),
        (
            {"choices": [{}], "usage": {"prompt_tokens": 2, "completion_tokens": 1}},
            Usage(input_tokens=2, output_tokens=1),
            None,
        ),
        ({"choices": [{"message": {"content": "x"}}], "usage": None, "error": ""}, None, None),
    ],
)
def test_usage_and_finish_reason_are_decoded(answer: dict[str, Any], usage: Usage | None, finish: str | None) -> None:
    read = codec.decode_response(json.dumps(answer).encode())
    assert (read.usage, read.finish_reason) == (usage, finish)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b'{"choices": [], "usage": {"prompt_tokens": 2, "completion_tokens": 1}}',
        b"<html>",
        b"[]",
        b"{}",
        b'{"choices":null}',
        b'{"choices":{}}',
        b'{"choices":[5]}',
        b'{"choices":[{"finish_reason":5}]}',
        b'{"choices":[',
        b"\xff",
        b'{"error":' + b"[" * 100_000,
    ],
)
def test_invalid_answers_are_malformed(text: bytes) -> None:
    with pytest.raises(errors.UpstreamMalformed):
        codec.decode_response(text)


def test_invalid_utf8_is_malformed_at_any_place() -> None:
    assert codec.decode_response('{"choices":[{}],"model":"é"}'.encode()).usage is None
    with pytest.raises(errors.UpstreamMalformed):
        codec.decode_response(b'{"choices":[{}],"model":"\xff"}')


@pytest.mark.parametrize("text", [b'{"error":{"message":"it broke"}}', b'{"error":"it broke","choices":[]}'])
def test_an_error_with_status_200_is_a_failure(text: bytes) -> None:
    with pytest.raises(errors.UpstreamUnavailable, match="it broke"):
        codec.decode_response(text)
    with pytest.raises(errors.UpstreamUnavailable) as caught:
        codec.decode_response(b'{"error":"' + b"x" * 100_000 + b'"}')
    assert len(caught.value.message) < 600


def test_errors_are_decoded_from_openais_envelope() -> None:
    error = codec.decode_error(401, [], b"", deployment="d", clock=FakeClock())
    assert isinstance(error, errors.UpstreamAuthFailed)


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"id": 5, "object": None, "created": 1.7}, {"id": "5", "object": "chat.completion", "created": 1}),
        ({"id": "a", "object": "chat.completion", "created": "now"}, {"id": "a", "object": "chat.completion"}),
        ({"id": None, "object": "chat.completion", "created": True}, {"object": "chat.completion"}),
    ],
)
def test_members_of_another_type_are_replaced_in_a_complete_answer(
    members: dict[str, Any], expected: dict[str, Any]
) -> None:
    sent = {"choices": [{"index": 0, "finish_reason": "stop"}], "x_vendor": 1, **members}
    changed = OpenAIChatPassthrough().decode_response(json.dumps(sent).encode()).body
    assert changed is not None
    shown = json.loads(changed)
    assert shown | expected == shown
    assert (type(shown["id"]), type(shown["created"]), shown["x_vendor"]) == (str, int, 1)
    assert shown["id"]


@pytest.mark.parametrize("wants_usage", [True, False])
def test_usage_of_zeros_is_not_recorded(wants_usage: bool) -> None:
    zeros = b'{"choices":[],"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}}'
    relay = ChatStreamRelay(keeps_usage=wants_usage)
    text = b'data: {"choices":[{"delta":{"content":"x"},"finish_reason":"stop"}]}\n\n'
    out = relay.feed(text + b"data: " + zeros + b"\n\ndata: [DONE]\n\n") + relay.end()
    assert relay.usage is None
    assert (zeros in out) is wants_usage
    whole = zeros.replace(b"[]", b'[{"finish_reason":"stop"}]')
    assert OpenAIChatPassthrough().decode_response(whole).usage is None
