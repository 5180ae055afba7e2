"""Conversations of other dialects are written as OpenAI's Responses API requires, and its responses are read."""

import json
from typing import Any

import pytest
from msgspec import structs

from intellirouter.core import EMPTY_CONTEXT, LossReport, Quirks, errors
from intellirouter.dialects.ir import (
    CacheMark,
    Conversation,
    CustomTool,
    Foreign,
    FunctionTool,
    Media,
    Message,
    Opaque,
    OutputFormat,
    Part,
    Reasoning,
    ReasoningConfig,
    Refusal,
    Role,
    Sampling,
    ServerTool,
    Source,
    Text,
    ToolCall,
    ToolChoice,
    ToolResult,
    origin_of,
)
from intellirouter.dialects.openai_responses import CLIENT, UPSTREAM
from tests.support.dialects.openai_responses import DEPLOYMENT


def encoded(*messages: Message, quirks: Quirks | None = None, **settings: Any) -> tuple[dict[str, Any], list[str]]:
    """Return the body of the upstream request, and the losses."""
    turns = list(messages) or [Message(role="user", parts=[Text(text="x")])]
    settings = {"dialect": "openai_chat", "model": "m", "messages": turns} | settings
    losses = LossReport()
    deployment = DEPLOYMENT if quirks is None else structs.replace(DEPLOYMENT, quirks=quirks)
    request = UPSTREAM.encode(Conversation(**settings), deployment, losses)
    assert request.path == "/responses"
    return json.loads(request.body), [str(loss) for loss in losses.taken()]


def msg(role: Role, *parts: Part) -> Message:
    return Message(role=role, parts=list(parts))


def test_responses_are_not_stored_unless_requested() -> None:
    assert encoded()[0]["store"] is False
    assert encoded(dialect="openai_responses", extras={"store": True})[0]["store"] is True


def test_functions_are_not_strict_unless_requested() -> None:
    """The default of this dialect is strict, which rejects schemas that other dialects allow."""
    tools = [FunctionTool(name="f", parameters={}), FunctionTool(name="g", is_strict=True)]
    body, _ = encoded(tools=tools)
    assert [tool["strict"] for tool in body["tools"]] == [False, True]
    assert body["tools"][1]["parameters"] == {"type": "object", "properties": {}}


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (ToolChoice(mode="none"), "none"),
        (ToolChoice(mode="auto"), "auto"),
        (ToolChoice(mode="required"), "required"),
        (ToolChoice(mode="named", name="f"), {"type": "function", "name": "f"}),
        (ToolChoice(mode="named", name="p"), {"type": "custom", "name": "p"}),
        (
            ToolChoice(mode="required", allowed=["f", "p"]),
            {
                "type": "allowed_tools",
                "mode": "required",
                "tools": [{"type": "function", "name": "f"}, {"type": "custom", "name": "p"}],
            },
        ),
    ],
)
def test_tool_choice_modes_are_strings_and_names_are_objects(choice: ToolChoice, expected: Any) -> None:
    body, losses = encoded(tools=[FunctionTool(name="f"), CustomTool(name="p")], tool_choice=choice)
    assert body["tool_choice"] == expected
    assert losses == []


def test_tool_choice_is_not_sent_without_tools() -> None:
    body, _ = encoded(tool_choice=ToolChoice(mode="none", is_parallel=False))
    assert not {"tools", "tool_choice", "parallel_tool_calls"} & body.keys()


def test_tools_of_another_vendor_are_reported_as_dropped() -> None:
    tool = ServerTool(dialect="anthropic_messages", kind="web_search_20250305", raw={})
    assert encoded(tools=[tool]) == (encoded()[0], ["tools[].web_search_20250305;how=dropped"])


@pytest.mark.parametrize("choice", [ToolChoice(mode="named", name="web_search", raw={}), ToolChoice(mode="required")])
def test_a_forced_tool_of_another_vendor_is_rejected(choice: ToolChoice) -> None:
    tool = ServerTool(dialect="anthropic_messages", kind="web_search_20250305", raw={})
    with pytest.raises(errors.UnsupportedFeature) as caught:
        encoded(tools=[tool], tool_choice=choice, dialect="anthropic_messages")
    assert caught.value.param == "tool_choice"


def test_unsupported_parameters_are_reported_as_dropped() -> None:
    sampling = Sampling(
        stop=["x"],
        seed=1,
        presence_penalty=0.0,
        frequency_penalty=1,
        repetition_penalty=1,
        logit_bias={"1": 1},
        top_k=4,
        min_p=0.1,
        temperature=0.5,
        top_p=0.9,
        max_output_tokens=90,
        logprobs=True,
        top_logprobs=2,
        verbosity="low",
    )
    body, losses = encoded(sampling=sampling)
    assert [loss.split(";")[0] for loss in losses] == [
        "stop",
        "seed",
        "presence_penalty",
        "frequency_penalty",
        "repetition_penalty",
        "logit_bias",
        "top_k",
        "min_p",
    ]
    assert (body["temperature"], body["top_p"], body["max_output_tokens"], body["top_logprobs"]) == (0.5, 0.9, 90, 2)
    assert body["include"] == ["message.output_text.logprobs"]
    assert body["text"] == {"verbosity": "low"}


@pytest.mark.parametrize(
    ("settings", "param"),
    [
        ({"sampling": Sampling(n=2)}, "n"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"quirks": Quirks(structured_output="none"), "output": OutputFormat(kind="json_object")}, "output"),
        ({"quirks": Quirks(structured_output="json_object"), "output": OutputFormat(kind="json_schema")}, "output"),
    ],
)
def test_unsupported_features_are_rejected(settings: dict[str, Any], param: str) -> None:
    with pytest.raises(errors.UnsupportedFeature) as caught:
        encoded(**settings)
    assert caught.value.param == param


@pytest.mark.parametrize(
    "media",
    [
        Media(kind="audio", source=Source(data="aGk=")),
        Media(kind="video", source=Source(url="https://e.com/v.mp4")),
        Media(kind="image", source=Source(url="gs://bucket/cat.png")),
        Media(kind="image", source=Source(file_id="file_011")),
    ],
)
def test_unsupported_media_are_rejected(media: Media) -> None:
    with pytest.raises(errors.UnsupportedFeature):
        encoded(msg("user", media), dialect="anthropic_messages")


def test_media_are_converted() -> None:
    body, _ = encoded(
        msg(
            "user",
            Media(kind="image", source=Source(data="aGk=", media_type="image/gif")),
            Media(kind="image", source=Source(url="https://e.com/c.png"), detail="low"),
            Media(kind="image", source=Source(file_id="file-1")),
            Media(kind="document", source=Source(data="JVB=", media_type="application/pdf")),
            Media(kind="document", source=Source(url="https://e.com/a.pdf")),
            Media(kind="document", source=Source(text="words"), name="Notes"),
        )
    )
    assert body["input"][0]["content"] == [
        {"type": "input_image", "detail": "auto", "image_url": "data:image/gif;base64,aGk="},
        {"type": "input_image", "detail": "low", "image_url": "https://e.com/c.png"},
        {"type": "input_image", "detail": "auto", "file_id": "file-1"},
        {"type": "input_file", "filename": "document.pdf", "file_data": "data:application/pdf;base64,JVB="},
        {"type": "input_file", "file_url": "https://e.com/a.pdf"},
        {"type": "input_text", "text": "Notes\n\nwords"},
    ]


def test_images_in_tool_results_stay_in_them() -> None:
    image = Media(kind="image", source=Source(data="aGk=", media_type="image/png"))
    body, _ = encoded(msg("tool", ToolResult(call_id="c", parts=[Text(text="see"), image])))
    assert body["input"] == [
        {
            "type": "function_call_output",
            "call_id": "c",
            "output": [
                {"type": "input_text", "text": "see"},
                {"type": "input_image", "detail": "auto", "image_url": "data:image/png;base64,aGk="},
            ],
        }
    ]


def test_a_failed_tool_without_content_gets_a_text() -> None:
    body, losses = encoded(msg("tool", ToolResult(call_id="c", is_error=True)))
    assert body["input"][0]["output"] == "The tool failed."
    assert losses == ['messages[].content[].is_error;how=converted;as="text"']


def test_a_token_limit_below_the_minimum_is_raised() -> None:
    assert encoded(sampling=Sampling(max_output_tokens=1)) == (
        encoded(sampling=Sampling(max_output_tokens=16))[0],
        ['max_output_tokens;how=clamped;as="16"'],
    )


def test_messages_become_items_in_order() -> None:
    body, _ = encoded(
        msg("system", Text(text="Be brief.")),
        msg("user", Text(text="Hi")),
        msg(
            "assistant",
            Text(text="Wait."),
            ToolCall(id="c1", name="f", arguments=""),
            ToolCall(id="c2", name="p", arguments="free", kind="custom"),
        ),
        msg(
            "tool",
            ToolResult(call_id="c1", parts=[Text(text="1")]),
            ToolResult(call_id="c2", parts=[Text(text="2")], kind="custom"),
        ),
        msg("system", Text(text="Now in French.")),
    )
    assert body["input"] == [
        {"type": "message", "role": "system", "content": "Be brief."},
        {"type": "message", "role": "user", "content": "Hi"},
        {"type": "message", "role": "assistant", "content": "Wait."},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "custom_tool_call", "call_id": "c2", "name": "p", "input": "free"},
        {"type": "function_call_output", "call_id": "c1", "output": "1"},
        {"type": "custom_tool_call_output", "call_id": "c2", "output": "2"},
        {"type": "message", "role": "system", "content": "Now in French."},
    ]


@pytest.mark.parametrize("has_role", [True, False])
def test_the_developer_role_depends_on_the_upstream(has_role: bool) -> None:
    body, losses = encoded(msg("developer", Text(text="x")), quirks=Quirks(has_developer_role=has_role))
    assert body["input"][0]["role"] == ("developer" if has_role else "system")
    assert bool(losses) != has_role


def test_long_call_ids_are_shortened_in_calls_and_results() -> None:
    long = "toolu_" + "x" * 80
    body, _ = encoded(msg("assistant", ToolCall(id=long, name="f")), msg("tool", ToolResult(call_id=long)))
    call, result = body["input"]
    assert call["call_id"] == result["call_id"]
    assert len(call["call_id"]) <= 64


_TOKEN = Opaque(value="tok", origin=origin_of(DEPLOYMENT), dialect="openai_responses")


@pytest.mark.parametrize(
    ("token", "is_sent"),
    [
        (_TOKEN, True),
        (structs.replace(_TOKEN, origin=""), True),
        (structs.replace(_TOKEN, origin="elsewhere"), False),
        (structs.replace(_TOKEN, dialect="anthropic_messages"), False),
        (None, False),
    ],
)
def test_reasoning_is_sent_only_to_the_upstream_that_signed_it(token: Opaque | None, is_sent: bool) -> None:
    reasoning = Reasoning(summary=["s"], token=token, id="rs_1")
    body, losses = encoded(msg("assistant", reasoning, Text(text="a")))
    sent = [item for item in body["input"] if item["type"] == "reasoning"]
    expected = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "s"}]}
    assert sent == ([{**expected, "encrypted_content": "tok"}] if is_sent else [])
    assert bool(losses) != is_sent


@pytest.mark.parametrize(
    ("config", "reasoning", "includes_tokens"),
    [
        (None, None, False),
        (ReasoningConfig(effort="high"), {"effort": "high"}, True),
        (ReasoningConfig(effort="none", is_visible=True), {"effort": "none"}, False),
        (ReasoningConfig(is_enabled=False), {"effort": "none"}, False),
        (ReasoningConfig(is_enabled=True, budget_tokens=0), {"effort": "none"}, False),
        (ReasoningConfig(budget_tokens=1024), {"effort": "low"}, True),
        (ReasoningConfig(budget_tokens=8000, is_visible=True), {"effort": "medium", "summary": "auto"}, True),
        (ReasoningConfig(budget_tokens=32_000), {"effort": "high"}, True),
        (ReasoningConfig(budget_tokens=-1), None, True),
        (ReasoningConfig(is_adaptive=True), None, True),
        (ReasoningConfig(summary="detailed"), {"summary": "detailed"}, True),
    ],
)
def test_reasoning_settings_are_converted(
    config: ReasoningConfig | None, reasoning: dict[str, str] | None, includes_tokens: bool
) -> None:
    body, _ = encoded(reasoning=config)
    assert body.get("reasoning") == reasoning
    assert body.get("include", []) == (["reasoning.encrypted_content"] if includes_tokens else [])


def test_json_mode_adds_an_instruction_that_mentions_json() -> None:
    output = OutputFormat(kind="json_object")
    body, losses = encoded(output=output)
    assert body["text"] == {"format": {"type": "json_object"}}
    assert "JSON" in body["input"][-1]["content"]
    assert losses == ['output;how=converted;as="instruction in a system message"']
    body, losses = encoded(msg("user", Text(text="as json, please")), output=output)
    assert len(body["input"]) == 1
    assert losses == []


def test_a_schema_is_sent_unchanged() -> None:
    schema = {"type": "object", "properties": {"a": {"const": 1}}}
    output = OutputFormat(kind="json_schema", name="my answer!", schema=schema, is_strict=True, description="d")
    expected = {"type": "json_schema", "name": "my_answer_", "schema": schema, "description": "d", "strict": True}
    assert encoded(output=output)[0]["text"] == {"format": expected}


def test_long_user_ids_are_hashed() -> None:
    body, losses = encoded(user="u" * 65, cache_key="k")
    assert len(body["user"]) == 64
    assert body["prompt_cache_key"] == "k"
    assert losses == ['user;how=converted;as="its SHA-256"']


def test_unsupported_metadata_and_tiers_are_reported() -> None:
    body, losses = encoded(metadata={"a": "b", "n": 1}, service_tier="standard_only")
    assert body["metadata"] == {"a": "b"}
    assert losses == ["service_tier;how=dropped", 'metadata;how=clamped;as="at most 16 short strings"']


def test_cache_marks_are_sent_only_for_clients_of_the_same_dialect() -> None:
    part = Text(text="x", cache=CacheMark(ttl="5m"))
    assert encoded(msg("user", part))[1] == ['cache;how=converted;as="automatic caching"']
    body, losses = encoded(msg("user", part), dialect="openai_responses")
    assert body["input"][0]["content"][0]["prompt_cache_breakpoint"] == {"mode": "explicit", "ttl": "5m"}
    assert losses == []


def test_foreign_parts_are_reported_as_dropped() -> None:
    part = Foreign(dialect="anthropic_messages", kind="server_tool_use", raw={})
    body, losses = encoded(msg("assistant", part, Text(text="a")))
    assert body["input"] == [{"type": "message", "role": "assistant", "content": "a"}]
    assert losses == ["messages[].content[].server_tool_use;how=dropped"]


def test_quirks_are_applied() -> None:
    quirks = Quirks(refuses=frozenset({"top_p"}), renames=(("max_output_tokens", "max_tokens"),), max_temperature=1.0)
    body, losses = encoded(quirks=quirks, sampling=Sampling(top_p=0.5, max_output_tokens=30, temperature=1.5))
    assert (body["max_tokens"], body["temperature"], "top_p" in body) == (30, 1.0, False)
    assert losses == ['temperature;how=clamped;as="1.0"', "top_p;how=dropped"]


def test_encoding_does_not_change_the_conversation() -> None:
    """Every attempt is encoded from the same conversation."""
    body = {
        "model": "m",
        "input": [
            {"role": "user", "content": "x"},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        ],
        "tools": [{"type": "namespace", "name": "n", "description": "", "tools": [{"type": "function", "name": "f"}]}],
        "include": ["web_search_call.results"],
        "text": {"novel": 1},
    }
    conversation = CLIENT.decode(CLIENT.decode_request(json.dumps(body).encode(), EMPTY_CONTEXT))
    first = UPSTREAM.encode(conversation, DEPLOYMENT, LossReport())
    assert UPSTREAM.encode(conversation, DEPLOYMENT, LossReport()).body == first.body
    assert conversation == CLIENT.decode(CLIENT.decode_request(json.dumps(body).encode(), EMPTY_CONTEXT))


def test_a_relayed_request_changes_only_in_the_model() -> None:
    body = b'{ "input":"my model is \\"m\\"", "novel": 1.0e2,"model" : "m" }'
    call = CLIENT.decode_request(body, EMPTY_CONTEXT)
    request = UPSTREAM.relay_request(call, DEPLOYMENT)
    assert request.path == "/responses"
    assert request.body == body.replace(b': "m"', b': "up-1"')


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"output":null}',
        b'{"output":{}}',
        b'{"output":[5]}',
        b'{"output":[],"x":"\xff"}',
        b'{"output":[{"type":"function_call"}]}',
    ],
)
def test_an_invalid_response_is_malformed(body: bytes) -> None:
    with pytest.raises(errors.UpstreamMalformed):
        UPSTREAM.decode(body, DEPLOYMENT)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("rate_limit_exceeded", errors.UpstreamRateLimited),
        ("insufficient_quota", errors.UpstreamQuotaExhausted),
        ("invalid_prompt", errors.UpstreamRejected),
        ("image_too_large", errors.UpstreamRejected),
        ("context_length_exceeded", errors.UpstreamRejected),
        ("vector_store_timeout", errors.UpstreamTimeout),
        ("model_not_found", errors.UpstreamModelMissing),
        ("server_error", errors.UpstreamUnavailable),
        ("novel", errors.UpstreamUnavailable),
    ],
)
def test_the_code_of_a_failed_response_determines_the_error(code: str, error: type[errors.UpstreamError]) -> None:
    body = {"status": "failed", "output": [], "error": {"code": code, "message": "because"}}
    with pytest.raises(error, match="because"):
        UPSTREAM.decode(json.dumps(body).encode(), DEPLOYMENT)


def test_an_error_with_status_200_is_raised() -> None:
    with pytest.raises(errors.UpstreamUnavailable):
        UPSTREAM.decode(b'{"error":{"message":"no"}}', DEPLOYMENT)


def test_parts_in_unusual_messages_are_sent_or_reported() -> None:
    search = Foreign(dialect="openai_responses", kind="web_search_call", raw={"type": "web_search_call"})
    user_part = Foreign(dialect="openai_responses", kind="input_novel", raw={"type": "input_novel"})
    assistant_part = Foreign(dialect="openai_responses", kind="output_novel", raw={"type": "output_novel"})
    body, losses = encoded(
        msg("user", Text(text="a"), user_part, search, ToolResult(call_id="c", parts=[Text(text="r")])),
        msg("assistant", assistant_part, ToolResult(call_id="d", parts=[])),
        msg("tool", search, Text(text="lost")),
        dialect="openai_responses",
    )
    assert body["input"] == [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a"}, {"type": "input_novel"}]},
        {"type": "web_search_call"},
        {"type": "function_call_output", "call_id": "c", "output": "r"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_novel"}]},
        {"type": "function_call_output", "call_id": "d", "output": ""},
        {"type": "web_search_call"},
    ]
    assert losses == ["messages[].content[];how=dropped"]


def test_members_without_an_equivalent_are_reported() -> None:
    audio = Media(kind="audio", source=Source(data="aGk="), transcript="hi")
    body, losses = encoded(
        Message(role="user", name="Ann", parts=[Text(text="a"), Reasoning(text="hm")]),
        msg("user", Media(kind="document", source=Source(file_id="file-1"), detail="low", context="about")),
        msg("assistant", audio, Media(kind="image", source=Source(data="aGk="))),
        tools=[FunctionTool(name="f", cache=CacheMark())],
    )
    assert body["input"][1]["content"] == [{"type": "input_file", "detail": "low", "file_id": "file-1"}]
    assert body["input"][2] == {"type": "message", "role": "assistant", "content": "hi"}
    assert [loss.split(";")[0] for loss in losses] == [
        "messages[].name",
        "messages[].content[]",
        "messages[].content[].context",
        "messages[].content[].image",
        "cache",
    ]


def test_a_refusal_is_sent_as_a_refusal() -> None:
    body, _ = encoded(msg("assistant", Text(text="a"), Refusal(text="no")))
    content = [{"type": "output_text", "text": "a"}, {"type": "refusal", "refusal": "no"}]
    assert body["input"][0]["content"] == content


def test_a_choice_of_server_tools_is_unchanged_in_the_same_dialect() -> None:
    raw = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "mcp", "server_label": "docs"}]}
    body = {"model": "m", "input": "x", "tools": [{"type": "mcp", "server_label": "docs"}], "tool_choice": raw}
    conversation = CLIENT.decode(CLIENT.decode_request(json.dumps(body).encode(), EMPTY_CONTEXT))
    assert conversation.tool_choice == ToolChoice(mode="auto", allowed=[], raw=raw)
    assert json.loads(UPSTREAM.encode(conversation, DEPLOYMENT, LossReport()).body)["tool_choice"] == raw


def test_a_forced_function_is_sent_with_its_namespace() -> None:
    tools = [{"type": "namespace", "name": "fs", "description": "", "tools": [{"type": "function", "name": "read"}]}]
    choice = {"type": "function", "name": "read", "namespace": "fs"}
    body = {"model": "m", "input": "x", "tools": tools, "tool_choice": choice}
    conversation = CLIENT.decode(CLIENT.decode_request(json.dumps(body).encode(), EMPTY_CONTEXT))
    assert json.loads(UPSTREAM.encode(conversation, DEPLOYMENT, LossReport()).body)["tool_choice"] == choice
