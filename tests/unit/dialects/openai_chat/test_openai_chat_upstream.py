"""What other dialects' requests become for vendors of the chat dialect: sent, converted, reported, or refused."""

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


def asked(*messages: Message, dialect: str = "anthropic_messages", **members: Any) -> Conversation:
    return Conversation(dialect=dialect, model="m", messages=list(messages) or [HELLO], **members)


def sent(conversation: Conversation, to: Deployment | None = None) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the body and, by field, how it was lost. The conversation must stay as it was."""
    losses = LossReport()
    before = msgspec.json.encode(conversation)
    request = UPSTREAM.encode(conversation, to or deployment(), losses)
    assert msgspec.json.encode(conversation) == before
    assert request.path == "/chat/completions"
    return json.loads(request.body), {loss.field: loss.how for loss in losses.taken()}


def refused(conversation: Conversation, to: Deployment | None = None) -> errors.UnsupportedFeature:
    with pytest.raises(errors.UnsupportedFeature) as caught:
        sent(conversation, to)
    return caught.value


def turns(*parts: Part, role: Any = "assistant", to: Deployment | None = None) -> dict[str, Any]:
    body, _ = sent(asked(HELLO, Message(role=role, parts=list(parts))), to)
    turn: dict[str, Any] = body["messages"][1]
    return turn


def test_a_stream_asks_for_usage() -> None:
    body, losses = sent(asked(is_stream=True))
    assert body == {
        "model": "um",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert losses == {}


def test_the_limit_is_called_what_the_vendor_calls_it() -> None:
    asking = asked(sampling=Sampling(max_output_tokens=5))
    assert sent(asking)[0]["max_completion_tokens"] == 5
    assert sent(asking, deployment("ollama"))[0]["max_tokens"] == 5
    renamed = deployment("openai", renames=(("max_completion_tokens", "max_tokens"),))
    assert sent(asking, renamed)[0]["max_tokens"] == 5


def test_knobs_that_openai_does_not_know_are_dropped_there_only() -> None:
    asking = asked(sampling=Sampling(top_k=4, min_p=0.1, repetition_penalty=1.1, temperature=0.5))
    body, losses = sent(asking)
    assert losses == {"top_k": "dropped", "min_p": "dropped", "repetition_penalty": "dropped"}
    assert body["temperature"] == 0.5
    body, losses = sent(asking, deployment("vllm"))
    assert (body["top_k"], body["min_p"], body["repetition_penalty"], losses) == (4, 0.1, 1.1, {})


def test_more_than_four_stops_are_not_cut_down_silently() -> None:
    asking = asked(sampling=Sampling(stop=list("abcde")))
    assert refused(asking).param == "stop"
    assert sent(asking, deployment("vllm"))[0]["stop"] == list("abcde")
    assert sent(asked(sampling=Sampling(stop=list("abcd"))))[0]["stop"] == list("abcd")


def test_developer_is_kept_for_openai_and_said_as_system_elsewhere() -> None:
    asking = asked(Message(role="developer", parts=[Text(text="brief")]), HELLO, dialect="openai_responses")
    assert sent(asking)[0]["messages"][0] == {"role": "developer", "content": "brief"}
    body, losses = sent(asking, deployment("groq"))
    assert body["messages"][0] == {"role": "system", "content": "brief"}
    assert losses == {"messages[].role": "converted"}
    assert sent(asking, deployment("groq", has_developer_role=True))[0]["messages"][0]["role"] == "developer"


def test_system_messages_in_mid_conversation_stay_in_place() -> None:
    asking = asked(HELLO, Message(role="system", parts=[Text(text="now")]), HELLO)
    assert [turn["role"] for turn in sent(asking)[0]["messages"]] == ["user", "system", "user"]


def test_text_blocks_stay_blocks_for_openai_and_become_one_text_elsewhere() -> None:
    asking = asked(Message(role="system", parts=[Text(text="a"), Text(text="b")]), HELLO)
    assert sent(asking)[0]["messages"][0]["content"] == [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert sent(asking, deployment("deepseek"))[0]["messages"][0]["content"] == "a\n\nb"


def test_an_answer_split_by_citations_is_one_text_again() -> None:
    assert turns(Text(text="a"), Text(text="b"))["content"] == "ab"


def test_parallel_calls_are_one_message_and_results_one_message_each() -> None:
    calls = [ToolCall(id=f"c{index}", name="f", arguments='{"x":1}') for index in range(2)]
    results = [ToolResult(call_id=f"c{index}", parts=[Text(text=str(index))]) for index in range(2)]
    asking = asked(
        HELLO, Message(role="assistant", parts=[*calls]), Message(role="tool", parts=[*results]), HELLO, tools=[TOOL]
    )
    messages = sent(asking)[0]["messages"]
    assert [turn["role"] for turn in messages] == ["user", "assistant", "tool", "tool", "user"]
    assert messages[1]["content"] is None
    assert [call["id"] for call in messages[1]["tool_calls"]] == ["c0", "c1"]
    assert messages[3] == {"role": "tool", "tool_call_id": "c1", "content": "1"}


def test_pictures_of_tool_results_follow_in_the_next_user_turn_after_all_results() -> None:
    picture = Media(kind="image", source=Source(data="AAAA", media_type="image/png"))
    results = [ToolResult(call_id="c0", parts=[picture]), ToolResult(call_id="c1", parts=[Text(text="ok")])]
    asking = asked(HELLO, Message(role="tool", parts=[*results]), HELLO)
    body, losses = sent(asking)
    assert [turn["role"] for turn in body["messages"]] == ["user", "tool", "tool", "user"]
    assert body["messages"][1]["content"]
    moved = body["messages"][3]["content"]
    assert "c0" in moved[0]["text"]
    assert moved[1] == {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    assert moved[2] == {"type": "text", "text": "hi"}
    assert losses == {"messages[].content[].tool_result.content": "converted"}
    ending, _ = sent(asked(HELLO, Message(role="tool", parts=[results[0]])))
    assert [turn["role"] for turn in ending["messages"]] == ["user", "tool", "user"]


@pytest.mark.parametrize(("text", "said"), [("no file", "Error: no file"), ("Error 5", "Error 5")])
def test_a_failed_tool_says_so_in_words(text: str, said: str) -> None:
    result = ToolResult(call_id="c", parts=[Text(text=text)], is_error=True)
    body, losses = sent(asked(HELLO, Message(role="tool", parts=[result])))
    assert body["messages"][1]["content"] == said
    assert losses == {"messages[].content[].is_error": "converted"}


def test_broken_arguments_of_earlier_turns_are_kept() -> None:
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
    assert "URL" in refused(asked(Message(role="user", parts=[linked]))).message
    stored = Media(kind="image", source=Source(file_id="file-1"))
    assert "file id" in refused(asked(Message(role="user", parts=[stored]))).message.lower()


def test_recordings_and_films() -> None:
    audio = Media(kind="audio", source=Source(data="AAAA", media_type="audio/mpeg"))
    film = Media(kind="video", source=Source(url="https://example.org/a.mp4"))
    content = turns(audio, film, role="user")["content"]
    assert content[0]["input_audio"] == {"data": "AAAA", "format": "mp3"}
    assert content[1]["video_url"] == {"url": "https://example.org/a.mp4"}


def test_thoughts_of_others_are_left_out_and_returned_to_vendors_that_need_them() -> None:
    signed = Reasoning(text="mine", token=Opaque(value="s", dialect="anthropic_messages"))
    unsigned = Reasoning(text="hm")
    assert turns(signed, unsigned, Text(text="a")) == {"role": "assistant", "content": "a"}
    turn = turns(signed, unsigned, Text(text="a"), to=deployment("deepseek"))
    assert turn["reasoning_content"] == "hm"
    turn = turns(unsigned, Text(text="a"), to=deployment("moonshot", reasoning_field="reasoning"))
    assert (turn["reasoning"], "reasoning_content" in turn) == ("hm", False)


def test_signed_entries_go_back_to_the_endpoint_that_made_them_only() -> None:
    here, elsewhere = deployment("openrouter"), deployment("together")
    entry = '{"type":"reasoning.text","signature":"s","index":0}'
    own = Reasoning(text="hm", token=Opaque(value=entry, origin=origin_of(here), dialect="openai_chat"))
    assert turns(own, Text(text="a"), to=here)["reasoning_details"] == [
        {"type": "reasoning.text", "signature": "s", "index": 0, "text": "hm"}
    ]
    foreign = Reasoning(text="hm", token=Opaque(value=entry, origin="other", dialect="openai_chat"))
    assert "reasoning_details" not in turns(foreign, Text(text="a"), to=elsewhere)


def test_gemini_signatures_go_to_gemini_only() -> None:
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
def test_a_thinking_budget_becomes_an_effort(tokens: int, effort: str) -> None:
    assert effort_of(tokens) == effort
    body, losses = sent(asked(reasoning=ReasoningConfig(is_enabled=True, budget_tokens=tokens)))
    assert body["reasoning_effort"] == effort
    assert losses == {"reasoning.budget_tokens": "converted"}


@pytest.mark.parametrize(
    ("ask", "vendor", "effort", "losses"),
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
def test_efforts(ask: ReasoningConfig, vendor: str, effort: str | None, losses: dict[str, str]) -> None:
    body, lost = sent(asked(reasoning=ask), deployment(vendor))
    assert (body.get("reasoning_effort"), lost) == (effort, losses)


def test_openrouter_takes_budgets_as_they_are() -> None:
    ask = ReasoningConfig(budget_tokens=2000, is_visible=False)
    assert sent(asked(reasoning=ask), deployment("openrouter"))[0]["reasoning"] == {"max_tokens": 2000, "exclude": True}


def test_tool_choices_are_never_weakened() -> None:
    def choice(choice: ToolChoice, vendor: str = "openai") -> Any:
        return sent(asked(tools=[TOOL], tool_choice=choice), deployment(vendor))[0]["tool_choice"]

    assert choice(ToolChoice(mode="none")) == "none"
    assert choice(ToolChoice(mode="required")) == "required"
    assert choice(ToolChoice(mode="named", name="f")) == {"type": "function", "function": {"name": "f"}}
    allowed = ToolChoice(mode="required", allowed=["f"])
    assert choice(allowed)["allowed_tools"]["tools"] == [{"type": "function", "function": {"name": "f"}}]
    assert refused(asked(tool_choice=ToolChoice(mode="required"))).param == "tool_choice"
    foreign = ToolChoice(mode="named", name="web_search", raw={"type": "web_search"})
    assert refused(asked(tools=[TOOL], tool_choice=foreign)).param == "tool_choice"


def test_allowed_tools_are_the_only_ones_sent_where_the_vendor_has_no_word_for_it() -> None:
    tools = [TOOL, FunctionTool(name="g")]
    asking = asked(tools=tools, tool_choice=ToolChoice(mode="required", allowed=["g"]))
    body, losses = sent(asking, deployment("groq"))
    assert [tool["function"]["name"] for tool in body["tools"]] == ["g"]
    assert (body["tool_choice"], losses) == ("required", {"tool_choice": "converted"})


def test_one_call_at_a_time_is_said() -> None:
    body, _ = sent(asked(tools=[TOOL], tool_choice=ToolChoice(is_parallel=False)))
    assert (body["parallel_tool_calls"], body["tool_choice"]) == (False, "auto")


def test_custom_and_server_tools() -> None:
    custom = CustomTool(name="code", format={"type": "text"})
    body, _ = sent(asked(tools=[custom], tool_choice=ToolChoice(mode="named", name="code")))
    assert body["tools"] == [{"type": "custom", "custom": {"name": "code", "format": {"type": "text"}}}]
    assert body["tool_choice"] == {"type": "custom", "custom": {"name": "code"}}
    named = ToolChoice(mode="named", name="code")
    body, losses = sent(asked(tools=[custom], tool_choice=named), deployment("groq"))
    assert body["tools"][0]["function"]["parameters"]["required"] == ["input"]
    assert body["tool_choice"] == {"type": "function", "function": {"name": "code"}}
    assert losses == {"tools": "emulated"}
    server = ServerTool(dialect="anthropic_messages", kind="web_search", raw={})
    body, losses = sent(asked(tools=[server, TOOL]))
    assert len(body["tools"]) == 1
    assert losses == {"tools[].web_search": "dropped"}
    called = turns(ToolCall(id="c", name="code", arguments="1+1", kind="custom"), to=deployment("groq"))
    assert called["tool_calls"][0]["function"] == {"name": "code", "arguments": '{"input":"1+1"}'}


def test_structured_output_is_sent_or_emulated_and_said() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    asking = asked(output=OutputFormat(kind="json_schema", schema=schema, is_strict=True))
    body, losses = sent(asking)
    assert body["response_format"]["json_schema"] == {"name": "response", "schema": schema, "strict": True}
    assert losses == {}
    body, losses = sent(asking, deployment("deepseek", structured_output="json_object"))
    assert body["response_format"] == {"type": "json_object"}
    assert json.dumps(schema, separators=(",", ":")) in body["messages"][0]["content"]
    assert losses == {"output": "emulated"}
    body, losses = sent(asking, deployment("x", structured_output="none"))
    assert "response_format" not in body
    assert losses == {"output": "emulated"}


def test_json_mode_has_the_word_that_openai_wants() -> None:
    body, _ = sent(asked(output=OutputFormat(kind="json_object")))
    assert "JSON" in body["messages"][0]["content"]
    spoken = Message(role="user", parts=[Text(text="as json")])
    assert len(sent(asked(spoken, output=OutputFormat(kind="json_object")))[0]["messages"]) == 1


def test_cache_marks_go_where_they_are_known_and_are_missed_only_where_nothing_caches() -> None:
    marked = asked(Message(role="user", parts=[Text(text="long", cache=CacheMark(ttl="1h"))]))
    assert sent(marked) == ({"model": "um", "messages": [{"role": "user", "content": "long"}]}, {"cache": "converted"})
    body, losses = sent(marked, deployment("openrouter"))
    assert body["messages"][0]["content"][0]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
    assert losses == {}
    assert sent(marked, deployment("cerebras"))[1] == {"cache": "dropped"}


def test_housekeeping() -> None:
    long_user = json.dumps({"device": "d" * 80})
    body, losses = sent(asked(user=long_user, metadata={"a": "b"}, service_tier="standard_only", cache_key="k"))
    assert len(body["user"]) == 64
    assert body["user"] != long_user[:64]
    assert (body["service_tier"], body["prompt_cache_key"], "metadata" in body) == ("default", "k", False)
    assert losses == {"user": "converted", "metadata": "dropped"}
    _, losses = sent(
        asked(user="u", service_tier="flex", cache_key="k", sampling=Sampling(verbosity="low")), deployment("x")
    )
    assert losses == {"service_tier": "dropped", "cache_key": "dropped", "verbosity": "dropped"}


def test_pictures_and_speech_in_the_answer_are_refused_where_they_cannot_come() -> None:
    assert refused(asked(modalities=["text", "image"])).param == "modalities"
    assert sent(asked(modalities=["text"]))[0].keys() == {"model", "messages"}
    assert sent(asked(modalities=["text", "image"]), deployment("openrouter"))[0]["modalities"] == ["text", "image"]


def test_refusals_and_foreign_parts_of_the_history() -> None:
    assert turns(Refusal(text="no")) == {"role": "assistant", "content": None, "refusal": "no"}
    assert turns(Refusal(text="no"), to=deployment("groq")) == {"role": "assistant", "content": "no"}
    foreign = Foreign(dialect="anthropic_messages", kind="server_tool_use", raw={})
    body, losses = sent(asked(HELLO, Message(role="assistant", parts=[foreign, Text(text="a")])))
    assert body["messages"][1]["content"] == "a"
    assert losses == {"messages[].content[].server_tool_use": "dropped"}


def test_extras_go_to_their_own_dialect_only() -> None:
    own = asked(dialect="openai_chat", extras={"store": True})
    assert sent(own)[0]["store"] is True
    assert "store" not in sent(asked(extras={"store": True}))[0]


def test_quirks_hold_for_translated_requests() -> None:
    to = deployment("x", refuses=frozenset({"seed", "user"}), max_temperature=1.0, takes_stream_options=False)
    asking = asked(user="u", is_stream=True, sampling=Sampling(seed=1, temperature=1.5))
    body, losses = sent(asking, to)
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
def test_what_the_client_relies_on_is_never_left_out(name: str, members: dict[str, Any]) -> None:
    refused(asked(**members), deployment("x", refuses=frozenset({name})))


def test_an_automatic_choice_may_be_left_out() -> None:
    asking = asked(tools=[TOOL], tool_choice=ToolChoice())
    assert "tool_choice" not in sent(asking, deployment("x", refuses=frozenset({"tool_choice"})))[0]
