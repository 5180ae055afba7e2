"""Conversations of other dialects for upstreams of the chat dialect: encoding, losses and rejections."""

import json
from typing import Any

import msgspec
import pytest

from intellirouter.core import Deployment, LossReport, errors
from intellirouter.core.vendor import Quirks
from intellirouter.dialects.adapt.reasoning_effort import effort_of
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
    Sampling,
    ServerTool,
    Source,
    Text,
    ToolCall,
    ToolChoice,
    ToolResult,
    origin_of,
)
from intellirouter.dialects.openai_chat import UPSTREAM
from tests.support.dialects.deployments import build_deployment

HELLO = Message(role="user", parts=[Text(text="hi")])
TOOL = FunctionTool(name="f", parameters={"type": "object"})


def deployment(vendor: str = "openai", **quirks: Any) -> Deployment:
    url = "https://vendor.example/v1"
    return build_deployment("openai_chat", vendor, "um", url, name="up", provider="p", quirks=Quirks(**quirks))


def chat(*messages: Message, dialect: str = "anthropic_messages", **members: Any) -> Conversation:
    return Conversation(dialect=dialect, model="m", messages=list(messages) or [HELLO], **members)


def sent(conversation: Conversation, to: Deployment | None = None) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the body and how fields were lost. The conversation must not be changed."""
    losses = LossReport()
    before = msgspec.json.encode(conversation)
    request = UPSTREAM.encode(conversation, to or deployment(), losses)
    assert msgspec.json.encode(conversation) == before
    assert request.path == "/chat/completions"
    return json.loads(request.body), {loss.field: loss.how for loss in losses.taken()}


def rejection(conversation: Conversation, to: Deployment | None = None) -> errors.UnsupportedFeature:
    with pytest.raises(errors.UnsupportedFeature) as caught:
        sent(conversation, to)
    return caught.value


def turns(*parts: Part, role: Any = "assistant", to: Deployment | None = None) -> dict[str, Any]:
    body, _ = sent(chat(HELLO, Message(role=role, parts=list(parts))), to)
    turn: dict[str, Any] = body["messages"][1]
    return turn


def test_a_stream_requests_usage() -> None:
    body, losses = sent(chat(is_stream=True))
    assert body == {
        "model": "um",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert losses == {}


def test_the_token_limit_has_the_vendors_name() -> None:
    conversation = chat(sampling=Sampling(max_output_tokens=5))
    assert sent(conversation)[0]["max_completion_tokens"] == 5
    assert sent(conversation, deployment("ollama"))[0]["max_tokens"] == 5
    renamed = deployment("openai", renames=(("max_completion_tokens", "max_tokens"),))
    assert sent(conversation, renamed)[0]["max_tokens"] == 5


def test_parameters_that_openai_does_not_support_are_dropped_for_openai_only() -> None:
    conversation = chat(sampling=Sampling(top_k=4, min_p=0.1, repetition_penalty=1.1, temperature=0.5))
    body, losses = sent(conversation)
    assert losses == {"top_k": "dropped", "min_p": "dropped", "repetition_penalty": "dropped"}
    assert body["temperature"] == 0.5
    body, losses = sent(conversation, deployment("vllm"))
    assert (body["top_k"], body["min_p"], body["repetition_penalty"], losses) == (4, 0.1, 1.1, {})


def test_openai_gets_at_most_four_stop_sequences() -> None:
    conversation = chat(sampling=Sampling(stop=list("abcde")))
    body, losses = sent(conversation)
    assert (body["stop"], losses["stop"]) == (list("abcd"), "clamped")
    assert sent(conversation, deployment("vllm"))[0]["stop"] == list("abcde")
    assert sent(chat(sampling=Sampling(stop=list("abcd"))))[0]["stop"] == list("abcd")


def test_developer_messages_become_system_messages_for_other_vendors() -> None:
    conversation = chat(Message(role="developer", parts=[Text(text="brief")]), HELLO, dialect="openai_responses")
    assert sent(conversation)[0]["messages"][0] == {"role": "developer", "content": "brief"}
    body, losses = sent(conversation, deployment("groq"))
    assert body["messages"][0] == {"role": "system", "content": "brief"}
    assert losses == {"messages[].role": "converted"}
    assert sent(conversation, deployment("groq", has_developer_role=True))[0]["messages"][0]["role"] == "developer"


def test_system_messages_within_a_conversation_keep_their_place() -> None:
    conversation = chat(HELLO, Message(role="system", parts=[Text(text="now")]), HELLO)
    assert [turn["role"] for turn in sent(conversation)[0]["messages"]] == ["user", "system", "user"]


def test_text_parts_are_joined_for_other_vendors() -> None:
    conversation = chat(Message(role="system", parts=[Text(text="a"), Text(text="b")]), HELLO)
    assert sent(conversation)[0]["messages"][0]["content"] == [
        {"type": "text", "text": "a"},
        {"type": "text", "text": "b"},
    ]
    assert sent(conversation, deployment("deepseek"))[0]["messages"][0]["content"] == "a\n\nb"


def test_text_parts_of_an_assistant_message_are_joined() -> None:
    assert turns(Text(text="a"), Text(text="b"))["content"] == "ab"


def test_parallel_calls_are_one_message_and_each_result_is_one() -> None:
    calls = [ToolCall(id=f"c{index}", name="f", arguments='{"x":1}') for index in range(2)]
    results = [ToolResult(call_id=f"c{index}", parts=[Text(text=str(index))]) for index in range(2)]
    conversation = chat(
        HELLO, Message(role="assistant", parts=[*calls]), Message(role="tool", parts=[*results]), HELLO, tools=[TOOL]
    )
    messages = sent(conversation)[0]["messages"]
    assert [turn["role"] for turn in messages] == ["user", "assistant", "tool", "tool", "user"]
    assert messages[1]["content"] is None
    assert [call["id"] for call in messages[1]["tool_calls"]] == ["c0", "c1"]
    assert messages[3] == {"role": "tool", "tool_call_id": "c1", "content": "1"}


def test_images_of_tool_results_are_sent_in_the_next_user_message() -> None:
    image = Media(kind="image", source=Source(data="AAAA", media_type="image/png"))
    results = [ToolResult(call_id="c0", parts=[image]), ToolResult(call_id="c1", parts=[Text(text="ok")])]
    conversation = chat(HELLO, Message(role="tool", parts=[*results]), HELLO)
    body, losses = sent(conversation)
    assert [turn["role"] for turn in body["messages"]] == ["user", "tool", "tool", "user"]
    assert body["messages"][1]["content"]
    moved = body["messages"][3]["content"]
    assert "c0" in moved[0]["text"]
    assert moved[1] == {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    assert moved[2] == {"type": "text", "text": "hi"}
    assert losses == {"messages[].content[].tool_result.content": "converted"}
    ending, _ = sent(chat(HELLO, Message(role="tool", parts=[results[0]])))
    assert [turn["role"] for turn in ending["messages"]] == ["user", "tool", "user"]


@pytest.mark.parametrize(("text", "sent_text"), [("no file", "Error: no file"), ("Error 5", "Error 5")])
def test_an_error_of_a_tool_becomes_part_of_the_text(text: str, sent_text: str) -> None:
    result = ToolResult(call_id="c", parts=[Text(text=text)], is_error=True)
    body, losses = sent(chat(HELLO, Message(role="tool", parts=[result])))
    assert body["messages"][1]["content"] == sent_text
    assert losses == {"messages[].content[].is_error": "converted"}


def test_invalid_arguments_in_the_history_are_unchanged() -> None:
    assert (
        turns(ToolCall(id="c", name="f", arguments='{"x": "cu'))["tool_calls"][0]["function"]["arguments"]
        == '{"x": "cu'
    )


def test_documents() -> None:
    pdf = Media(kind="document", source=Source(data="JVBE", media_type="application/pdf"), name="Report")
    note = Media(kind="document", source=Source(text="body"), name="note.txt")
    content = turns(pdf, note, role="user")["content"]
    assert content[0]["file"] == {"filename": "Report.pdf", "file_data": "data:application/pdf;base64,JVBE"}
    assert content[1] == {"type": "text", "text": "note.txt\n\nbody"}
    linked = Media(kind="document", source=Source(url="https://example.org/a.pdf"))
    assert "URL" in rejection(chat(Message(role="user", parts=[linked]))).message
    stored = Media(kind="image", source=Source(file_id="file-1"))
    assert "file id" in rejection(chat(Message(role="user", parts=[stored]))).message.lower()


def test_audio_and_video() -> None:
    audio = Media(kind="audio", source=Source(data="AAAA", media_type="audio/mpeg"))
    video = Media(kind="video", source=Source(url="https://example.org/a.mp4"))
    content = turns(audio, video, role="user")["content"]
    assert content[0]["input_audio"] == {"data": "AAAA", "format": "mp3"}
    assert content[1]["video_url"] == {"url": "https://example.org/a.mp4"}


def test_unsigned_reasoning_is_sent_only_to_vendors_that_need_it() -> None:
    signed = Reasoning(text="mine", token=Opaque(value="s", dialect="anthropic_messages"))
    unsigned = Reasoning(text="hm")
    assert turns(signed, unsigned, Text(text="a")) == {"role": "assistant", "content": "a"}
    turn = turns(signed, unsigned, Text(text="a"), to=deployment("deepseek"))
    assert turn["reasoning_content"] == "hm"
    turn = turns(unsigned, Text(text="a"), to=deployment("moonshot", reasoning_field="reasoning"))
    assert (turn["reasoning"], "reasoning_content" in turn) == ("hm", False)


def test_signed_reasoning_is_sent_only_to_the_endpoint_that_issued_it() -> None:
    here, elsewhere = deployment("openrouter"), deployment("together")
    entry = '{"type":"reasoning.text","signature":"s","index":0}'
    own = Reasoning(text="hm", token=Opaque(value=entry, origin=origin_of(here), dialect="openai_chat"))
    assert turns(own, Text(text="a"), to=here)["reasoning_details"] == [
        {"type": "reasoning.text", "signature": "s", "index": 0, "text": "hm"}
    ]
    foreign = Reasoning(text="hm", token=Opaque(value=entry, origin="other", dialect="openai_chat"))
    assert "reasoning_details" not in turns(foreign, Text(text="a"), to=elsewhere)


def test_gemini_signatures_are_sent_only_to_gemini() -> None:
    call = ToolCall(id="c", name="f", token=Opaque(value="g", dialect="gemini"))
    assert "extra_content" not in turns(call)["tool_calls"][0]
    signed = turns(call, to=deployment("gemini"))["tool_calls"][0]
    assert signed["extra_content"] == {"google": {"thought_signature": "g"}}
    bound = ToolCall(id="c", name="f", token=Opaque(value="g", origin="other", dialect="gemini"))
    assert "extra_content" not in turns(bound, to=deployment("gemini"))["tool_calls"][0]


@pytest.mark.parametrize(
    ("tokens", "effort"),
    [(1, "low"), (1024, "low"), (1025, "medium"), (8192, "medium"), (8193, "high"), (10**6, "high")],
)
def test_a_reasoning_budget_becomes_an_effort(tokens: int, effort: str) -> None:
    assert effort_of(tokens) == effort
    body, losses = sent(chat(reasoning=ReasoningConfig(is_enabled=True, budget_tokens=tokens)))
    assert body["reasoning_effort"] == effort
    assert losses == {"reasoning.budget_tokens": "converted"}


@pytest.mark.parametrize(
    ("reasoning", "vendor", "effort", "losses"),
    [
        (ReasoningConfig(effort="max"), "openai", "max", {}),
        (ReasoningConfig(effort="max"), "groq", "high", {"reasoning.effort": "converted"}),
        (ReasoningConfig(effort="minimal"), "groq", "low", {"reasoning.effort": "converted"}),
        (ReasoningConfig(is_enabled=False), "openai", None, {"reasoning": "dropped"}),
        (ReasoningConfig(effort="none", is_enabled=False), "openai", "none", {}),
        (ReasoningConfig(effort="low", is_enabled=False), "openai", "low", {"reasoning": "converted"}),
        (ReasoningConfig(is_adaptive=True), "openai", None, {"reasoning": "converted"}),
        (ReasoningConfig(budget_tokens=-1), "openai", None, {"reasoning": "converted"}),
        (ReasoningConfig(effort="low", summary="auto"), "openai", "low", {"reasoning.summary": "dropped"}),
        (ReasoningConfig(effort="low", is_visible=False), "openai", "low", {}),
        (ReasoningConfig(effort="low", is_visible=True), "groq", "low", {}),
        (ReasoningConfig(effort="low", is_visible=False), "groq", "low", {"reasoning.summary": "dropped"}),
    ],
)
def test_reasoning_efforts(reasoning: ReasoningConfig, vendor: str, effort: str | None, losses: dict[str, str]) -> None:
    body, lost = sent(chat(reasoning=reasoning), deployment(vendor))
    assert (body.get("reasoning_effort"), lost) == (effort, losses)


def test_openrouter_gets_the_reasoning_budget() -> None:
    reasoning = ReasoningConfig(budget_tokens=2000, is_visible=False)
    assert sent(chat(reasoning=reasoning), deployment("openrouter"))[0]["reasoning"] == {
        "max_tokens": 2000,
        "exclude": True,
    }


def test_tool_choices_are_never_weakened() -> None:
    def choice(choice: ToolChoice, vendor: str = "openai") -> Any:
        return sent(chat(tools=[TOOL], tool_choice=choice), deployment(vendor))[0]["tool_choice"]

    assert choice(ToolChoice(mode="none")) == "none"
    assert choice(ToolChoice(mode="required")) == "required"
    assert choice(ToolChoice(mode="named", name="f")) == {"type": "function", "function": {"name": "f"}}
    allowed = ToolChoice(mode="required", allowed=["f"])
    assert choice(allowed)["allowed_tools"]["tools"] == [{"type": "function", "function": {"name": "f"}}]
    assert rejection(chat(tool_choice=ToolChoice(mode="required"))).param == "tool_choice"
    foreign = ToolChoice(mode="named", name="web_search", raw={"type": "web_search"})
    assert rejection(chat(tools=[TOOL], tool_choice=foreign)).param == "tool_choice"


def test_only_allowed_tools_are_sent_to_vendors_without_allowed_tools() -> None:
    tools = [TOOL, FunctionTool(name="g")]
    conversation = chat(tools=tools, tool_choice=ToolChoice(mode="required", allowed=["g"]))
    body, losses = sent(conversation, deployment("groq"))
    assert [tool["function"]["name"] for tool in body["tools"]] == ["g"]
    assert (body["tool_choice"], losses) == ("required", {"tool_choice": "converted"})


def test_parallel_tool_calls_false_is_sent() -> None:
    body, _ = sent(chat(tools=[TOOL], tool_choice=ToolChoice(is_parallel=False)))
    assert (body["parallel_tool_calls"], body["tool_choice"]) == (False, "auto")


def test_custom_and_server_tools() -> None:
    custom = CustomTool(name="code", format={"type": "text"})
    body, _ = sent(chat(tools=[custom], tool_choice=ToolChoice(mode="named", name="code")))
    assert body["tools"] == [{"type": "custom", "custom": {"name": "code", "format": {"type": "text"}}}]
    assert body["tool_choice"] == {"type": "custom", "custom": {"name": "code"}}
    named = ToolChoice(mode="named", name="code")
    body, losses = sent(chat(tools=[custom], tool_choice=named), deployment("groq"))
    assert body["tools"][0]["function"]["parameters"]["required"] == ["input"]
    assert body["tool_choice"] == {"type": "function", "function": {"name": "code"}}
    assert losses == {"tools": "emulated"}
    server = ServerTool(dialect="anthropic_messages", kind="web_search", raw={})
    body, losses = sent(chat(tools=[server, TOOL]))
    assert len(body["tools"]) == 1
    assert losses == {"tools[].web_search": "dropped"}
    called = turns(ToolCall(id="c", name="code", arguments="1+1", kind="custom"), to=deployment("groq"))
    assert called["tool_calls"][0]["function"] == {"name": "code", "arguments": '{"input":"1+1"}'}


def test_structured_output_is_sent_or_emulated_and_reported() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    conversation = chat(output=OutputFormat(kind="json_schema", schema=schema, is_strict=True))
    body, losses = sent(conversation)
    assert body["response_format"]["json_schema"] == {"name": "response", "schema": schema, "strict": True}
    assert losses == {}
    body, losses = sent(conversation, deployment("deepseek", structured_output="json_object"))
    assert body["response_format"] == {"type": "json_object"}
    assert json.dumps(schema, separators=(",", ":")) in body["messages"][0]["content"]
    assert losses == {"output": "emulated"}
    body, losses = sent(conversation, deployment("x", structured_output="none"))
    assert "response_format" not in body
    assert losses == {"output": "emulated"}


def test_json_mode_adds_the_word_json_that_openai_requires() -> None:
    body, _ = sent(chat(output=OutputFormat(kind="json_object")))
    assert "JSON" in body["messages"][0]["content"]
    with_json = Message(role="user", parts=[Text(text="as json")])
    assert len(sent(chat(with_json, output=OutputFormat(kind="json_object")))[0]["messages"]) == 1


def test_cache_marks_are_sent_where_supported_and_otherwise_reported() -> None:
    marked = chat(Message(role="user", parts=[Text(text="long", cache=CacheMark(ttl="1h"))]))
    assert sent(marked) == ({"model": "um", "messages": [{"role": "user", "content": "long"}]}, {"cache": "converted"})
    body, losses = sent(marked, deployment("openrouter"))
    assert body["messages"][0]["content"][0]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
    assert losses == {}
    assert sent(marked, deployment("cerebras"))[1] == {"cache": "dropped"}


def test_user_metadata_service_tier_and_cache_key() -> None:
    long_user = json.dumps({"device": "d" * 80})
    body, losses = sent(chat(user=long_user, metadata={"a": "b"}, service_tier="standard_only", cache_key="k"))
    assert len(body["user"]) == 64
    assert body["user"] != long_user[:64]
    assert (body["service_tier"], body["prompt_cache_key"], "metadata" in body) == ("default", "k", False)
    assert losses == {"user": "converted", "metadata": "dropped"}
    _, losses = sent(
        chat(user="u", service_tier="flex", cache_key="k", sampling=Sampling(verbosity="low")), deployment("x")
    )
    assert losses == {"service_tier": "dropped", "cache_key": "dropped", "verbosity": "dropped"}


def test_unsupported_output_modalities_are_rejected() -> None:
    assert rejection(chat(modalities=["text", "image"])).param == "modalities"
    assert sent(chat(modalities=["text"]))[0].keys() == {"model", "messages"}
    assert sent(chat(modalities=["text", "image"]), deployment("openrouter"))[0]["modalities"] == ["text", "image"]


def test_refusals_and_foreign_parts_of_the_history() -> None:
    assert turns(Refusal(text="no")) == {"role": "assistant", "content": None, "refusal": "no"}
    assert turns(Refusal(text="no"), to=deployment("groq")) == {"role": "assistant", "content": "no"}
    foreign = Foreign(dialect="anthropic_messages", kind="server_tool_use", raw={})
    body, losses = sent(chat(HELLO, Message(role="assistant", parts=[foreign, Text(text="a")])))
    assert body["messages"][1]["content"] == "a"
    assert losses == {"messages[].content[].server_tool_use": "dropped"}


def test_extras_are_sent_only_within_their_dialect() -> None:
    own = chat(dialect="openai_chat", extras={"store": True})
    assert sent(own)[0]["store"] is True
    assert "store" not in sent(chat(extras={"store": True}))[0]


def test_quirks_apply_to_translated_requests() -> None:
    to = deployment("x", refuses=frozenset({"seed", "user"}), max_temperature=1.0, takes_stream_options=False)
    conversation = chat(user="u", is_stream=True, sampling=Sampling(seed=1, temperature=1.5))
    body, losses = sent(conversation, to)
    assert body == {"model": "um", "messages": [{"role": "user", "content": "hi"}], "temperature": 1.0, "stream": True}
    assert losses == {"seed": "dropped", "user": "dropped", "temperature": "clamped"}


@pytest.mark.parametrize(
    ("name", "members"),
    [
        ("tools", {"tools": [TOOL]}),
        ("tool_choice", {"tools": [TOOL], "tool_choice": ToolChoice(mode="required")}),
        ("response_format", {"output": OutputFormat(kind="json_object")}),
        ("n", {"sampling": Sampling(n=2)}),
        ("stop", {"sampling": Sampling(stop=["a"])}),
    ],
)
def test_members_that_the_client_relies_on_are_not_dropped(name: str, members: dict[str, Any]) -> None:
    rejection(chat(**members), deployment("x", refuses=frozenset({name})))


def test_the_automatic_tool_choice_is_dropped() -> None:
    conversation = chat(tools=[TOOL], tool_choice=ToolChoice())
    assert "tool_choice" not in sent(conversation, deployment("x", refuses=frozenset({"tool_choice"})))[0]
