"""Traps of asking an upstream of the responses dialect on behalf of clients of other dialects."""

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


def said(*messages: Message, quirks: Quirks | None = None, **settings: Any) -> tuple[dict[str, Any], list[str]]:
    """Return the request's body and the losses."""
    asked = list(messages) or [Message(role="user", parts=[Text(text="x")])]
    settings = {"dialect": "openai_chat", "model": "m", "messages": asked} | settings
    losses = LossReport()
    deployment = DEPLOYMENT if quirks is None else structs.replace(DEPLOYMENT, quirks=quirks)
    request = UPSTREAM.encode(Conversation(**settings), deployment, losses)
    assert request.path == "/responses"
    return json.loads(request.body), [str(loss) for loss in losses.taken()]


def say(role: Role, *parts: Part) -> Message:
    return Message(role=role, parts=list(parts))


def test_nothing_is_stored_unless_asked() -> None:
    assert said()[0]["store"] is False
    assert said(dialect="openai_responses", extras={"store": True})[0]["store"] is True


def test_functions_are_not_strict_unless_asked() -> None:
    """Unsaid, this dialect means strict, and refuses schemas that other dialects allow."""
    tools = [FunctionTool(name="f", parameters={}), FunctionTool(name="g", is_strict=True)]
    body, _ = said(tools=tools)
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
    body, losses = said(tools=[FunctionTool(name="f"), CustomTool(name="p")], tool_choice=choice)
    assert body["tool_choice"] == expected
    assert losses == []


def test_no_choice_is_sent_without_tools() -> None:
    body, _ = said(tool_choice=ToolChoice(mode="none", is_parallel=False))
    assert not {"tools", "tool_choice", "parallel_tool_calls"} & body.keys()


def test_another_vendors_tools_are_dropped_and_said() -> None:
    tool = ServerTool(dialect="anthropic_messages", kind="web_search_20250305", raw={})
    assert said(tools=[tool]) == (said()[0], ["tools[].web_search_20250305;how=dropped"])


@pytest.mark.parametrize("choice", [ToolChoice(mode="named", name="web_search", raw={}), ToolChoice(mode="required")])
def test_a_forced_tool_of_another_vendor_is_refused(choice: ToolChoice) -> None:
    tool = ServerTool(dialect="anthropic_messages", kind="web_search_20250305", raw={})
    with pytest.raises(errors.UnsupportedFeature) as caught:
        said(tools=[tool], tool_choice=choice, dialect="anthropic_messages")
    assert caught.value.param == "tool_choice"


def test_knobs_that_it_does_not_know_are_dropped_and_said() -> None:
    knobs = Sampling(
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
    body, losses = said(sampling=knobs)
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
def test_what_is_relied_on_is_refused(settings: dict[str, Any], param: str) -> None:
    with pytest.raises(errors.UnsupportedFeature) as caught:
        said(**settings)
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
def test_media_that_it_cannot_see_are_refused(media: Media) -> None:
    with pytest.raises(errors.UnsupportedFeature):
        said(say("user", media), dialect="anthropic_messages")


def test_media_are_sent_in_its_forms() -> None:
    body, _ = said(
        say(
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


def test_pictures_in_tool_results_stay_in_them() -> None:
    picture = Media(kind="image", source=Source(data="aGk=", media_type="image/png"))
    body, _ = said(say("tool", ToolResult(call_id="c", parts=[Text(text="see"), picture])))
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


def test_a_failed_tool_says_so_and_it_is_reported() -> None:
    body, losses = said(say("tool", ToolResult(call_id="c", is_error=True)))
    assert body["input"][0]["output"] == "The tool failed."
    assert losses == ['messages[].content[].is_error;how=converted;as="text"']


def test_a_limit_below_the_least_is_raised_and_it_is_said() -> None:
    assert said(sampling=Sampling(max_output_tokens=1)) == (
        said(sampling=Sampling(max_output_tokens=16))[0],
        ['max_output_tokens;how=clamped;as="16"'],
    )


def test_turns_become_items_in_order() -> None:
    body, _ = said(
        say("system", Text(text="Be brief.")),
        say("user", Text(text="Hi")),
        say(
            "assistant",
            Text(text="Wait."),
            ToolCall(id="c1", name="f", arguments=""),
            ToolCall(id="c2", name="p", arguments="free", kind="custom"),
        ),
        say(
            "tool",
            ToolResult(call_id="c1", parts=[Text(text="1")]),
            ToolResult(call_id="c2", parts=[Text(text="2")], kind="custom"),
        ),
        say("system", Text(text="Now in French.")),
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
def test_the_developer_role_is_for_who_knows_it(has_role: bool) -> None:
    body, losses = said(say("developer", Text(text="x")), quirks=Quirks(has_developer_role=has_role))
    assert body["input"][0]["role"] == ("developer" if has_role else "system")
    assert bool(losses) != has_role


def test_long_call_ids_are_shortened_alike() -> None:
    long = "toolu_" + "x" * 80
    body, _ = said(say("assistant", ToolCall(id=long, name="f")), say("tool", ToolResult(call_id=long)))
    call, result = body["input"]
    assert call["call_id"] == result["call_id"]
    assert len(call["call_id"]) <= 64


_OURS = Opaque(value="tok", origin=origin_of(DEPLOYMENT), dialect="openai_responses")


@pytest.mark.parametrize(
    ("token", "is_sent"),
    [
        (_OURS, True),
        (structs.replace(_OURS, origin=""), True),
        (structs.replace(_OURS, origin="elsewhere"), False),
        (structs.replace(_OURS, dialect="anthropic_messages"), False),
        (None, False),
    ],
)
def test_thoughts_go_back_only_to_who_signed_them(token: Opaque | None, is_sent: bool) -> None:
    thought = Reasoning(summary=["s"], token=token, id="rs_1")
    body, losses = said(say("assistant", thought, Text(text="a")))
    sent = [item for item in body["input"] if item["type"] == "reasoning"]
    expected = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "s"}]}
    assert sent == ([{**expected, "encrypted_content": "tok"}] if is_sent else [])
    assert bool(losses) != is_sent


@pytest.mark.parametrize(
    ("asked", "reasoning", "keeps_tokens"),
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
def test_thinking_is_asked_for_in_its_words(
    asked: ReasoningConfig | None, reasoning: dict[str, str] | None, keeps_tokens: bool
) -> None:
    body, _ = said(reasoning=asked)
    assert body.get("reasoning") == reasoning
    assert body.get("include", []) == (["reasoning.encrypted_content"] if keeps_tokens else [])


def test_json_mode_speaks_of_json() -> None:
    asked = OutputFormat(kind="json_object")
    body, losses = said(output=asked)
    assert body["text"] == {"format": {"type": "json_object"}}
    assert "JSON" in body["input"][-1]["content"]
    assert losses == ['output;how=converted;as="an instruction was added"']
    body, losses = said(say("user", Text(text="as json, please")), output=asked)
    assert len(body["input"]) == 1
    assert losses == []


def test_a_schema_is_never_weakened() -> None:
    schema = {"type": "object", "properties": {"a": {"const": 1}}}
    asked = OutputFormat(kind="json_schema", name="my answer!", schema=schema, is_strict=True, description="d")
    form = {"type": "json_schema", "name": "my_answer_", "schema": schema, "description": "d", "strict": True}
    assert said(output=asked)[0]["text"] == {"format": form}


def test_long_users_are_hashed_and_it_is_said() -> None:
    body, losses = said(user="u" * 65, cache_key="k")
    assert len(body["user"]) == 64
    assert body["prompt_cache_key"] == "k"
    assert losses == ['user;how=converted;as="hashed"']


def test_metadata_and_tier_are_sent_as_far_as_they_go() -> None:
    body, losses = said(metadata={"a": "b", "n": 1}, service_tier="standard_only")
    assert body["metadata"] == {"a": "b"}
    assert losses == ["service_tier;how=dropped", 'metadata;how=clamped;as="16 short texts"']


def test_cache_marks_are_this_dialects_only() -> None:
    part = Text(text="x", cache=CacheMark(ttl="5m"))
    assert said(say("user", part))[1] == ['cache;how=converted;as="automatic caching"']
    body, losses = said(say("user", part), dialect="openai_responses")
    assert body["input"][0]["content"][0]["prompt_cache_breakpoint"] == {"mode": "explicit", "ttl": "5m"}
    assert losses == []


def test_foreign_parts_are_said() -> None:
    part = Foreign(dialect="anthropic_messages", kind="server_tool_use", raw={})
    body, losses = said(say("assistant", part, Text(text="a")))
    assert body["input"] == [{"type": "message", "role": "assistant", "content": "a"}]
    assert losses == ["messages[].content[].server_tool_use;how=dropped"]


def test_quirks_are_minded() -> None:
    quirks = Quirks(refuses=frozenset({"top_p"}), renames=(("max_output_tokens", "max_tokens"),), max_temperature=1.0)
    body, losses = said(quirks=quirks, sampling=Sampling(top_p=0.5, max_output_tokens=30, temperature=1.5))
    assert (body["max_tokens"], body["temperature"], "top_p" in body) == (30, 1.0, False)
    assert losses == ['temperature;how=clamped;as="1.0"', "top_p;how=dropped"]


def test_encoding_is_read_only() -> None:
    """Every attempt is encoded from the same form."""
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


def test_a_relayed_request_keeps_every_byte_but_the_model() -> None:
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
def test_a_malformed_answer_is_said_to_be_one(body: bytes) -> None:
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
def test_a_failed_response_is_an_error_of_its_class(code: str, error: type[errors.UpstreamError]) -> None:
    body = {"status": "failed", "output": [], "error": {"code": code, "message": "because"}}
    with pytest.raises(error, match="because"):
        UPSTREAM.decode(json.dumps(body).encode(), DEPLOYMENT)


def test_an_error_under_200_is_seen() -> None:
    with pytest.raises(errors.UpstreamUnavailable):
        UPSTREAM.decode(b'{"error":{"message":"no"}}', DEPLOYMENT)


def test_what_stands_in_odd_places_is_sent_or_said() -> None:
    search = Foreign(dialect="openai_responses", kind="web_search_call", raw={"type": "web_search_call"})
    smell = Foreign(dialect="openai_responses", kind="input_smell", raw={"type": "input_smell"})
    trace = Foreign(dialect="openai_responses", kind="output_smell", raw={"type": "output_smell"})
    body, losses = said(
        say("user", Text(text="a"), smell, search, ToolResult(call_id="c", parts=[Text(text="r")])),
        say("assistant", trace, ToolResult(call_id="d", parts=[])),
        say("tool", search, Text(text="lost")),
        dialect="openai_responses",
    )
    assert body["input"] == [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a"}, {"type": "input_smell"}]},
        {"type": "web_search_call"},
        {"type": "function_call_output", "call_id": "c", "output": "r"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_smell"}]},
        {"type": "function_call_output", "call_id": "d", "output": ""},
        {"type": "web_search_call"},
    ]
    assert losses == ["messages[].content[];how=dropped"]


def test_what_a_turn_cannot_hold_is_said() -> None:
    sound = Media(kind="audio", source=Source(data="aGk="), transcript="hi")
    body, losses = said(
        Message(role="user", name="Ann", parts=[Text(text="a"), Reasoning(text="hm")]),
        say("user", Media(kind="document", source=Source(file_id="file-1"), detail="low", context="about")),
        say("assistant", sound, Media(kind="image", source=Source(data="aGk="))),
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


def test_a_refusal_goes_back_as_one() -> None:
    body, _ = said(say("assistant", Text(text="a"), Refusal(text="no")))
    content = [{"type": "output_text", "text": "a"}, {"type": "refusal", "refusal": "no"}]
    assert body["input"][0]["content"] == content


def test_a_choice_of_ones_own_vendors_tool_is_sent_as_it_came() -> None:
    raw = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "mcp", "server_label": "docs"}]}
    asked = {"model": "m", "input": "x", "tools": [{"type": "mcp", "server_label": "docs"}], "tool_choice": raw}
    conversation = CLIENT.decode(CLIENT.decode_request(json.dumps(asked).encode(), EMPTY_CONTEXT))
    assert conversation.tool_choice == ToolChoice(mode="auto", allowed=[], raw=raw)
    assert json.loads(UPSTREAM.encode(conversation, DEPLOYMENT, LossReport()).body)["tool_choice"] == raw


def test_a_named_function_of_a_namespace_is_pointed_at_with_it() -> None:
    tools = [{"type": "namespace", "name": "fs", "description": "", "tools": [{"type": "function", "name": "read"}]}]
    choice = {"type": "function", "name": "read", "namespace": "fs"}
    asked = {"model": "m", "input": "x", "tools": tools, "tool_choice": choice}
    conversation = CLIENT.decode(CLIENT.decode_request(json.dumps(asked).encode(), EMPTY_CONTEXT))
    assert json.loads(UPSTREAM.encode(conversation, DEPLOYMENT, LossReport()).body)["tool_choice"] == choice
