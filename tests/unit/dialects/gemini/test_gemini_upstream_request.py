"""Conversations of other dialects are written as requests. Every special rule of the API has a test."""

import json
from typing import Any

import pytest

from intellirouter.core import Loss, LossReport, errors
from intellirouter.dialects.gemini import UPSTREAM
from intellirouter.dialects.gemini.upstream_contents import SKIP_SIGNATURE_CHECK
from intellirouter.dialects.ir import (
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
    origin_of,
)
from tests.support.dialects.gemini import VERTEX, deployment

USER = Message(role="user", parts=[Text(text="hi")])
TOOL = FunctionTool(name="f", parameters={"type": "object", "$schema": "x", "additionalProperties": False})


def chat(*messages: Message, **members: Any) -> Conversation:
    return Conversation(dialect="openai_chat", model="public", messages=list(messages or (USER,)), **members)


def encode(conversation: Conversation, model: str = "gemini-2.5-flash") -> tuple[dict[str, Any], dict[str, Loss]]:
    losses = LossReport()
    request = UPSTREAM.encode(conversation, deployment(model), losses)
    return json.loads(request.body), {loss.field: loss for loss in losses.taken()}


def contents(*messages: Message, model: str = "gemini-2.5-flash") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = encode(chat(*messages), model)[0]["contents"]
    return found


def text_content(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "parts": [{"text": text}]}


def calls(*ids: str, token: Opaque | None = None) -> Message:
    return Message(role="assistant", parts=[ToolCall(id=each, name="f", token=token) for each in ids])


def result(call_id: str, text: str = "ok", **members: Any) -> Message:
    return Message(role="tool", parts=[ToolResult(call_id=call_id, parts=[Text(text=text)], **members)])


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("gemini-2.5-flash", "/models/gemini-2.5-flash:generateContent"),
        ("models/gemini-2.5-flash", "/models/gemini-2.5-flash:generateContent"),
        ("publishers/google/models/gemini-2.5-flash", "/models/gemini-2.5-flash:generateContent"),
        ("tunedModels/mine", "/tunedModels/mine:generateContent"),
        ("odd/name?x", "/models/odd%2Fname%3Fx:generateContent"),
    ],
)
def test_paths(model: str, path: str) -> None:
    assert UPSTREAM.encode(chat(), deployment(model), LossReport()).path == path


def test_streams_are_requested_as_sse() -> None:
    request = UPSTREAM.encode(chat(is_stream=True), deployment(base_url=VERTEX), LossReport())
    assert request.path == "/models/gemini-2.5-flash:streamGenerateContent?alt=sse"


def test_leading_system_messages_become_the_system_instruction() -> None:
    body, losses = encode(
        chat(
            Message(role="system", parts=[Text(text="a")]),
            Message(role="developer", parts=[Text(text="b")]),
            USER,
        )
    )
    assert body["systemInstruction"] == {"parts": [{"text": "a"}, {"text": "b"}]}
    assert body["contents"] == [text_content("user", "hi")]
    assert not losses


def test_later_system_messages_come_after_the_results_of_calls() -> None:
    body, losses = encode(chat(USER, calls("a"), Message(role="system", parts=[Text(text="now!")]), result("a"), USER))
    assert [content["role"] for content in body["contents"]] == ["user", "model", "user", "user"]
    assert "functionResponse" in body["contents"][2]["parts"][0]
    assert body["contents"][3]["parts"] == [{"text": "now!"}, {"text": "hi"}]
    assert losses["messages[].role"].how == "converted"


def test_a_conversation_of_system_messages_only_is_sent_as_user() -> None:
    body, losses = encode(chat(Message(role="system", parts=[Text(text="be")])))
    assert body["contents"] == [text_content("user", "be")]
    assert "systemInstruction" not in body
    assert losses["messages"].how == "converted"


def test_consecutive_messages_of_one_role_are_merged_and_empty_ones_are_dropped() -> None:
    empty = Message(role="assistant", parts=[Text(text="")])
    assert contents(USER, USER, empty, Message(role="assistant", parts=[Refusal(text="No.")])) == [
        {"role": "user", "parts": [{"text": "hi"}, {"text": "hi"}]},
        text_content("model", "No."),
    ]
    assert contents(Message(role="user", parts=[])) == [text_content("user", " ")]


def test_parallel_results_are_sent_together_in_the_order_of_the_calls() -> None:
    found = contents(USER, calls("a", "b"), result("b", "2"), result("a", "1"))
    assert [part["functionResponse"]["response"] for part in found[2]["parts"]] == [{"result": "1"}, {"result": "2"}]
    assert {part["functionResponse"]["name"] for part in found[2]["parts"]} == {"f"}
    assert len(found) == 3


def test_calls_in_separate_messages_become_one_turn() -> None:
    found = contents(USER, calls("a"), calls("b"), result("a"), result("b"))
    assert [len(content["parts"]) for content in found] == [1, 2, 2]


def test_missing_results_are_added() -> None:
    body, losses = encode(chat(USER, calls("a", "b"), result("a"), USER))
    assert len(body["contents"][2]["parts"]) == 2
    assert "error" in body["contents"][2]["parts"][1]["functionResponse"]["response"]
    assert losses["messages"].how == "emulated"


def test_calls_at_the_end_need_no_results() -> None:
    assert len(contents(USER, calls("a"))) == 2


def test_results_without_a_call_are_sent_as_user() -> None:
    body, losses = encode(chat(USER, result("unknown", "text of it")))
    assert body["contents"] == [{"role": "user", "parts": [{"text": "hi"}, {"text": "text of it"}]}]
    assert losses["messages"].how == "converted"


@pytest.mark.parametrize(
    ("part", "response"),
    [
        (ToolResult(call_id="a", parts=[Text(text='{"x": 1}')]), {"x": 1}),
        (ToolResult(call_id="a", parts=[Text(text="[1]")]), {"result": "[1]"}),
        (ToolResult(call_id="a", parts=[Text(text="{broken")]), {"result": "{broken"}),
        (ToolResult(call_id="a", parts=[]), {"result": ""}),
        (ToolResult(call_id="a", parts=[Text(text="no")], is_error=True), {"error": "no"}),
        (ToolResult(call_id="a", structured={"y": 2}), {"y": 2}),
        (ToolResult(call_id="a", structured=[1]), {"result": [1]}),
    ],
)
def test_results_become_objects(part: ToolResult, response: Any) -> None:
    found = contents(USER, calls("a"), Message(role="tool", parts=[part]))
    assert found[2]["parts"][0]["functionResponse"]["response"] == response


def test_images_in_results() -> None:
    image = Media(kind="image", source=Source(data="AA==", media_type="image/png"))
    turn = Message(role="tool", parts=[ToolResult(call_id="a", parts=[Text(text="ok"), image])])
    inline = {"inlineData": {"mimeType": "image/png", "data": "AA=="}}
    new = contents(USER, calls("a"), turn, model="gemini-3-pro-preview")
    assert new[2]["parts"][0]["functionResponse"]["parts"] == [inline]
    body, losses = encode(chat(USER, calls("a"), turn))
    assert body["contents"][3] == {"role": "user", "parts": [inline]}
    assert losses["messages[].content[]"].how == "converted"


def test_arguments_that_are_not_an_object_are_sent_as_text() -> None:
    turn = Message(role="assistant", parts=[ToolCall(id="a", name="f", arguments='{"cut')])
    assert contents(USER, turn)[1]["parts"][0]["functionCall"]["args"] == {"arguments": '{"cut'}
    turn = Message(role="assistant", parts=[ToolCall(id="a", name="f", arguments="x=1", kind="custom")])
    assert contents(USER, turn)[1]["parts"][0]["functionCall"]["args"] == {"input": "x=1"}


def test_a_signature_is_sent_in_its_part() -> None:
    token = Opaque("sig", origin_of(deployment()), "gemini")
    turn = Message(
        role="assistant",
        parts=[Reasoning(text="hm", token=token), Text(text="t", token=token), ToolCall(id="a", name="f", token=token)],
    )
    assert contents(USER, turn)[1]["parts"] == [
        {"text": "hm", "thought": True, "thoughtSignature": "sig"},
        {"text": "t", "thoughtSignature": "sig"},
        {"functionCall": {"id": "a", "name": "f", "args": {}}, "thoughtSignature": "sig"},
    ]


def test_a_separate_signature_is_moved_to_its_part() -> None:
    token = Opaque("sig", origin_of(deployment()), "gemini")
    turn = Message(role="assistant", parts=[Reasoning(token=token), ToolCall(id="a", name="f")])
    assert contents(USER, turn)[1]["parts"][0]["thoughtSignature"] == "sig"
    turn = Message(role="assistant", parts=[Text(text="t"), Reasoning(token=token)])
    assert contents(USER, turn)[1]["parts"] == [{"text": "t"}, {"text": "", "thoughtSignature": "sig"}]


@pytest.mark.parametrize(
    "token",
    [Opaque("sig", "elsewhere", "gemini"), Opaque("sig", "", "anthropic_messages")],
    ids=["another endpoint", "another vendor"],
)
def test_signatures_of_other_endpoints_are_never_sent(token: Opaque) -> None:
    turn = Message(role="assistant", parts=[Reasoning(text="hm", token=token), Text(text="t", token=token)])
    assert contents(USER, turn)[1]["parts"] == [{"text": "t"}]


def signatures(*messages: Message, model: str) -> list[str | None]:
    found = contents(*messages, model=model)
    return [part.get("thoughtSignature") for each in found for part in each["parts"] if "functionCall" in part]


@pytest.mark.parametrize("model", ["gemini-3-pro-preview", "gemini-3.5-flash", "gemini-4-argon", "gemini-flash-latest"])
def test_unsigned_calls_of_the_current_turn_get_the_documented_signature(model: str) -> None:
    history = (USER, calls("old"), result("old"), Message(role="assistant", parts=[Text(text="done")]))
    steps = (USER, calls("a", "b"), result("a"), result("b"), calls("c"), result("c"))
    assert signatures(*history, *steps, model=model) == [None, SKIP_SIGNATURE_CHECK, None, SKIP_SIGNATURE_CHECK]


def test_older_models_need_no_signature() -> None:
    assert signatures(USER, calls("a"), result("a"), model="gemini-2.5-pro") == [None]


def test_a_usable_signature_is_not_replaced() -> None:
    token = Opaque("sig", "", "gemini")
    assert signatures(USER, calls("a", token=token), result("a"), model="gemini-3-pro") == ["sig"]


def test_user_messages_after_results_do_not_end_the_turn() -> None:
    assert signatures(USER, calls("a"), result("a"), USER, model="gemini-3-pro") == [SKIP_SIGNATURE_CHECK]


def test_schemas_are_sent_unchanged_as_json_schema() -> None:
    body, losses = encode(chat(tools=[TOOL, FunctionTool(name="g", description="d", is_strict=True)]))
    assert body["tools"] == [
        {
            "functionDeclarations": [
                {"name": "f", "parametersJsonSchema": TOOL.parameters},
                {"name": "g", "description": "d"},
            ]
        }
    ]
    assert set(losses) == {"tools[].strict"}


@pytest.mark.parametrize(
    ("choice", "config"),
    [
        (ToolChoice(mode="auto"), {"mode": "AUTO"}),
        (ToolChoice(mode="none"), {"mode": "NONE"}),
        (ToolChoice(mode="required"), {"mode": "ANY"}),
        (ToolChoice(mode="named", name="f"), {"mode": "ANY", "allowedFunctionNames": ["f"]}),
        (ToolChoice(mode="required", allowed=["f"]), {"mode": "ANY", "allowedFunctionNames": ["f"]}),
        (ToolChoice(mode="auto", allowed=["f"]), {"mode": "VALIDATED", "allowedFunctionNames": ["f"]}),
    ],
)
def test_tool_choice(choice: ToolChoice, config: Any) -> None:
    assert encode(chat(tools=[TOOL], tool_choice=choice))[0]["toolConfig"] == {"functionCallingConfig": config}
    assert "toolConfig" not in encode(chat(tool_choice=choice))[0]


def test_disabling_parallel_calls_is_reported_as_dropped() -> None:
    _, losses = encode(chat(tools=[TOOL], tool_choice=ToolChoice(is_parallel=False)))
    assert losses["is_parallel"].how == "dropped"


SEARCH = ServerTool(dialect="openai_responses", kind="web_search", raw={})


def test_tools_that_another_vendor_runs_are_dropped_and_reported() -> None:
    """Codex sends a web search tool with every request."""
    body, losses = encode(chat(tools=[SEARCH, TOOL], tool_choice=ToolChoice(mode="required")))
    assert [list(tool) for tool in body["tools"]] == [["functionDeclarations"]]
    assert losses["tools[].web_search"].how == "dropped"
    assert "tools" not in encode(chat(tools=[SEARCH]))[0]


def test_custom_tools_become_functions_with_one_argument() -> None:
    body, losses = encode(chat(tools=[CustomTool(name="py", format={"type": "grammar"})]))
    schema = body["tools"][0]["functionDeclarations"][0]["parametersJsonSchema"]
    assert schema["required"] == ["input"]
    assert (losses["tools"].how, losses["tools[].custom.format"].how) == ("emulated", "dropped")


@pytest.mark.parametrize(
    ("members", "model", "param"),
    [
        ({"tools": [SEARCH], "tool_choice": ToolChoice(mode="required")}, "gemini-3-pro", "tool_choice"),
        ({"tools": [SEARCH, TOOL], "tool_choice": ToolChoice(mode="named", name="x")}, "gemini-3-pro", "tool_choice"),
        ({"tools": [TOOL], "tool_choice": ToolChoice(raw={"type": "web_search"})}, "gemini-3-pro", "tool_choice"),
        ({"sampling": Sampling(n=2), "is_stream": True}, "gemini-3-pro", "n"),
        ({"tools": [TOOL], "output": OutputFormat(kind="json_object")}, "gemini-2.5-pro", "output"),
        ({"modalities": ["text", "audio"]}, "gemini-3-pro", "modalities"),
    ],
)
def test_unsupported_features_are_rejected(members: Any, model: str, param: str) -> None:
    with pytest.raises(errors.UnsupportedFeature) as caught:
        encode(chat(**members), model)
    assert caught.value.param == param


@pytest.mark.parametrize(
    "source",
    [
        Source(url="https://example.com/a.png"),
        Source(file_id="file-abc"),
    ],
)
def test_media_that_google_cannot_read_are_rejected(source: Source) -> None:
    with pytest.raises(errors.UnsupportedFeature, match="cannot read") as caught:
        encode(chat(Message(role="user", parts=[Media(kind="image", source=source)])))
    assert "Send base64 data" in caught.value.hint


@pytest.mark.parametrize(
    ("part", "written"),
    [
        (Media(kind="image", source=Source(data="AA==")), {"inlineData": {"mimeType": "image/jpeg", "data": "AA=="}}),
        (
            Media(kind="document", source=Source(data="AA==", media_type="application/pdf")),
            {"inlineData": {"mimeType": "application/pdf", "data": "AA=="}},
        ),
        (
            Media(kind="video", source=Source(url="gs://b/f.mp4")),
            {"fileData": {"fileUri": "gs://b/f.mp4", "mimeType": "video/mp4"}},
        ),
        (Media(kind="video", source=Source(url="https://youtu.be/x")), {"fileData": {"fileUri": "https://youtu.be/x"}}),
        (
            Media(kind="image", source=Source(file_id="files/a", media_type="image/png")),
            {
                "fileData": {
                    "fileUri": "https://generativelanguage.googleapis.com/v1beta/files/a",
                    "mimeType": "image/png",
                }
            },
        ),
        (Media(kind="document", source=Source(text="Tides."), name="t.txt"), {"text": "t.txt\n\nTides."}),
    ],
)
def test_media(part: Media, written: Any) -> None:
    assert contents(Message(role="user", parts=[part])) == [{"role": "user", "parts": [written]}]


def test_sampling_parameters_are_clamped_or_dropped_and_reported() -> None:
    body, losses = encode(
        chat(
            sampling=Sampling(
                temperature=3.0,
                top_k=4,
                stop=list("abcdef"),
                logprobs=True,
                top_logprobs=30,
                logit_bias={"1": 2.0},
                min_p=0.1,
                verbosity="low",
                repetition_penalty=1.1,
            ),
            user="u",
            metadata={"a": "b"},
            service_tier="flex",
        )
    )
    assert body["generationConfig"] == {
        "topK": 4,
        "temperature": 2.0,
        "stopSequences": list("abcde"),
        "responseLogprobs": True,
        "logprobs": 20,
    }
    clamped = {name for name, loss in losses.items() if loss.how == "clamped"}
    assert clamped == {"temperature", "stop", "top_logprobs"}
    assert set(losses) - clamped == {
        "logit_bias", "min_p", "verbosity", "repetition_penalty", "user", "metadata", "service_tier",
    }  # fmt: skip


def test_several_candidates() -> None:
    assert encode(chat(sampling=Sampling(n=3)))[0]["generationConfig"] == {"candidateCount": 3}


def test_structured_output() -> None:
    schema = {"type": "object", "$defs": {}}
    body, _ = encode(chat(output=OutputFormat(kind="json_schema", schema=schema)))
    assert body["generationConfig"] == {"responseMimeType": "application/json", "responseJsonSchema": schema}
    body, _ = encode(chat(output=OutputFormat(kind="json_object"), tools=[TOOL]), "gemini-3-flash")
    assert body["generationConfig"] == {"responseMimeType": "application/json"}


@pytest.mark.parametrize(
    ("model", "reasoning", "config", "loss"),
    [
        ("gemini-3-flash", ReasoningConfig(effort="minimal"), {"thinkingLevel": "MINIMAL"}, None),
        ("gemini-3-pro", ReasoningConfig(effort="minimal"), {"thinkingLevel": "LOW"}, "clamped"),
        ("gemini-3-pro", ReasoningConfig(effort="medium"), {"thinkingLevel": "HIGH"}, "clamped"),
        ("gemini-3.1-pro", ReasoningConfig(effort="medium"), {"thinkingLevel": "MEDIUM"}, None),
        ("gemini-3-pro", ReasoningConfig(effort="max"), {"thinkingLevel": "HIGH"}, "clamped"),
        ("gemini-3-pro", ReasoningConfig(effort="none"), {"thinkingLevel": "LOW"}, "clamped"),
        ("gemini-3-flash", ReasoningConfig(is_enabled=False), {"thinkingLevel": "MINIMAL"}, "clamped"),
        ("gemini-3-flash", ReasoningConfig(budget_tokens=8000), {"thinkingLevel": "MEDIUM"}, "converted"),
        ("gemini-3-flash", ReasoningConfig(is_adaptive=True), None, None),
        ("gemini-2.5-flash", ReasoningConfig(effort="medium"), {"thinkingBudget": 8192}, "converted"),
        ("gemini-2.5-flash", ReasoningConfig(effort="high"), {"thinkingBudget": 24576}, "converted"),
        ("gemini-2.5-flash", ReasoningConfig(effort="none"), {"thinkingBudget": 0}, None),
        ("gemini-2.5-pro", ReasoningConfig(effort="none"), {"thinkingBudget": 128}, "clamped"),
        ("gemini-2.5-pro", ReasoningConfig(budget_tokens=99_999), {"thinkingBudget": 32768}, "clamped"),
        ("gemini-2.5-flash-lite", ReasoningConfig(budget_tokens=100), {"thinkingBudget": 512}, "clamped"),
        ("gemini-2.5-flash", ReasoningConfig(is_adaptive=True), {"thinkingBudget": -1}, None),
        ("gemini-2.5-flash", ReasoningConfig(is_visible=True), {"includeThoughts": True}, None),
        ("gemini-2.0-flash", ReasoningConfig(effort="high"), None, "dropped"),
        ("gemini-2.0-flash", ReasoningConfig(effort="none", is_visible=True), None, None),
        ("gemma-3-27b", ReasoningConfig(budget_tokens=100), None, "dropped"),
    ],
)
def test_reasoning_settings_are_translated(
    model: str, reasoning: ReasoningConfig, config: Any, loss: str | None
) -> None:
    body, losses = encode(chat(reasoning=reasoning), model)
    assert body.get("generationConfig", {}).get("thinkingConfig") == config
    assert (losses["reasoning"].how if losses else None) == loss


def test_dropped_members_are_reported() -> None:
    image = Media(kind="image", source=Source(data="AA=="), detail="high", has_citations=True, context="c")
    parts = [image, Foreign(dialect="anthropic_messages", kind="search_result", raw={})]
    _, losses = encode(chat(Message(role="user", name="Ann", parts=[*parts, Text(text="x")])))
    assert set(losses) == {
        "messages[].name",
        "messages[].content[].detail",
        "messages[].content[].citations",
        "messages[].content[].context",
        "messages[].content[].search_result",
    }


def test_a_cache_key_is_reported_as_dropped() -> None:
    _, losses = encode(chat(USER, cache_key="k"))
    assert set(losses) == {"cache_key"}


def test_count_requests_contain_all_counted_members() -> None:
    conversation = chat(Message(role="system", parts=[Text(text="s")]), USER, tools=[TOOL])
    request = UPSTREAM.encode_count(conversation, deployment(), LossReport())
    body = json.loads(request.body)
    assert request.path == "/models/gemini-2.5-flash:countTokens"
    assert body["generateContentRequest"]["model"] == "models/gemini-2.5-flash"
    assert {"systemInstruction", "tools", "contents"} <= body["generateContentRequest"].keys()
    vertex = json.loads(UPSTREAM.encode_count(conversation, deployment(base_url=VERTEX), LossReport()).body)
    assert {"systemInstruction", "tools", "contents"} == vertex.keys()


def test_token_counts_are_read() -> None:
    assert UPSTREAM.decode_count(b'{"totalTokens": 31, "promptTokensDetails": []}') == 31
    for body in (b"{}", b"[]", b"x", b'{"totalTokens": "31"}', b'{"totalTokens": true}'):
        with pytest.raises(errors.UpstreamMalformed):
            UPSTREAM.decode_count(body)
    with pytest.raises(errors.UpstreamRateLimited):
        UPSTREAM.decode_count(b'{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}')
