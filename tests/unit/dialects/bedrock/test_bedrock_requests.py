"""Conversations are written as requests for Converse."""

import json

import pytest

from intellirouter.core import LossReport, errors
from intellirouter.dialects.bedrock import UPSTREAM
from intellirouter.dialects.ir import (
    CacheMark,
    CustomTool,
    Foreign,
    FunctionTool,
    Media,
    Message,
    Opaque,
    OutputFormat,
    Reasoning,
    Refusal,
    Sampling,
    ServerTool,
    Source,
    Text,
    ToolCall,
    ToolChoice,
    ToolResult,
    origin_of,
)
from tests.support.dialects.bedrock import (
    ADAPTIVE,
    HISTORY,
    LLAMA,
    NOVA,
    TOOLS,
    WRAPPED_PREFIX,
    assistant,
    conversation,
    deployment,
    encode,
    result,
    user,
)


def test_the_model_is_quoted_in_paths():
    request = UPSTREAM.encode(conversation(), deployment(), LossReport())
    assert request.path == "/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse"
    arn = deployment("arn:aws:bedrock:us-east-1:1:inference-profile/x")
    request = UPSTREAM.encode(conversation(is_stream=True), arn, LossReport())
    assert request.path == "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fx/converse-stream"
    assert json.loads(request.body) == {"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}


def test_sampling_parameters():
    sampling = Sampling(max_output_tokens=9, temperature=0.5, top_k=40, stop=["END", " "])
    body, losses = encode(sampling=sampling)
    assert body["inferenceConfig"] == {"maxTokens": 9, "temperature": 0.5, "stopSequences": ["END"]}
    assert body["additionalModelRequestFields"] == {"top_k": 40}
    assert body["additionalModelResponseFieldPaths"] == ["/stop_sequence"]
    assert losses == ['stop;how=dropped;as="white space only"']


@pytest.mark.parametrize(
    ("model", "fields", "losses"),
    [
        (NOVA, {"inferenceConfig": {"topK": 40}}, ["seed", "presence_penalty"]),
        ("cohere.command-r-v1:0", {"k": 40, "seed": 1, "presence_penalty": 0.5}, []),
        ("mistral.mistral-large-2402-v1:0", {"top_k": 40}, ["presence_penalty", "seed"]),
        (LLAMA, None, ["top_k", "presence_penalty", "seed"]),
    ],
)
def test_sampling_parameters_depend_on_the_model_family(model, fields, losses):
    sampling = Sampling(top_k=40, presence_penalty=0.5, seed=1, top_p=0.9)
    body, found = encode(model=model, sampling=sampling)
    assert body.get("additionalModelRequestFields") == fields
    assert body["inferenceConfig"] == {"topP": 0.9}
    assert sorted(found) == sorted(f"{name};how=dropped" for name in losses)


def test_temperature_is_clamped_and_excludes_top_p():
    body, losses = encode(sampling=Sampling(temperature=1.7, top_p=0.5))
    assert body["inferenceConfig"] == {"temperature": 1}
    assert losses == ['temperature;how=clamped;as="1"', 'top_p;how=dropped;as="not allowed with temperature"']
    body, losses = encode(model=ADAPTIVE, sampling=Sampling(temperature=0.5))
    assert "inferenceConfig" not in body
    assert losses == ['temperature;how=dropped;as="not supported by this model"']


def test_unsupported_parameters_are_reported():
    _, losses = encode(
        tools=TOOLS,
        tool_choice=ToolChoice(is_parallel=False),
        sampling=Sampling(
            min_p=0.1, repetition_penalty=1.1, logit_bias={"1": 1.0}, verbosity="low", frequency_penalty=0
        ),
        user="u",
        cache_key="k",
        service_tier="scale",
    )
    assert losses == [
        f"{name};how=dropped"
        for name in (
            "is_parallel",
            "min_p",
            "repetition_penalty",
            "logit_bias",
            "verbosity",
            "service_tier",
            "user",
            "cache_key",
        )
    ]


def test_service_tiers_and_metadata():
    body, losses = encode(service_tier="flex", metadata={"team": "a b"})
    assert (body["serviceTier"], body["requestMetadata"]) == ({"type": "flex"}, {"team": "a b"})
    assert losses == []
    body, losses = encode(service_tier="auto", metadata={"n": 3, "ok": "x", "bad": "(y)"})
    assert ("serviceTier" in body, body["requestMetadata"]) == (False, {"ok": "x"})
    assert losses == ['metadata;how=clamped;as="at most 16 short strings of plain characters"']
    assert "requestMetadata" not in encode(metadata={"n": 3})[0]


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"sampling": Sampling(n=2)}, "n"),
        ({"sampling": Sampling(logprobs=True)}, "logprobs"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"tools": TOOLS, "tool_choice": ToolChoice(raw={"type": "web_search"})}, "tool_choice"),
    ],
)
def test_unsupported_features_are_rejected(members, param):
    with pytest.raises(errors.UnsupportedFeature) as caught:
        encode(**members)
    assert caught.value.param == param


def test_tools():
    body, losses = encode(tools=TOOLS)
    assert body["toolConfig"] == {
        "tools": [
            {"toolSpec": {"name": "a", "inputSchema": {"json": {"type": "object", "properties": {}}}}},
            {
                "toolSpec": {
                    "name": "b",
                    "inputSchema": {"json": {"type": "object", "properties": {}, "additionalProperties": False}},
                    "strict": True,
                    "description": "B",
                }
            },
        ]
    }
    assert losses == []


@pytest.mark.parametrize(
    ("choice", "written", "names"),
    [
        (ToolChoice(), {"auto": {}}, ["a", "b"]),
        (ToolChoice(mode="required"), {"any": {}}, ["a", "b"]),
        (ToolChoice(mode="named", name="b"), {"tool": {"name": "b"}}, ["a", "b"]),
        (ToolChoice(allowed=["a"]), {"auto": {}}, ["a"]),
        (ToolChoice(mode="required", allowed=["b"]), {"tool": {"name": "b"}}, ["b"]),
        (ToolChoice(mode="required", allowed=["a", "b"]), {"any": {}}, ["a", "b"]),
    ],
)
def test_tool_choices(choice, written, names):
    config = encode(tools=TOOLS, tool_choice=choice)[0]["toolConfig"]
    assert config["toolChoice"] == written
    assert [tool["toolSpec"]["name"] for tool in config["tools"]] == names


def test_server_tools_and_custom_tools():
    tools = [ServerTool(dialect="openai_responses", kind="web_search", raw={}), CustomTool(name="c", description="C")]
    body, losses = encode(tools=tools)
    spec = body["toolConfig"]["tools"][0]["toolSpec"]
    assert (spec["name"], spec["description"], spec["inputSchema"]["json"]["required"]) == ("c", "C", ["input"])
    assert losses == [
        'tools[].web_search;how=dropped;as="only its vendor runs it"',
        'tools;how=emulated;as="free text sent as argument input"',
    ]


def test_tool_choice_none_leaves_the_tools_out():
    body, losses = encode(tools=TOOLS, tool_choice=ToolChoice(mode="none"))
    assert "toolConfig" not in body
    assert losses == ['tool_choice;how=emulated;as="tools left out"']


def test_tool_choice_none_after_calls_sends_them_as_text():
    body, losses = encode(*HISTORY, tools=TOOLS, tool_choice=ToolChoice(mode="none"))
    assert "toolConfig" not in body
    assert body["messages"][1]["content"][1] == {"text": '[called the tool a with {"x":1}]'}
    assert body["messages"][2]["content"][:2] == [{"text": "[the tool b returned:]"}, {"text": "sunny"}]
    assert 'tool_choice;how=emulated;as="tools left out"' in losses


def test_tools_of_the_history_are_declared():
    body, losses = encode(*HISTORY)
    assert [tool["toolSpec"]["name"] for tool in body["toolConfig"]["tools"]] == ["a", "b"]
    assert losses == ['tools;how=emulated;as="tools of earlier calls are declared"']
    body, _ = encode(user("x"), result("1", "lost"))
    assert body["toolConfig"]["tools"][0]["toolSpec"]["name"] == "unknown_tool"


def test_calls_and_results():
    body, losses = encode(*HISTORY, user("And?"), tools=TOOLS)
    assert body["messages"] == [
        {"role": "user", "content": [{"text": "Weather?"}]},
        {
            "role": "assistant",
            "content": [
                {"text": "Let me see."},
                {"toolUse": {"toolUseId": "call_1", "name": "a", "input": {"x": 1}}},
                {"toolUse": {"toolUseId": "call_1_2", "name": "b", "input": {}}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"toolResult": {"toolUseId": "call_1_2", "content": [{"text": "sunny"}]}},
                {"toolResult": {"toolUseId": "call_1", "content": [{"text": "rain"}], "status": "error"}},
                {"text": "And?"},
            ],
        },
    ]
    assert losses == []


def test_odd_calls_and_results():
    image = Media(kind="image", source=Source(data="iVBORw0KGgoAAAAN"))
    body, losses = encode(
        user("x"),
        assistant(
            ToolCall(id="1", name="a", arguments="{"), ToolCall(id="2", name="c", arguments="free", kind="custom")
        ),
        user("first"),
        result("1", "", is_error=True),
        result("2", image, " "),
        model=LLAMA,
        tools=TOOLS,
    )
    assert [block["toolUse"]["input"] for block in body["messages"][1]["content"]] == [{"_raw": "{"}, {"input": "free"}]
    assert body["messages"][2]["content"] == [
        {"toolResult": {"toolUseId": "1", "content": [{"text": "Error:"}]}},
        {
            "toolResult": {
                "toolUseId": "2",
                "content": [{"image": {"format": "png", "source": {"bytes": "iVBORw0KGgoAAAAN"}}}],
            }
        },
        {"text": "first"},
    ]
    assert [loss.partition(";")[0] for loss in losses] == [
        "messages[].tool_calls[].arguments",
        "messages[].content[].is_error",
    ]
    body, _ = encode(user("x"), result("1", "  "))
    assert body["messages"][0]["content"][0]["toolResult"]["content"] == [{"text": "(no text)"}]


def test_turns_alternate_and_none_is_empty():
    body, losses = encode(
        Message(role="system", parts=[Text(text="S", cache=CacheMark(ttl="1h")), Text(text="T")]),
        Message(role="developer", parts=[Text(text="D")]),
        assistant("A"),
        user("one"),
        user(" "),
        Message(role="system", parts=[Text(text="later")]),
        Message(role="user", parts=[Text(text="two")], name="bob"),
        assistant(""),
        assistant("prefill ", Refusal(text="No. ")),
    )
    assert body["system"] == [
        {"text": "S"},
        {"cachePoint": {"type": "default", "ttl": "1h"}},
        {"text": "T"},
        {"text": "D"},
    ]
    assert body["messages"] == [
        {"role": "user", "content": [{"text": "(no text)"}]},
        {"role": "assistant", "content": [{"text": "A"}]},
        {"role": "user", "content": [{"text": "one"}, {"text": "later"}, {"text": "two"}]},
        {"role": "assistant", "content": [{"text": "prefill "}, {"text": "No."}]},
    ]
    assert [loss.partition(";")[0] for loss in losses] == ["messages[].role", "messages[].name", "messages"]


def test_an_empty_message_becomes_a_placeholder():
    assert encode(user(""))[0]["messages"] == [{"role": "user", "content": [{"text": "(no text)"}]}]


def test_cache_marks_keep_their_position():
    body, losses = encode(
        user(Text(text="long", cache=WRAPPED_PREFIX), "short"),
        assistant(ToolCall(id="1", name="a", cache=WRAPPED_PREFIX)),
        Message(role="tool", parts=[ToolResult(call_id="1", parts=[Text(text="x")], cache=WRAPPED_PREFIX)]),
        tools=[FunctionTool(name="a", cache=WRAPPED_PREFIX)],
    )
    point = {"cachePoint": {"type": "default"}}
    assert body["messages"][0]["content"] == [{"text": "long"}, point, {"text": "short"}]
    assert body["messages"][1]["content"][1] == point
    assert body["messages"][2]["content"][1] == point
    assert body["toolConfig"]["tools"][1] == point
    assert losses == []
    body, losses = encode(
        user(Text(text="long", cache=WRAPPED_PREFIX)), model=LLAMA, tools=[FunctionTool(name="a", cache=WRAPPED_PREFIX)]
    )
    assert "cachePoint" not in json.dumps(body)
    assert losses == ["cache;how=dropped"]
    body, _ = encode(
        user(Text(text="long", cache=WRAPPED_PREFIX)), model=NOVA, tools=[FunctionTool(name="a", cache=WRAPPED_PREFIX)]
    )
    assert (len(body["toolConfig"]["tools"]), len(body["messages"][0]["content"])) == (1, 2)


def test_reasoning_is_sent_only_to_the_endpoint_that_signed_it():
    origin = origin_of(deployment())
    body, losses = encode(
        user("x"),
        assistant(
            "text",
            Reasoning(text="T", token=Opaque("sig", origin, "bedrock")),
            Reasoning(token=Opaque("ZW5j", origin, "bedrock"), is_redacted=True),
            Reasoning(text="", token=Opaque("sig2", "", "bedrock")),
            Reasoning(text="other", token=Opaque("sig", "elsewhere", "bedrock")),
            Reasoning(text="other", token=Opaque("sig", origin, "anthropic_messages")),
            Reasoning(text="unsigned"),
            Foreign(dialect="gemini", kind="executableCode", raw={}),
        ),
        user("y"),
    )
    assert body["messages"][1]["content"] == [
        {"reasoningContent": {"reasoningText": {"text": "T", "signature": "sig"}}},
        {"reasoningContent": {"redactedContent": "ZW5j"}},
        {"reasoningContent": {"reasoningText": {"text": "", "signature": "sig2"}}},
        {"text": "text"},
    ]
    assert losses == [
        'messages[].reasoning;how=dropped;as="not signed by this upstream"',
        "messages[].content[].executableCode;how=dropped",
    ]


def media(kind, name="", **source):
    return Media(kind=kind, source=Source(**source), name=name)


@pytest.mark.parametrize(
    ("part", "block"),
    [
        (
            media("image", data="aGk=", media_type="image/jpeg"),
            {"image": {"format": "jpeg", "source": {"bytes": "aGk="}}},
        ),
        (media("image", data="R0lGODlh"), {"image": {"format": "gif", "source": {"bytes": "R0lGODlh"}}}),
        (
            media("image", url="s3://bucket/a.jpg"),
            {"image": {"format": "jpeg", "source": {"s3Location": {"uri": "s3://bucket/a.jpg"}}}},
        ),
        (
            media("video", data="aGk=", media_type="video/mp4"),
            {"video": {"format": "mp4", "source": {"bytes": "aGk="}}},
        ),
        (
            media("audio", data="aGk=", media_type="audio/wav; rate=1"),
            {"audio": {"format": "wav", "source": {"bytes": "aGk="}}},
        ),
        (
            media("document", name="../My report_v2!.pdf", data="aGk=", media_type="application/pdf"),
            {"document": {"format": "pdf", "source": {"bytes": "aGk="}, "name": "My report-v2-pdf"}},
        ),
        (
            media("document", text="grüß"),
            {"document": {"format": "txt", "source": {"bytes": "Z3LDvMOf"}, "name": "document"}},
        ),
    ],
)
def test_media(part, block):
    assert encode(user(part, "look"))[0]["messages"][0]["content"][0] == block


def test_documents_have_unique_names_and_are_followed_by_text():
    first = Media(kind="document", source=Source(text="a"), context="C", has_citations=True)
    body, _ = encode(user(first, Media(kind="document", source=Source(text="b"))))
    one, two, text = body["messages"][0]["content"]
    assert (one["document"]["name"], two["document"]["name"]) == ("document", "document 2")
    assert (one["document"]["context"], one["document"]["citations"]) == ("C", {"enabled": True})
    assert text == {"text": "(no text)"}


def test_a_dropped_detail_is_reported():
    image = Media(kind="image", source=Source(data="aGk=", media_type="image/png"), detail="high")
    assert encode(user(image))[1] == ["messages[].content[].detail;how=dropped"]


@pytest.mark.parametrize(
    "part",
    [
        media("image", url="https://x.org/a.png"),
        media("image", file_id="f", media_type="image/png"),
        media("image", data="aGk=", media_type="image/tiff"),
        media("document", data="aGk=", media_type="application/zip"),
        media("image", url="s3://bucket/no-ending"),
        media("video", data="aGk="),
    ],
)
def test_unsupported_media_are_rejected(part):
    with pytest.raises(errors.UnsupportedFeature) as caught:
        encode(user(part))
    assert caught.value.param == "messages"


def test_a_schema_is_sent_natively():
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    output = OutputFormat(kind="json_schema", schema=schema, name="x", description="D")
    body, losses = encode(output=output)
    written = body["outputConfig"]["textFormat"]
    assert written["type"] == "json_schema"
    definition = written["structure"]["jsonSchema"]
    assert (definition["name"], definition["description"]) == ("x", "D")
    assert json.loads(definition["schema"]) == {**schema, "additionalProperties": False}
    assert losses == ['output.schema;how=converted;as="objects closed, limits moved to descriptions"']


def test_json_without_a_schema_is_requested_by_an_instruction():
    body, losses = encode(output=OutputFormat(kind="json_object"))
    assert "JSON" in body["system"][0]["text"]
    assert losses == ['output;how=emulated;as="instruction in the system prompt"']
    assert "system" not in encode(output=OutputFormat(kind="text"))[0]
