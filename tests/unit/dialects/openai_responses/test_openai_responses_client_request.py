"""Client requests are validated and read, and the errors name the invalid member."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intellirouter.core import EMPTY_CONTEXT, Call, errors
from intellirouter.dialects.ir import Opaque, Reasoning, ToolCall
from intellirouter.dialects.openai_responses import CLIENT
from intellirouter.dialects.openai_responses.encrypted_content import read_encrypted_content, write_encrypted_content

FUNCTION_CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}


def read(**body: Any) -> Any:
    return CLIENT.decode(call_of(**body))


def call_of(**body: Any) -> Call:
    return CLIENT.decode_request(json.dumps({"model": "m", "input": "x"} | body).encode(), EMPTY_CONTEXT)


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({"input": None}, "missing_required_parameter", "input"),
        ({"input": []}, "missing_required_parameter", "input"),
        ({"input": 5}, "invalid_type", "input"),
        ({"input": [5]}, "invalid_type", "input[0]"),
        ({"input": [{"role": "robot", "content": "x"}]}, "invalid_value", "input[0].role"),
        ({"input": [{"type": "message", "content": "x"}]}, "missing_required_parameter", "input[0].role"),
        ({"model": ""}, "invalid_value", "model"),
        ({"model": 4}, "invalid_type", "model"),
        ({"tools": [{"name": "x"}]}, "missing_required_parameter", "tools[0].type"),
        ({"tools": "all"}, "invalid_type", "tools"),
        ({"tool_choice": "any"}, "invalid_value", "tool_choice"),
        ({"max_output_tokens": 0}, "integer_below_min_value", "max_output_tokens"),
        ({"max_output_tokens": 2**60}, "integer_above_max_value", "max_output_tokens"),
        ({"top_logprobs": 21}, "integer_above_max_value", "top_logprobs"),
        ({"temperature": "hot"}, "invalid_type", "temperature"),
        ({"stream": "yes"}, "invalid_type", "stream"),
        ({"text": {"format": {"type": "xml"}}}, "invalid_value", "text.format.type"),
        ({"text": {"format": "json"}}, "invalid_type", "text.format"),
        ({"reasoning": {"effort": 3}}, "invalid_type", "reasoning.effort"),
        ({"include": "logprobs"}, "invalid_type", "include"),
    ],
)
def test_an_invalid_request_is_rejected_before_routing(body: dict[str, Any], code: str, param: str) -> None:
    with pytest.raises(errors.InvalidRequest) as caught:
        call_of(**body)
    assert (caught.value.code, caught.value.param) == (code, param)


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({"input": [{"role": "user", "content": 5}]}, "invalid_type", "input[0].content"),
        ({"input": [{"role": "user", "content": [5]}]}, "invalid_type", "input[0].content[0]"),
        (
            {"input": [{"role": "user", "content": [{"text": "x"}]}]},
            "missing_required_parameter",
            "input[0].content[0].type",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image"}]}]},
            "missing_required_parameter",
            "input[0].content[0].image_url",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file"}]}]},
            "missing_required_parameter",
            "input[0].content[0].file_data",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_audio"}]}]},
            "missing_required_parameter",
            "input[0].content[0].input_audio",
        ),
        ({"input": [{"content": "x"}]}, "missing_required_parameter", "input[0].type"),
        (
            {"input": [{"type": "function_call", "name": "f", "arguments": "{}"}]},
            "missing_required_parameter",
            "input[0].call_id",
        ),
        (
            {"input": [{"type": "function_call", "call_id": "c", "name": "f", "arguments": {}}]},
            "invalid_type",
            "input[0].arguments",
        ),
        (
            {"input": [FUNCTION_CALL, {"type": "function_call_output", "call_id": "c"}]},
            "missing_required_parameter",
            "input[1].output",
        ),
        (
            {
                "input": [
                    FUNCTION_CALL,
                    {"type": "function_call_output", "call_id": "c", "output": [{"type": "refusal", "refusal": "no"}]},
                ]
            },
            "invalid_value",
            "input[1].output",
        ),
        (
            {"input": [{"type": "reasoning", "summary": [{"type": "summary_text"}]}]},
            "missing_required_parameter",
            "input[0].summary[0].text",
        ),
        ({"tools": [{"type": "function"}]}, "missing_required_parameter", "tools[0].name"),
        ({"tools": [{"type": "function", "name": ""}]}, "string_below_min_length", "tools[0].name"),
        ({"tools": [{"type": "function", "name": "f", "parameters": "x"}]}, "invalid_type", "tools[0].parameters"),
        ({"tools": [{"type": "namespace", "name": "n", "tools": [5]}]}, "invalid_type", "tools[0].tools[0]"),
        ({"tool_choice": {"type": "function"}}, "missing_required_parameter", "tool_choice.name"),
        ({"tool_choice": {"type": "allowed_tools", "mode": "none", "tools": []}}, "invalid_value", "tool_choice.mode"),
        ({"tool_choice": {"type": "allowed_tools"}}, "missing_required_parameter", "tool_choice.tools"),
        (
            {"text": {"format": {"type": "json_schema", "name": "x"}}},
            "missing_required_parameter",
            "text.format.schema",
        ),
        ({"text": {"format": {"type": "json_schema", "schema": {}}}}, "missing_required_parameter", "text.format.name"),
    ],
)
def test_the_error_names_the_invalid_member(body: dict[str, Any], code: str, param: str) -> None:
    call = call_of(**body)
    with pytest.raises(errors.InvalidRequest) as caught:
        CLIENT.decode(call)
    assert (caught.value.code, caught.value.param) == (code, param)
    assert param in caught.value.message


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'{"model":"m","input":NaN}',
        b'{"model":"m","input":"\\ud800"}',
        b'{"model":"\xff"}',
        b"[" * 100_000,
    ],
)
def test_a_body_that_is_not_a_json_object_is_rejected(body: bytes) -> None:
    with pytest.raises(errors.InvalidRequest):
        CLIENT.decode_request(body, EMPTY_CONTEXT)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
_item = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(
            ["message", "function_call", "function_call_output", "reasoning", "custom_tool_call", "x"]
        )
        | _json,
        "role": st.sampled_from(["user", "assistant"]) | _json,
        "content": st.lists(
            st.fixed_dictionaries(
                {"type": st.sampled_from(["input_text", "input_image", "input_file", "refusal", "y"])},
                optional={
                    "text": _json,
                    "image_url": _json,
                    "file_data": _json,
                    "prompt_cache_breakpoint": _json,
                    "annotations": _json,
                },
            ),
            max_size=2,
        )
        | _json,
        "call_id": st.just("c") | _json,
        "name": st.just("f") | _json,
        "namespace": _json,
        "arguments": _json,
        "input": _json,
        "output": _json,
        "summary": _json,
        "encrypted_content": st.sampled_from(["irt1.", "irt1.a.b.c", "irt1.a.b.c.cXX", "irt1.a.b.!.r", "t"]) | _json,
        "id": _json,
    },
)
_tool = st.fixed_dictionaries(
    {"type": st.sampled_from(["function", "custom", "namespace", "z"])},
    optional={"name": _json, "tools": _json, "format": _json, "parameters": _json},
)
_odd = ("tool_choice", "text", "reasoning", "include", "metadata", "instructions", "stream_options", "prompt", "user")
_request = st.fixed_dictionaries(
    {"model": st.just("m"), "input": st.lists(_item, max_size=3) | _json},
    optional={**dict.fromkeys(_odd, _json), "tools": st.lists(_tool, max_size=2) | _json},
)


@settings(max_examples=300, deadline=None)
@given(_request)
def test_random_requests_raise_only_invalid_request(body: dict[str, Any]) -> None:
    with contextlib.suppress(errors.InvalidRequest):
        assert CLIENT.decode(CLIENT.decode_request(json.dumps(body).encode(), EMPTY_CONTEXT)).model == "m"


def test_needs_depend_on_content_parts_only() -> None:
    schema = {"type": "object", "properties": {"kind": {"enum": ["input_image"]}}}
    call = call_of(
        tools=[{"type": "function", "name": "f", "parameters": schema}],
        input=[{"role": "user", "content": 'say "input_image"'}],
    )
    assert call.needs == {"tools"}


def test_a_previous_response_id_replaces_the_input() -> None:
    assert call_of(input=None, previous_response_id="resp_1").model == "m"


def test_namespaces_of_unknown_tools_are_stored_in_extras() -> None:
    item = {"type": "function_call", "call_id": "c", "name": "f", "namespace": "gone", "arguments": "{}"}
    (call,) = read(input=[item]).messages[0].parts
    assert isinstance(call, ToolCall)
    assert (call.name, call.extras) == ("f", {"namespace": "gone"})


@pytest.mark.parametrize(
    ("token", "tags"),
    [
        (Opaque(value="sig/+=", origin="o", dialect="anthropic_messages"), {}),
        (Opaque(value="data", origin="o", dialect="anthropic_messages"), {"is_redacted": True}),
        (Opaque(value="gem", origin="o", dialect="gemini"), {"call_id": "call_ü.1"}),
        (Opaque(value="gAAAA", dialect="openai_responses"), {}),
    ],
)
def test_tokens_are_unchanged_after_a_round_trip(token: Opaque, tags: dict[str, Any]) -> None:
    content = read_encrypted_content(write_encrypted_content(token, **tags))
    assert content.token == token
    assert (content.is_redacted, content.call_id) == (tags.get("is_redacted", False), tags.get("call_id", ""))


def test_reasoning_at_the_end_is_an_assistant_message() -> None:
    message = read(
        input=[{"role": "user", "content": "x"}, {"type": "reasoning", "summary": [{"text": "hm"}]}]
    ).messages[-1]
    assert message.role == "assistant"
    assert message.parts == [Reasoning(summary=["hm"])]


def test_data_urls_without_base64_become_base64() -> None:
    content = [{"type": "input_file", "filename": "a.txt", "file_data": "data:text/plain,hi%20there"}]
    (part,) = read(input=[{"role": "user", "content": content}]).messages[0].parts
    assert (part.source.data, part.source.media_type) == ("aGkgdGhlcmU=", "text/plain")


@pytest.mark.parametrize("tag", ["cX", "c!", "zzz"])
def test_an_unknown_tag_is_ignored(tag: str) -> None:
    content = read_encrypted_content(f"irt1.gemini.o.VEhT.{tag}")
    assert content.token == Opaque(value="THS", origin="o", dialect="gemini")
    assert content.call_id == ""


def test_namespaces_may_contain_custom_and_unknown_tools() -> None:
    inner = [{"type": "custom", "name": "sh"}, {"type": "novel"}, {"type": "function", "name": "f"}]
    tools = [{"type": "function", "name": "f"}, {"type": "function", "name": "n__f"}]
    space = {"type": "namespace", "name": "n", "description": "d", "tools": inner}
    result = read(tools=[*tools, space]).tools
    assert [getattr(tool, "name", "") or tool.kind for tool in result] == [
        "f",
        "n__f",
        "sh",
        "namespace",
        "n__f_265bc05d",
    ]
    assert result[3].raw == {**space, "tools": [{"type": "novel"}]}


def test_flat_names_are_valid_function_names() -> None:
    tools = [{"type": "function", "name": "f"}]
    space = {"type": "namespace", "name": "mcp.docs/" + "x" * 80, "description": "", "tools": tools}
    name = read(tools=[*tools, space]).tools[1].name
    assert len(name) <= 64
    assert name.replace("_", "").isalnum()


def test_the_error_names_the_expected_type() -> None:
    with pytest.raises(errors.InvalidRequest, match="expected a string"):
        read(input=[{"role": "user", "content": [{"type": "input_text", "text": 5}]}])
    with pytest.raises(errors.InvalidRequest, match="a boolean"):
        read(tools=[{"type": "function", "name": "f", "strict": "yes"}])
    with pytest.raises(errors.InvalidRequest, match="an array"):
        read(input=[{"type": "reasoning", "summary": "hm"}])
