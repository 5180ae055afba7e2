"""Ollama as an upstream: encoded requests, and decoded responses and streams."""

import json

import pytest

from intellirouter.core import LossReport, errors
from intellirouter.core.deployment import Deployment, UpstreamAddress
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
    Reasoning,
    ReasoningConfig,
    Refusal,
    Sampling,
    ServerTool,
    Source,
    Text,
    ToolCall,
    ToolChoice,
    ToolResult,
    collect,
)
from intellirouter.dialects.ollama import CLIENT, GENERATE_CLIENT, UPSTREAM
from tests.support.dialects.raising import RaisingDecoder

DEPLOYMENT = Deployment(
    name="local/qwen",
    provider="local",
    vendor="ollama",
    upstream_model="qwen3:8b",
    address=UpstreamAddress(base_url="http://127.0.0.1:11434"),
)
TOOLS = [FunctionTool(name="a"), FunctionTool(name="b", description="B", parameters={"type": "object"})]


def conversation(*messages, **more):
    return Conversation(
        dialect="openai_chat",
        model="m",
        messages=list(messages) or [Message(role="user", parts=[Text(text="Hi")])],
        **more,
    )


def encoded(*messages, **more):
    losses = LossReport()
    request = UPSTREAM.encode(conversation(*messages, **more), DEPLOYMENT, losses)
    return json.loads(request.body), [str(loss) for loss in losses.taken()]


def rejection(**more):
    with pytest.raises(errors.UnsupportedFeature) as caught:
        encoded(**more)
    return caught.value


def test_stream_is_always_set():
    assert encoded()[0]["stream"] is False
    assert encoded(is_stream=True)[0]["stream"] is True
    assert encoded()[0]["model"] == "qwen3:8b"


def test_sampling_parameters_become_options():
    sampling = Sampling(
        max_output_tokens=9,
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        min_p=0.1,
        stop=["x"],
        seed=1,
        presence_penalty=0.1,
        frequency_penalty=0.2,
        repetition_penalty=1.1,
        logprobs=True,
        top_logprobs=2,
    )
    body, losses = encoded(sampling=sampling)
    assert body["options"] == {
        "num_predict": 9,
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 40,
        "min_p": 0.1,
        "stop": ["x"],
        "seed": 1,
        "presence_penalty": 0.1,
        "frequency_penalty": 0.2,
        "repeat_penalty": 1.1,
    }
    assert (body["logprobs"], body["top_logprobs"]) == (True, 2)
    assert losses == []
    assert "options" not in encoded()[0]


def test_unsupported_parameters_are_reported():
    _, losses = encoded(
        sampling=Sampling(logit_bias={"1": 2.0}, verbosity="low"),
        user="u",
        metadata={"a": 1},
        service_tier="flex",
        cache_key="k",
        tool_choice=ToolChoice(is_parallel=False),
    )
    assert losses == [
        f"{name};how=dropped"
        for name in ("is_parallel", "logit_bias", "verbosity", "user", "metadata", "service_tier", "cache_key")
    ]


def test_tool_choice_none_omits_the_tools():
    body, losses = encoded(tools=TOOLS, tool_choice=ToolChoice(mode="none"))
    assert "tools" not in body
    assert losses == ['tool_choice;how=emulated;as="tools left out"']


def test_tool_choice_auto_and_allowed_tools():
    body, losses = encoded(tools=TOOLS, tool_choice=ToolChoice())
    assert [tool["function"]["name"] for tool in body["tools"]] == ["a", "b"]
    body, losses = encoded(tools=TOOLS, tool_choice=ToolChoice(allowed=["b"]))
    assert body["tools"] == [
        {"type": "function", "function": {"name": "b", "description": "B", "parameters": {"type": "object"}}}
    ]
    assert [loss.partition(";")[0] for loss in losses] == ["tool_choice"]


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"tools": TOOLS, "tool_choice": ToolChoice(mode="required")}, "tool_choice"),
        ({"tools": TOOLS, "tool_choice": ToolChoice(mode="named", name="a")}, "tool_choice"),
        ({"sampling": Sampling(n=2)}, "n"),
        ({"modalities": ["text", "audio"]}, "modalities"),
    ],
)
def test_unsupported_features_are_rejected(more, param):
    error = rejection(**more)
    assert error.param == param
    assert "local/qwen" in error.message


def test_custom_tools_become_functions_with_one_argument():
    grammar = {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: X"}}
    body, losses = encoded(tools=[CustomTool(name="c", description="C", format=grammar)])
    function = body["tools"][0]["function"]
    assert function["parameters"]["required"] == ["input"]
    assert "start: X" in function["parameters"]["properties"]["input"]["description"]
    assert losses == ['tools;how=emulated;as="free text sent as argument input"']
    assert "tools" not in encoded(tools=[CustomTool(name="c")], tool_choice=ToolChoice(allowed=["x"]))[0]


def media(kind="image", **source):
    return Message(role="user", parts=[Text(text="What?"), Media(kind=kind, source=Source(**source), detail="low")])


def test_images_are_sent_as_base64():
    body, losses = encoded(media(data="aGk=", media_type="image/png"))
    assert body["messages"] == [{"role": "user", "content": "What?", "images": ["aGk="]}]
    assert losses == ["messages[].content[].detail;how=dropped"]


@pytest.mark.parametrize(
    "message",
    [
        media(url="https://x.org/a.png"),
        media(file_id="file-1"),
        media("document", data="aGk=", media_type="application/pdf"),
        media("video", data="aGk="),
    ],
)
def test_unsupported_media_are_rejected(message):
    with pytest.raises(errors.UnsupportedFeature):
        encoded(message)


def test_text_documents_become_text():
    body, losses = encoded(media("document", text="Read me."))
    assert body["messages"][0]["content"] == "What?\nRead me."
    assert losses == ['messages[].content[].document;how=converted;as="text"']


def test_server_tools_are_dropped_and_reported():
    body, losses = encoded(tools=[ServerTool(dialect="openai_responses", kind="web_search", raw={}), TOOLS[0]])
    assert len(body["tools"]) == 1
    assert losses == ['tools[].web_search;how=dropped;as="only its vendor runs it"']


def test_empty_arguments_become_an_object():
    calls = [ToolCall(id="1", name="a", arguments=""), ToolCall(id="2", name="b", arguments='{"x":1}')]
    body, losses = encoded(Message(role="assistant", parts=[Text(text="A"), Text(text="B"), *calls]))
    assert body["messages"] == [
        {
            "role": "assistant",
            "content": "AB",
            "tool_calls": [
                {"function": {"index": 0, "name": "a", "arguments": {}}, "id": "1"},
                {"function": {"index": 1, "name": "b", "arguments": {"x": 1}}, "id": "2"},
            ],
        }
    ]
    assert losses == []


def test_invalid_and_custom_arguments_in_the_history():
    calls = [ToolCall(id="1", name="a", arguments="{"), ToolCall(id="2", name="b", arguments="free", kind="custom")]
    body, losses = encoded(Message(role="assistant", parts=calls))
    written = [call["function"]["arguments"] for call in body["messages"][0]["tool_calls"]]
    assert written == [{"_raw": "{"}, {"input": "free"}]
    assert len(losses) == 1


def test_calls_without_an_id_and_misplaced_results():
    stray = ToolResult(call_id="9", parts=[Text(text="x")])
    body, _ = encoded(Message(role="assistant", parts=[ToolCall(id="", name="a"), stray]))
    assert "id" not in body["messages"][0]["tool_calls"][0]


def test_cache_marks_of_results_are_reported():
    _, losses = encoded(Message(role="tool", parts=[ToolResult(call_id="1", cache=CacheMark())]))
    assert losses == ["cache;how=dropped"]


def test_results_contain_tool_name_and_call_id():
    body, losses = encoded(
        Message(role="assistant", parts=[ToolCall(id="1", name="a"), ToolCall(id="2", name="b")]),
        Message(role="tool", parts=[ToolResult(call_id="2", parts=[Text(text="x"), Text(text="y")])]),
        Message(role="tool", parts=[ToolResult(call_id="1", parts=[Text(text="boom")], is_error=True)]),
        Message(role="tool", parts=[ToolResult(call_id="9", name="z", parts=[Text(text="Error 3")], is_error=True)]),
    )
    assert body["messages"][1:] == [
        {"role": "tool", "content": "x\ny", "tool_call_id": "2", "tool_name": "b"},
        {"role": "tool", "content": "Error: boom", "tool_call_id": "1", "tool_name": "a"},
        {"role": "tool", "content": "Error 3", "tool_call_id": "9", "tool_name": "z"},
    ]
    assert losses == ['messages[].content[].is_error;how=converted;as="part of the text"']


def test_images_of_results_are_sent_after_all_results():
    image = Media(kind="image", source=Source(data="aGk="))
    note = Media(kind="document", source=Source(text="note"))
    body, _ = encoded(
        Message(role="tool", parts=[ToolResult(call_id="1", parts=[image]), ToolResult(call_id="2", parts=[note])]),
        Message(role="user", parts=[Text(text="And?")]),
        Message(role="tool", parts=[ToolResult(call_id="3", parts=[image])]),
    )
    assert [(each["role"], each["content"], each.get("images")) for each in body["messages"]] == [
        ("tool", "", None),
        ("tool", "note", None),
        ("user", "What the tools returned:", ["aGk="]),
        ("user", "And?", None),
        ("tool", "", None),
        ("user", "What the tools returned:", ["aGk="]),
    ]


def test_all_kinds_of_messages():
    mark = CacheMark()
    body, losses = encoded(
        Message(role="developer", parts=[Text(text="D"), Text(text="E", cache=mark)], name="x"),
        Message(
            role="assistant",
            parts=[
                Reasoning(text="T", token=Opaque("sig", dialect="anthropic_messages")),
                Reasoning(token=Opaque("only")),
                Reasoning(summary=["s"]),
                Refusal(text="No."),
                Foreign(dialect="gemini", kind="executableCode", raw={}),
            ],
        ),
        Message(role="system", parts=[Text(text="S")]),
    )
    assert body["messages"] == [
        {"role": "system", "content": "D\nE"},
        {"role": "assistant", "content": "No.", "thinking": "Ts"},
        {"role": "system", "content": "S"},
    ]
    assert [loss.partition(";")[0] for loss in losses] == [
        "messages[].name",
        "messages[].reasoning",
        "messages[].content[].executableCode",
        "cache",
    ]


@pytest.mark.parametrize(
    ("config", "think", "losses"),
    [
        (ReasoningConfig(), None, []),
        (ReasoningConfig(is_enabled=True), True, []),
        (ReasoningConfig(is_enabled=False), False, []),
        (ReasoningConfig(effort="none"), False, []),
        (ReasoningConfig(effort="low"), "low", []),
        (ReasoningConfig(effort="max"), "max", []),
        (ReasoningConfig(effort="minimal"), "low", ['reasoning.effort;how=clamped;as="low"']),
        (ReasoningConfig(effort="xhigh"), "high", ['reasoning.effort;how=clamped;as="high"']),
        (ReasoningConfig(effort="novel"), True, ['reasoning.effort;how=clamped;as="on"']),
        (ReasoningConfig(is_adaptive=True), True, []),
        (ReasoningConfig(budget_tokens=0), False, []),
        (
            ReasoningConfig(budget_tokens=99),
            True,
            ['reasoning.budget_tokens;how=converted;as="reasoning can only be on or off"'],
        ),
        (ReasoningConfig(effort="low", summary="auto"), "low", ["reasoning.summary;how=dropped"]),
    ],
)
def test_reasoning_settings(config, think, losses):
    body, found = encoded(reasoning=config)
    assert body.get("think") == think
    assert found == losses


def test_output_formats():
    schema = {"type": "object"}
    assert encoded(output=OutputFormat(kind="json_schema", schema=schema, name="x"))[0]["format"] == schema
    assert encoded(output=OutputFormat(kind="json_object"))[0]["format"] == "json"
    assert encoded(output=OutputFormat(kind="json_schema"))[0]["format"] == "json"
    assert "format" not in encoded(output=OutputFormat(kind="text"))[0]


def test_strict_tools_and_cache_marks_are_reported():
    _, losses = encoded(tools=[FunctionTool(name="a", is_strict=True, cache=CacheMark())])
    assert losses == ["tools[].strict;how=dropped", "cache;how=dropped"]


def test_encoding_does_not_change_the_conversation():
    original = conversation(tools=TOOLS, tool_choice=ToolChoice(allowed=["a"]))
    before = repr(original)
    UPSTREAM.encode(original, DEPLOYMENT, LossReport())
    assert repr(original) == before


def test_extras_are_sent_only_within_the_dialect():
    extras = {"options.num_ctx": 4096, "keep_alive": 5, "template": "x"}
    losses = LossReport()
    original = Conversation(dialect="ollama", model="m", extras=extras)
    body = json.loads(UPSTREAM.encode(original, DEPLOYMENT, losses).body)
    assert (body["options"], body["keep_alive"], "template" in body) == ({"num_ctx": 4096}, 5, False)
    assert [loss.field for loss in losses.taken()] == ["template"]
    assert "keep_alive" not in encoded(extras=extras)[0]


def test_relayed_requests_change_only_the_model():
    body = b'{ "model" : "m", "messages": [{"role":"user","content":"\\u0048i"}], "x": 1.50 }'
    request = UPSTREAM.relay_request(CLIENT.decode_request(body), DEPLOYMENT)
    assert (request.path, request.body) == ("/api/chat", body.replace(b'"m"', b'"qwen3:8b"'))
    prompt = b'{"model":"qwen3:8b","prompt":"Hi"}'
    request = UPSTREAM.relay_request(GENERATE_CLIENT.decode_request(prompt), DEPLOYMENT)
    assert (request.path, request.body) == ("/api/generate", prompt)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"3",
        b"{}",
        b'{"done":true}',
        b'{"message":[]}',
        b'{"message":{"content":5}}',
        b'{"message":{"tool_calls":[{"function":{}}]}}',
        b'{"message":{"tool_calls":{}}}',
        b'{"message":{"content":"\xff"}}',
        b'{"message":{"content":"a"},"x":"\xff"}',
        b'{"message":{"content":"\\ud800"}}',
        b'{"message":{"content":"a"},"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_invalid_responses_are_malformed(body):
    with pytest.raises(errors.UpstreamMalformed):
        UPSTREAM.decode(body, DEPLOYMENT)


@pytest.mark.parametrize(
    "data", [b"<html>\n", b"[]\n", b'data: {"x":1}\n', b'{"message":{"content":5}}\n', b'{"x":"\xff"}\n', b"{\n"]
)
def test_invalid_lines_are_malformed(data):
    with pytest.raises(errors.UpstreamMalformed):
        RaisingDecoder(UPSTREAM.stream(DEPLOYMENT)).feed(data)


def test_errors_with_status_200_and_in_streams():
    with pytest.raises(errors.UpstreamUnavailable, match="broke"):
        UPSTREAM.decode(b'{"error":"it broke"}', DEPLOYMENT)
    decoder = RaisingDecoder(UPSTREAM.stream(DEPLOYMENT))
    decoder.feed(b'{"message":{"content":"a"},"done":false}\n')
    with pytest.raises(errors.UpstreamUnavailable, match="it broke"):
        decoder.feed(b'{"error":"it broke"}\n')


def test_incomplete_responses_have_no_stop_reason():
    assert UPSTREAM.decode(b'{"message":{"content":"a"},"done":false}', DEPLOYMENT).choices[0].stop is None


def test_an_image_in_a_stream_is_a_part():
    decoder = RaisingDecoder(UPSTREAM.stream(DEPLOYMENT))
    events = decoder.feed(b'{"message":{"content":"","images":["aGk="]},"done":true}\n') + decoder.end()
    assert collect(events).choices[0].parts == [Media(kind="image", source=Source(data="aGk="))]


def test_an_empty_line_has_no_content():
    decoder = RaisingDecoder(UPSTREAM.stream(DEPLOYMENT))
    assert [type(event).__name__ for event in decoder.feed(b"{}\n")] == ["StreamStarted"]


def test_the_splitter_returns_complete_lines():
    splitter = UPSTREAM.splitter()
    assert splitter.feed(b'{"a":1}\n{"b"') == b'{"a":1}\n'
    assert splitter.rest() == b'{"b"'
