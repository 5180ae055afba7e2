"""Client requests: valid members, and the errors for invalid ones."""

import json
from typing import Any

import pytest

from intellirouter.core import LossReport, RequestContext, errors
from intellirouter.dialects.gemini import CLIENT, COUNT_CLIENT, UPSTREAM, WRAPPED_MARK
from intellirouter.dialects.gemini.wire import read_token, write_reasoning_token, write_token
from intellirouter.dialects.ir import Foreign, Opaque, Reasoning, Text, ToolCall, ToolResult
from intellirouter.dialects.ir.tokens import WRAPPED_PREFIX
from intellirouter.dialects.routes.translation import client_only_fields
from tests.support.dialects.gemini import HI, call_of, conversation_of, deployment

FUNCTION_CALL = {"functionCall": {"name": "f", "args": {}}}


def user(*parts: Any, **members: Any) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": list(parts)}], **members}


def test_the_path_and_the_query_define_model_stream_and_format() -> None:
    call = call_of(model="models/gemini-2.5-pro", is_stream=True, query="alt=sse")
    assert (call.model, call.is_stream, call.stream_type) == ("gemini-2.5-pro", True, b"text/event-stream")
    assert call_of(is_stream=True).stream_type == b"application/json"
    assert call_of(is_stream=True, query="%24x=1&alt=SSE").stream_type == b"text/event-stream"
    assert call_of(is_stream=True, query="alt=json").stream_type == b"application/json"
    assert (call.operation, call.dialect, call.wants_usage) == ("chat", "gemini", True)


@pytest.mark.parametrize(
    ("body", "needs"),
    [
        (HI, set()),
        (user({"inlineData": {"mimeType": "image/png", "data": ""}}), {"vision"}),
        (user({"inline_data": {"mime_type": "audio/wav", "data": ""}}), {"audio"}),
        (user({"fileData": {"mimeType": "video/mp4", "fileUri": "gs://b/f"}}), {"video"}),
        (user({"fileData": {"mimeType": "application/pdf", "fileUri": "gs://b/f"}}), {"files"}),
        ({**HI, "tools": [{"googleSearch": {}}]}, {"tools"}),
        ({**HI, "tools": []}, set()),
        ({**HI, "generation_config": {"response_schema": {"type": "OBJECT"}}}, {"json_schema"}),
        ({**HI, "generationConfig": {"responseJsonSchema": {"type": "object"}}}, {"json_schema"}),
    ],
)
def test_needs(body: Any, needs: set[str]) -> None:
    assert call_of(body).needs == needs


def test_the_output_limit_is_read_in_any_spelling() -> None:
    assert call_of({**HI, "generationConfig": {"maxOutputTokens": 9}}).max_output_tokens == 9
    assert call_of({**HI, "generation_config": {"max_output_tokens": "9"}}).max_output_tokens == 9
    assert call_of(HI).max_output_tokens is None


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"", None),
        (b"{", None),
        (b"[]", None),
        (b'{"contents": "\xff"}', None),
        (b'{"contents": [{"parts": [{"text": "\\ud800"}]}]}', None),
        (b'{"contents": [{"parts": [{"text": NaN}]}]}', None),
        (b"[" * 100_000, None),
        ({}, "contents"),
        ({"contents": []}, "contents"),
        ({"contents": None}, "contents"),
        ({"contents": "hi"}, "contents"),
        ({"contents": [None]}, "contents[0]"),
        ({"contents": [{"parts": [{"text": 7}]}]}, "contents[0].parts[0].text"),
        ({"contents": [{"parts": "hi"}]}, "contents[0].parts"),
        ({**HI, "tools": "search"}, "tools"),
        ({**HI, "generationConfig": {"maxOutputTokens": -1}}, "generationConfig.maxOutputTokens"),
        ({**HI, "generationConfig": {"maxOutputTokens": 1.5}}, "generationConfig.maxOutputTokens"),
        ({**HI, "generationConfig": {"maxOutputTokens": 1e300}}, "generationConfig.maxOutputTokens"),
        ({**HI, "generationConfig": {"maxOutputTokens": "many"}}, "generationConfig.maxOutputTokens"),
    ],
)
def test_invalid_requests_are_rejected(body: Any, param: str | None) -> None:
    with pytest.raises(errors.InvalidRequest) as caught:
        call_of(body)
    if param is not None:
        assert (caught.value.param or "").replace("[...]", "[0]").startswith(param.split(".text")[0].split("[")[0])


@pytest.mark.parametrize("model", ["", "x" * 600, "a\nb"])
def test_invalid_model_names(model: str) -> None:
    with pytest.raises(errors.InvalidRequest):
        call_of(model=model)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"contents": [{"role": "system", "parts": [{"text": "x"}]}]}, "contents[0].role"),
        (user({"functionCall": {"args": {}}}), "contents[0].parts[0].functionCall.name"),
        (user({"functionCall": {"name": "f", "args": []}}), "contents[0].parts[0].functionCall.args"),
        (user(FUNCTION_CALL, {"functionResponse": {"name": 1}}), "contents[0].parts[1].functionResponse.name"),
        (user({"fileData": {"mimeType": "a/b"}}), "contents[0].parts[0].fileData.fileUri"),
        (user({"text": "x", "thought": "yes"}), "contents[0].parts[0].thought"),
        ({**HI, "toolConfig": {"functionCallingConfig": {"mode": "SOME"}}}, "toolConfig.functionCallingConfig.mode"),
        ({**HI, "tools": [{"functionDeclarations": [{}]}]}, "tools[0].functionDeclarations[0].name"),
        ({**HI, "tools": [1]}, "tools[0]"),
        ({**HI, "generationConfig": {"temperature": "hot"}}, "generationConfig.temperature"),
        ({**HI, "generationConfig": {"temperature": "NaN"}}, "generationConfig.temperature"),
        ({**HI, "generationConfig": {"temperature": True}}, "generationConfig.temperature"),
        ({**HI, "generationConfig": {"stopSequences": [1]}}, "generationConfig.stopSequences[0]"),
        ({**HI, "generationConfig": {"responseMimeType": "image/gif"}}, "generationConfig.responseMimeType"),
        ({**HI, "generationConfig": {"responseJsonSchema": 5}}, "generationConfig.responseJsonSchema"),
        ({**HI, "generationConfig": {"thinkingConfig": []}}, "generationConfig.thinkingConfig"),
    ],
)
def test_errors_name_the_invalid_member(body: Any, param: str) -> None:
    with pytest.raises(errors.InvalidRequest) as caught:
        conversation_of(body)
    assert caught.value.param == param
    assert param in caught.value.message


def test_a_deeply_nested_schema_is_rejected() -> None:
    schema: dict[str, Any] = {"type": "OBJECT"}
    for _ in range(100):
        schema = {"type": "ARRAY", "items": schema}
    with pytest.raises(errors.InvalidRequest, match="too deeply"):
        conversation_of({**HI, "generationConfig": {"responseSchema": schema}})


def test_enum_output_is_not_translated() -> None:
    with pytest.raises(errors.UnsupportedFeature) as caught:
        conversation_of({**HI, "generationConfig": {"responseMimeType": "text/x.enum"}})
    assert caught.value.param == "generationConfig.responseMimeType"


def test_nullable_schemas_keep_their_meaning() -> None:
    schema = {
        "anyOf": [{"type": "STRING"}],
        "nullable": True,
    }
    choice = {"type": "STRING", "enum": ["a"], "nullable": True, "example": "a", "min_length": "1"}
    conversation = conversation_of(
        {**HI, "generationConfig": {"responseSchema": {"type": "OBJECT", "properties": {"a_b": schema, "c": choice}}}}
    )
    assert conversation.output is not None
    assert conversation.output.schema == {
        "type": "object",
        "properties": {
            "a_b": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "c": {"type": ["string", "null"], "enum": ["a", None], "examples": ["a"], "minLength": 1},
        },
    }


def test_unknown_members_are_reported_by_name() -> None:
    conversation = conversation_of(
        {
            "contents": [{"role": "user", "parts": [{"text": "x", "partMetadata": {"a": 1}}], "novel": 1}],
            "safetySettings": [],
            "generationConfig": {"speechConfig": {}},
            "tools": [{"functionDeclarations": [{"name": "f", "behavior": "BLOCKING"}]}],
        }
    )
    assert set(client_only_fields(conversation)) == {
        "safetySettings",
        "generationConfig.speechConfig",
        "messages[].novel",
        "messages[].content[].partMetadata",
        "tools[].behavior",
    }


def test_dots_in_names_are_replaced() -> None:
    body = {**HI, "contents.x": 1, "generationConfig": {"temperature": 1, "temperature.x": 2}, "a.b": 3}
    request = UPSTREAM.encode(conversation_of(body), deployment(), LossReport())
    assert json.loads(request.body) == {
        **HI,
        "generationConfig": {"temperature": 1.0, "temperature_x": 2},
        "contents_x": 1,
        "a_b": 3,
    }


def test_wrapped_tokens_of_other_parts_are_dropped() -> None:
    foreign_token = write_token(Opaque("sig", "abc", "anthropic_messages"))
    code = {"executableCode": {"code": "1"}, "thoughtSignature": foreign_token, "thought": True}
    parts = conversation_of({"contents": [*HI["contents"], {"role": "model", "parts": [code]}]}).messages[1].parts
    raw = {"executableCode": {"code": "1"}, "thought": True}
    assert parts == [Foreign(dialect="gemini", kind="executableCode", raw=raw)]


def test_generated_ids_are_stable_and_differ_from_ids_of_the_client() -> None:
    turn = {
        "role": "model",
        "parts": [{"functionCall": {"name": "f", "id": "call_0"}}, {"functionCall": {"name": "f"}}],
    }
    ids = [
        [
            part.id
            for part in conversation_of({"contents": [*HI["contents"], turn]}).messages[1].parts
            if isinstance(part, ToolCall)
        ]
        for _ in range(2)
    ]
    assert ids == [["call_0", "call_1"]] * 2


def test_a_function_response_without_its_call_gets_an_id() -> None:
    conversation = conversation_of(user(FUNCTION_CALL, {"functionResponse": {"name": "other", "response": {"a": 1}}}))
    assert conversation.messages[-1].role == "tool"
    (result,) = conversation.messages[-1].parts
    assert isinstance(result, ToolResult)
    assert result.call_id
    assert result.call_id not in conversation.tool_names()


def test_wrapped_tokens_of_other_dialects_are_unchanged_after_a_round_trip() -> None:
    token = Opaque("Eq+/=:x", "abc123", "anthropic_messages")
    sent = write_token(token)
    assert sent.encode().startswith(WRAPPED_MARK)
    assert WRAPPED_PREFIX not in sent
    assert read_token(sent) == token
    assert read_token(sent.rstrip("=")) == token


def test_tokens_of_google_are_not_wrapped() -> None:
    token = Opaque("c2lnLTE=", "abc123", "gemini")
    assert write_token(token) == "c2lnLTE="
    assert read_token("c2lnLTE=") == Opaque("c2lnLTE=", "", "gemini")
    assert read_token("aXJ0MS5!!") == Opaque("aXJ0MS5!!", "", "gemini")


@pytest.mark.parametrize("is_redacted", [False, True])
def test_reasoning_of_another_dialect_is_unchanged_after_a_round_trip(*, is_redacted: bool) -> None:
    token = Opaque("sig:with:colons", "abc123", "anthropic_messages")
    value = write_reasoning_token(token, "rs_1", is_redacted=is_redacted)
    conversation = conversation_of(
        {
            "contents": [
                *HI["contents"],
                {"role": "model", "parts": [{"text": "", "thoughtSignature": value, "thought": True}]},
            ]
        }
    )
    assert conversation.messages[1].parts == [Reasoning(token=token, id="rs_1", is_redacted=is_redacted)]


def test_reasoning_in_chunks_is_joined_with_its_token() -> None:
    token = Opaque("sig", "abc123", "anthropic_messages")
    value = write_reasoning_token(token, "", is_redacted=False)
    chunks = [{"text": "I ", "thought": True}, {"text": "think.", "thought": True}]
    chunks += [{"text": "", "thought": True, "thoughtSignature": value}, {"text": "So."}, {"text": ""}]
    conversation = conversation_of(
        {"contents": [*HI["contents"], *({"role": "model", "parts": [chunk]} for chunk in chunks)]}
    )
    assert conversation.messages[1].parts == [Reasoning(text="I think.", token=token), Text(text="So.")]


def test_count_requests_have_contents_or_a_complete_request() -> None:
    inner = {**HI, "systemInstruction": {"parts": [{"text": "brief"}]}, "model": "models/x"}
    for body in (inner, {"generateContentRequest": inner}, {"generate_content_request": inner}):
        call = COUNT_CLIENT.decode_request(json.dumps(body).encode(), RequestContext(model="public"))
        assert (call.operation, call.is_stream) == ("count_tokens", False)
        assert [message.role for message in COUNT_CLIENT.decode(call).messages] == ["system", "user"]
    assert json.loads(COUNT_CLIENT.encode_count(42, call)) == {"totalTokens": 42}
    with pytest.raises(errors.InvalidRequest):
        COUNT_CLIENT.decode_request(b"{}", RequestContext(model="public"))


def test_passthroughs_send_the_clients_body_without_tokens_of_other_dialects() -> None:
    body = json.dumps({**HI, "novel": 1}).encode()
    call = call_of(body, is_stream=True, query="alt=sse")
    request = UPSTREAM.relay_request(call, deployment("gemini-3-pro-preview"))
    assert (request.path, request.body) == ("/models/gemini-3-pro-preview:streamGenerateContent?alt=sse", body)
    assert UPSTREAM.relay_request(call_of(body, is_stream=True), deployment()).path.endswith(":streamGenerateContent")
    assert UPSTREAM.relay_request(call_of(body), deployment()).path == "/models/gemini-2.5-flash:generateContent"
    foreign_token = write_token(Opaque("sig", "abc", "anthropic_messages"))
    turn = {
        "role": "model",
        "parts": [{"text": "Hm.", "thought": True, "thoughtSignature": foreign_token}, {"text": "ok"}],
    }
    request = UPSTREAM.relay_request(call_of({"contents": [*HI["contents"], turn], "safetySettings": []}), deployment())
    assert json.loads(request.body) == {
        "contents": [*HI["contents"], {"role": "model", "parts": [{"text": "ok"}]}],
        "safetySettings": [],
    }


def test_decoding_does_not_change_the_call() -> None:
    call = call_of({**HI, "labels": {"a": "b"}})
    first = CLIENT.decode(call)
    UPSTREAM.encode(first, deployment(), LossReport())
    assert CLIENT.decode(call) == first
