"""What Bedrock is asked: Converse's body from the intermediate form."""

import json

import pytest

from intellirouter.core import Call, LossReport, errors
from intellirouter.core.deployment import Deployment, Endpoint
from intellirouter.dialects.bedrock import UPSTREAM
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
    ReasoningAsk,
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

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
ADAPTIVE = "anthropic.claude-opus-4-7"
NOVA = "us.amazon.nova-2-lite-v1:0"
LLAMA = "meta.llama3-3-70b-instruct-v1:0"
TOOLS = [FunctionTool(name="a"), FunctionTool(name="b", description="B", parameters={"type": "object"}, is_strict=True)]
MARK = CacheMark()


def deployment(model=CLAUDE):
    return Deployment(
        name="aws/m",
        provider="aws",
        vendor="bedrock",
        upstream_model=model,
        endpoint=Endpoint(base_url="https://bedrock-runtime.us-east-1.amazonaws.com"),
    )


def conversation(*messages, **more):
    messages = list(messages) or [Message(role="user", parts=[Text(text="Hi")])]
    return Conversation(**{"dialect": "openai_chat", "model": "m", "messages": messages, **more})


def asked(*messages, model=CLAUDE, **more):
    losses = LossReport()
    request = UPSTREAM.encode(conversation(*messages, **more), deployment(model), losses)
    return json.loads(request.body), [str(loss) for loss in losses.taken()]


def user(*parts):
    return Message(role="user", parts=[Text(text=part) if isinstance(part, str) else part for part in parts])


def assistant(*parts):
    return Message(role="assistant", parts=[Text(text=part) if isinstance(part, str) else part for part in parts])


def result(call_id, *parts, **more):
    parts = [Text(text=part) if isinstance(part, str) else part for part in parts]
    return Message(role="tool", parts=[ToolResult(call_id=call_id, parts=parts, **more)])


def test_paths_quote_the_model():
    request = UPSTREAM.encode(conversation(), deployment(), LossReport())
    assert request.path == "/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse"
    arn = deployment("arn:aws:bedrock:us-east-1:1:inference-profile/x")
    request = UPSTREAM.encode(conversation(is_stream=True), arn, LossReport())
    assert request.path == "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fx/converse-stream"
    assert json.loads(request.body) == {"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}


def test_knobs():
    sampling = Sampling(max_output_tokens=9, temperature=0.5, top_k=40, stop=["END", " "])
    body, losses = asked(sampling=sampling)
    assert body["inferenceConfig"] == {"maxTokens": 9, "temperature": 0.5, "stopSequences": ["END"]}
    assert body["additionalModelRequestFields"] == {"top_k": 40}
    assert body["additionalModelResponseFieldPaths"] == ["/stop_sequence"]
    assert losses == ['stop;how=dropped;as="white space"']


@pytest.mark.parametrize(
    ("model", "fields", "losses"),
    [
        (NOVA, {"inferenceConfig": {"topK": 40}}, ["seed", "presence_penalty"]),
        ("cohere.command-r-v1:0", {"k": 40, "seed": 1, "presence_penalty": 0.5}, []),
        ("mistral.mistral-large-2402-v1:0", {"top_k": 40}, ["presence_penalty", "seed"]),
        (LLAMA, None, ["top_k", "presence_penalty", "seed"]),
    ],
)
def test_families_differ(model, fields, losses):
    sampling = Sampling(top_k=40, presence_penalty=0.5, seed=1, top_p=0.9)
    body, found = asked(model=model, sampling=sampling)
    assert body.get("additionalModelRequestFields") == fields
    assert body["inferenceConfig"] == {"topP": 0.9}
    assert sorted(found) == sorted(f"{name};how=dropped" for name in losses)


def test_ranges_and_pairs():
    body, losses = asked(sampling=Sampling(temperature=1.7, top_p=0.5))
    assert body["inferenceConfig"] == {"temperature": 1}
    assert losses == ['temperature;how=clamped;as="1"', 'top_p;how=dropped;as="temperature is set"']
    body, losses = asked(model=ADAPTIVE, sampling=Sampling(temperature=0.5))
    assert "inferenceConfig" not in body
    assert losses == ['temperature;how=dropped;as="this model takes none"']


def test_knobs_it_lacks_are_reported():
    _, losses = asked(
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


def test_tiers_and_metadata():
    body, losses = asked(service_tier="flex", metadata={"team": "a b"})
    assert (body["serviceTier"], body["requestMetadata"]) == ({"type": "flex"}, {"team": "a b"})
    assert losses == []
    body, losses = asked(service_tier="auto", metadata={"n": 3, "ok": "x", "bad": "(y)"})
    assert ("serviceTier" in body, body["requestMetadata"]) == (False, {"ok": "x"})
    assert losses == ['metadata;how=clamped;as="16 short texts of plain characters"']
    assert "requestMetadata" not in asked(metadata={"n": 3})[0]


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"sampling": Sampling(n=2)}, "n"),
        ({"sampling": Sampling(logprobs=True)}, "logprobs"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"tools": TOOLS, "tool_choice": ToolChoice(raw={"type": "web_search"})}, "tool_choice"),
    ],
)
def test_what_cannot_be_said_is_refused(more, param):
    with pytest.raises(errors.UnsupportedFeature) as caught:
        asked(**more)
    assert caught.value.param == param


def test_tools():
    body, losses = asked(tools=TOOLS)
    assert body["toolConfig"] == {
        "tools": [
            {"toolSpec": {"name": "a", "inputSchema": {"json": {"type": "object", "properties": {}}}}},
            {
                "toolSpec": {
                    "name": "b",
                    "inputSchema": {"json": {"type": "object"}},
                    "strict": True,
                    "description": "B",
                }
            },
        ]
    }
    assert losses == []


@pytest.mark.parametrize(
    ("choice", "said", "names"),
    [
        (ToolChoice(), {"auto": {}}, ["a", "b"]),
        (ToolChoice(mode="required"), {"any": {}}, ["a", "b"]),
        (ToolChoice(mode="named", name="b"), {"tool": {"name": "b"}}, ["a", "b"]),
        (ToolChoice(allowed=["a"]), {"auto": {}}, ["a"]),
        (ToolChoice(mode="required", allowed=["b"]), {"tool": {"name": "b"}}, ["b"]),
        (ToolChoice(mode="required", allowed=["a", "b"]), {"any": {}}, ["a", "b"]),
    ],
)
def test_tool_choices(choice, said, names):
    config = asked(tools=TOOLS, tool_choice=choice)[0]["toolConfig"]
    assert config["toolChoice"] == said
    assert [tool["toolSpec"]["name"] for tool in config["tools"]] == names


def test_other_kinds_of_tools():
    tools = [ServerTool(dialect="openai_responses", kind="web_search", raw={}), CustomTool(name="c", description="C")]
    body, losses = asked(tools=tools)
    spec = body["toolConfig"]["tools"][0]["toolSpec"]
    assert (spec["name"], spec["description"], spec["inputSchema"]["json"]["required"]) == ("c", "C", ["input"])
    assert losses == [
        'tools[].web_search;how=dropped;as="only its vendor runs it"',
        'tools;how=emulated;as="free text is the argument input"',
    ]


HISTORY = (
    user("Weather?"),
    assistant(
        "Let me see.",
        ToolCall(id="call/1", name="a", arguments='{"x":1}'),
        ToolCall(id="call_1", name="b", arguments=""),
    ),
    result("call_1", "sunny"),
    result("call/1", "rain", is_error=True),
)


def test_tool_choice_none_leaves_the_tools_out():
    body, losses = asked(tools=TOOLS, tool_choice=ToolChoice(mode="none"))
    assert "toolConfig" not in body
    assert losses == ['tool_choice;how=emulated;as="tools left out"']


def test_tool_choice_none_after_calls_tells_them_as_text():
    body, losses = asked(*HISTORY, tools=TOOLS, tool_choice=ToolChoice(mode="none"))
    assert "toolConfig" not in body
    assert body["messages"][1]["content"][1] == {"text": '[called the tool a with {"x":1}]'}
    assert body["messages"][2]["content"][:2] == [{"text": "[the tool b returned:]"}, {"text": "sunny"}]
    assert 'tool_choice;how=emulated;as="tools left out"' in losses


def test_a_history_of_calls_declares_their_tools():
    body, losses = asked(*HISTORY)
    assert [tool["toolSpec"]["name"] for tool in body["toolConfig"]["tools"]] == ["a", "b"]
    assert losses == ['tools;how=emulated;as="the history\'s tools are declared"']
    body, _ = asked(user("x"), result("1", "lost"))
    assert body["toolConfig"]["tools"][0]["toolSpec"]["name"] == "unknown_tool"


def test_calls_and_results():
    body, losses = asked(*HISTORY, user("And?"), tools=TOOLS)
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


def test_results_in_odd_forms():
    picture = Media(kind="image", source=Source(data="iVBORw0KGgoAAAAN"))
    body, losses = asked(
        user("x"),
        assistant(
            ToolCall(id="1", name="a", arguments="{"), ToolCall(id="2", name="c", arguments="free", kind="custom")
        ),
        user("first"),
        result("1", "", is_error=True),
        result("2", picture, " "),
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
    body, _ = asked(user("x"), result("1", "  "))
    assert body["messages"][0]["content"][0]["toolResult"]["content"] == [{"text": "(no text)"}]


def test_turns_alternate_and_none_is_empty():
    body, losses = asked(
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


def test_nothing_to_say_is_said():
    assert asked(user(""))[0]["messages"] == [{"role": "user", "content": [{"text": "(no text)"}]}]


def test_cache_marks_keep_their_place():
    body, losses = asked(
        user(Text(text="long", cache=MARK), "short"),
        assistant(ToolCall(id="1", name="a", cache=MARK)),
        Message(role="tool", parts=[ToolResult(call_id="1", parts=[Text(text="x")], cache=MARK)]),
        tools=[FunctionTool(name="a", cache=MARK)],
    )
    point = {"cachePoint": {"type": "default"}}
    assert body["messages"][0]["content"] == [{"text": "long"}, point, {"text": "short"}]
    assert body["messages"][1]["content"][1] == point
    assert body["messages"][2]["content"][1] == point
    assert body["toolConfig"]["tools"][1] == point
    assert losses == []
    body, losses = asked(user(Text(text="long", cache=MARK)), model=LLAMA, tools=[FunctionTool(name="a", cache=MARK)])
    assert "cachePoint" not in json.dumps(body)
    assert losses == ["cache;how=dropped"]
    body, _ = asked(user(Text(text="long", cache=MARK)), model=NOVA, tools=[FunctionTool(name="a", cache=MARK)])
    assert (len(body["toolConfig"]["tools"]), len(body["messages"][0]["content"])) == (1, 2)


def test_thoughts_go_back_only_to_who_signed_them():
    mine = origin_of(deployment())
    body, losses = asked(
        user("x"),
        assistant(
            "said",
            Reasoning(text="T", token=Opaque("sig", mine, "bedrock")),
            Reasoning(token=Opaque("ZW5j", mine, "bedrock"), is_redacted=True),
            Reasoning(text="", token=Opaque("sig2", "", "bedrock")),
            Reasoning(text="other", token=Opaque("sig", "elsewhere", "bedrock")),
            Reasoning(text="other", token=Opaque("sig", mine, "anthropic_messages")),
            Reasoning(text="unsigned"),
            Foreign(dialect="gemini", kind="executableCode", raw={}),
        ),
        user("y"),
    )
    assert body["messages"][1]["content"] == [
        {"reasoningContent": {"reasoningText": {"text": "T", "signature": "sig"}}},
        {"reasoningContent": {"redactedContent": "ZW5j"}},
        {"reasoningContent": {"reasoningText": {"text": "", "signature": "sig2"}}},
        {"text": "said"},
    ]
    assert losses == [
        'messages[].reasoning;how=dropped;as="signed by somebody else"',
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
    assert asked(user(part, "look"))[0]["messages"][0]["content"][0] == block


def test_documents_have_names_of_their_own_and_a_text_beside():
    first = Media(kind="document", source=Source(text="a"), context="C", has_citations=True)
    body, _ = asked(user(first, Media(kind="document", source=Source(text="b"))))
    one, two, text = body["messages"][0]["content"]
    assert (one["document"]["name"], two["document"]["name"]) == ("document", "document 2")
    assert (one["document"]["context"], one["document"]["citations"]) == ("C", {"enabled": True})
    assert text == {"text": "(no text)"}


def test_details_are_reported():
    picture = Media(kind="image", source=Source(data="aGk=", media_type="image/png"), detail="high")
    assert asked(user(picture))[1] == ["messages[].content[].detail;how=dropped"]


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
def test_media_it_cannot_take_are_refused(part):
    with pytest.raises(errors.UnsupportedFeature) as caught:
        asked(user(part))
    assert caught.value.param == "messages"


def test_a_schema_is_said_natively():
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    output = OutputFormat(kind="json_schema", schema=schema, name="x", description="D")
    body, losses = asked(output=output)
    said = body["outputConfig"]["textFormat"]
    assert said["type"] == "json_schema"
    definition = said["structure"]["jsonSchema"]
    assert (definition["name"], definition["description"]) == ("x", "D")
    assert json.loads(definition["schema"]) == {**schema, "additionalProperties": False}
    assert losses == ['output.schema;how=converted;as="objects closed, limits in words"']


def test_a_mere_object_is_asked_for_in_words():
    body, losses = asked(output=OutputFormat(kind="json_object"))
    assert "JSON" in body["system"][0]["text"]
    assert losses == ['output;how=emulated;as="by instruction"']
    assert "system" not in asked(output=OutputFormat(kind="text"))[0]


def test_thinking_with_a_budget():
    body, losses = asked(
        reasoning=ReasoningAsk(budget_tokens=2000), sampling=Sampling(max_output_tokens=8000, temperature=0.2, top_k=5)
    )
    assert body["additionalModelRequestFields"] == {"thinking": {"type": "enabled", "budget_tokens": 2000}}
    assert body["inferenceConfig"] == {"maxTokens": 8000}
    assert losses == ['temperature;how=dropped;as="the model thinks"', 'top_k;how=dropped;as="the model thinks"']


def test_thinking_with_an_effort():
    body, losses = asked(model=ADAPTIVE, reasoning=ReasoningAsk(effort="xhigh"))
    assert body["additionalModelRequestFields"] == {"thinking": {"type": "adaptive"}}
    assert body["outputConfig"] == {"effort": "xhigh"}
    assert losses == []


def test_thinking_gives_way_to_a_forced_tool_and_to_lost_thoughts():
    ask = ReasoningAsk(budget_tokens=2000)
    body, losses = asked(reasoning=ask, tools=TOOLS, tool_choice=ToolChoice(mode="required"))
    assert "additionalModelRequestFields" not in body
    assert losses == ['reasoning;how=dropped;as="a tool is forced"']
    _, losses = asked(*HISTORY, reasoning=ask, tools=TOOLS)
    assert losses == ['reasoning;how=dropped;as="the thoughts before the tool call are missing"']
    signed = Reasoning(text="T", token=Opaque("sig", "", "bedrock"))
    body, _ = asked(
        user("x"), assistant(signed, ToolCall(id="1", name="a")), result("1", "r"), reasoning=ask, tools=TOOLS
    )
    assert "thinking" in body["additionalModelRequestFields"]


@pytest.mark.parametrize(
    ("model", "ask", "fields", "losses"),
    [
        (NOVA, ReasoningAsk(effort="low"), {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"}}, []),
        (
            NOVA,
            ReasoningAsk(budget_tokens=99),
            {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "medium"}},
            ['reasoning;how=converted;as="medium"'],
        ),
        (NOVA, ReasoningAsk(is_enabled=False), None, []),
        (NOVA, ReasoningAsk(shows_thoughts=True), None, []),
        (
            "openai.gpt-oss-120b-1:0",
            ReasoningAsk(effort="max"),
            {"reasoning_effort": "high"},
            ['reasoning;how=clamped;as="high"'],
        ),
        (
            "openai.gpt-oss-120b-1:0",
            ReasoningAsk(effort="none"),
            {"reasoning_effort": "low"},
            ['reasoning;how=clamped;as="low"'],
        ),
        (LLAMA, ReasoningAsk(effort="low"), None, ['reasoning;how=dropped;as="this model cannot be told"']),
        (LLAMA, ReasoningAsk(effort="none"), None, []),
    ],
)
def test_thinking_of_other_families(model, ask, fields, losses):
    body, found = asked(model=model, reasoning=ask)
    assert body.get("additionalModelRequestFields") == fields
    assert found == losses


def test_novas_highest_effort_takes_no_other_knobs():
    ask = ReasoningAsk(effort="high")
    body, losses = asked(model=NOVA, reasoning=ask, sampling=Sampling(temperature=0.5, top_k=3))
    assert body["additionalModelRequestFields"]["reasoningConfig"]["maxReasoningEffort"] == "high"
    assert "inferenceConfig" not in body
    assert len(losses) == 2
    body, losses = asked(model=NOVA, reasoning=ask, sampling=Sampling(max_output_tokens=100))
    assert body["additionalModelRequestFields"]["reasoningConfig"]["maxReasoningEffort"] == "medium"
    assert body["inferenceConfig"] == {"maxTokens": 100}
    assert losses == ['reasoning;how=clamped;as="medium"']


def test_counting_takes_only_what_counts():
    form = conversation(tools=TOOLS, sampling=Sampling(temperature=0.5, max_output_tokens=5), service_tier="flex")
    request = UPSTREAM.encode_count(form, deployment("anthropic.claude-x"), LossReport())
    assert request.path == "/model/anthropic.claude-x/count-tokens"
    assert json.loads(request.body)["input"]["converse"].keys() == {"messages", "toolConfig"}


def test_the_form_is_not_changed():
    form = conversation(*HISTORY, tools=TOOLS, output=OutputFormat(kind="json_object"))
    before = repr(form)
    UPSTREAM.encode(form, deployment(), LossReport())
    assert repr(form) == before
    first = UPSTREAM.encode(form, deployment(), LossReport()).body
    assert first == UPSTREAM.encode(form, deployment(), LossReport()).body


def test_a_relay_would_send_the_body_as_it_is():
    call = Call(surface="chat", model="m", body=b"{}", is_stream=True)
    request = UPSTREAM.relay_request(call, deployment("x"))
    assert (request.path, request.body) == ("/model/x/converse-stream", b"{}")
