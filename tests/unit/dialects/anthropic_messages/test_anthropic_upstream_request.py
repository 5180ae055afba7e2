"""Turns, tools and media of conversations of other dialects are written as Anthropic's API requires."""

import base64
from typing import Any

import pytest

from intellirouter.core import errors
from intellirouter.dialects.ir import (
    CacheMark,
    Citation,
    CustomTool,
    Foreign,
    FunctionTool,
    Media,
    Refusal,
    ServerTool,
    Source,
    Text,
    ToolCall,
    ToolChoice,
)
from tests.support.dialects.anthropic_messages import LIMIT, TOOL, block, chat, encoded, msg, result

# --- roles and structure


def test_the_default_max_tokens_is_reported() -> None:
    body, lost = encoded(chat())
    assert body["max_tokens"] == 8192
    assert lost == {"max_output_tokens": "converted"}
    body, lost = encoded(chat(sampling=LIMIT))
    assert body["max_tokens"] == 4000
    assert lost == {}


def test_leading_system_messages_become_blocks_of_the_system_prompt() -> None:
    cached = Text(text="Long.", cache=CacheMark(ttl="1h"))
    body, lost = encoded(chat(msg("system", "A", cached), msg("developer", "B"), msg("user", "Hi"), sampling=LIMIT))
    assert body["system"] == [
        block("A"),
        block("Long.") | {"cache_control": {"type": "ephemeral", "ttl": "1h"}},
        block("B"),
    ]
    assert lost == {}
    body, _ = encoded(chat(msg("system", "A"), msg("user", "Hi")))
    assert body["system"] == "A"


def test_later_system_messages_keep_their_position() -> None:
    body, lost = encoded(
        chat(msg("user", "a"), msg("assistant", "b"), msg("system", "S"), msg("user", "c"), sampling=LIMIT)
    )
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    assert body["messages"][2]["content"] == [block("S"), block("c")]
    assert lost == {"messages[].role": "converted"}


def test_consecutive_messages_of_one_role_are_merged() -> None:
    messages = [msg("user", "a"), msg("user", "b"), msg("assistant", "c"), msg("assistant", "d"), msg("user", "e")]
    body, _ = encoded(chat(*messages))
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    assert body["messages"][1]["content"] == [block("c"), block("d")]


def test_the_first_turn_has_the_user_role() -> None:
    body, lost = encoded(chat(msg("assistant", "Hello!"), msg("user", "Hi"), sampling=LIMIT))
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    assert body["messages"][0]["content"][0]["text"].strip()
    assert lost == {"messages": "converted"}


def test_a_conversation_of_system_messages_only_gets_a_user_turn() -> None:
    body, lost = encoded(chat(msg("system", "A"), msg("system", "B"), sampling=LIMIT))
    assert body["system"] == "A"
    assert body["messages"] == [{"role": "user", "content": [block("B")]}]
    assert lost == {"messages": "converted"}


@pytest.mark.parametrize("text", ["", " ", "\n\t"])
def test_empty_text_blocks_are_never_sent(text: str) -> None:
    body, _ = encoded(chat(msg("system", text), msg("user", text, "x"), msg("assistant", text), msg("user", "y")))
    assert "system" not in body
    assert body["messages"] == [{"role": "user", "content": [block("x"), block("y")]}]
    body, lost = encoded(chat(msg("user", text), sampling=LIMIT))
    assert body["messages"][0]["content"][0]["text"].strip()
    assert lost == {"messages": "converted"}


def test_a_prefill_does_not_end_with_white_space() -> None:
    body, lost = encoded(chat(msg("user", "a"), msg("assistant", "The answer is \n"), sampling=LIMIT))
    assert body["messages"][-1]["content"] == [block("The answer is")]
    assert lost == {"messages": "converted"}


def test_dropped_names_are_reported() -> None:
    _, lost = encoded(chat(msg("user", "a", name="bob"), sampling=LIMIT))
    assert lost == {"messages[].name": "dropped"}


def test_earlier_refusals_are_text_and_citations_of_other_dialects_are_dropped() -> None:
    cited = Text(
        text="x", citations=[Citation(kind="url", url="https://a", raw={"type": "url"}, dialect="openai_chat")]
    )
    body, _ = encoded(
        chat(msg("user", "a"), msg("assistant", Refusal(text="No."), Refusal(text=" "), cited), msg("user", "b"))
    )
    assert body["messages"][1]["content"] == [block("No."), block("x")]


# --- tools


def test_all_tool_results_come_first_in_the_next_turn() -> None:
    body, _ = encoded(
        chat(
            msg("user", "go"),
            msg("assistant", "ok", ToolCall(id="a", name="f"), ToolCall(id="b", name="f", arguments='{"x":1}')),
            msg("tool", result("a", Text(text="1"))),
            msg("user", "and?"),
            msg("tool", result("b", Text(text="2"), Text(text="3"), is_error=True)),
            tools=[TOOL],
        )
    )
    assert body["messages"][2] == {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "a", "content": "1"},
            {
                "type": "tool_result",
                "tool_use_id": "b",
                "content": [block("2"), block("3")],
                "is_error": True,
            },
            block("and?"),
        ],
    }


def test_ids_are_valid_unique_and_the_same_in_calls_and_results() -> None:
    calls = [ToolCall(id=name, name="f") for name in ("f:0", "f.0", "fine-1_A")]
    results = [result(name, Text(text=name)) for name in ("f.0", "fine-1_A", "f:0")]
    body, _ = encoded(chat(msg("user", "go"), msg("assistant", *calls), msg("tool", *results), tools=[TOOL]))
    ids = [block["id"] for block in body["messages"][1]["content"]]
    assert ids == ["f_0", "f_0_2", "fine-1_A"]
    ids_by_content = {block["content"]: block["tool_use_id"] for block in body["messages"][2]["content"]}
    assert ids_by_content == {"f.0": "f_0_2", "fine-1_A": "fine-1_A", "f:0": "f_0"}


@pytest.mark.parametrize(
    ("arguments", "kind", "written", "is_lossy"),
    [
        ("", "function", {}, False),
        ("{}", "function", {}, False),
        ('{"a": [1, 2.5, "ü"]}', "function", {"a": [1, 2.5, "ü"]}, False),
        ('{"a": "cut', "function", {"_raw": '{"a": "cut'}, True),
        ("[1]", "function", {"_raw": "[1]"}, True),
        ("SELECT 1", "custom", {"input": "SELECT 1"}, False),
    ],
)
def test_arguments_are_an_object_and_never_dropped(arguments: str, kind: Any, written: Any, is_lossy: bool) -> None:
    call = ToolCall(id="a", name="f", arguments=arguments, kind=kind)
    body, lost = encoded(chat(msg("user", "go"), msg("assistant", call), msg("tool", result("a")), tools=[TOOL]))
    assert body["messages"][1]["content"][0]["input"] == written
    assert ("messages[].tool_calls[].arguments" in lost) is is_lossy


def test_a_tool_result_can_be_empty_or_contain_images() -> None:
    image = Media(kind="image", source=Source(data="/9j/4AAQ"))
    results = [result("a", Text(text="")), result("b", Text(text="see"), image)]
    calls = [ToolCall(id="a", name="f"), ToolCall(id="b", name="f")]
    body, _ = encoded(chat(msg("user", "go"), msg("assistant", *calls), msg("tool", *results), tools=[TOOL]))
    first, second = body["messages"][2]["content"]
    assert "content" not in first
    assert second["content"][1]["source"] == {"type": "base64", "media_type": "image/jpeg", "data": "/9j/4AAQ"}


def test_tools_of_the_history_are_declared_and_disabled() -> None:
    """The API rejects calls of undeclared tools."""
    call = ToolCall(id="a", name="f")
    body, lost = encoded(chat(msg("user", "go"), msg("assistant", call), msg("tool", result("a")), sampling=LIMIT))
    assert body["tools"] == [{"name": "f", "input_schema": {"type": "object", "properties": {}}}]
    assert body["tool_choice"] == {"type": "none"}
    assert lost == {"tools": "emulated"}


CLOSED = {"additionalProperties": False}


@pytest.mark.parametrize(
    ("tool", "written"),
    [
        (FunctionTool(name="f"), {"name": "f", "input_schema": {"type": "object", "properties": {}}}),
        (
            FunctionTool(name="f", description="D", parameters={"properties": {"a": {}}, **CLOSED}, is_strict=True),
            {
                "name": "f",
                "description": "D",
                "input_schema": {"type": "object", "properties": {"a": {}}, **CLOSED},
                "strict": True,
            },
        ),
        (
            FunctionTool(name="f", parameters={"type": "object"}, is_strict=False, cache=CacheMark(), extras={"x": 1}),
            {"name": "f", "input_schema": {"type": "object"}, "cache_control": {"type": "ephemeral"}},
        ),
    ],
)
def test_tools_are_declared(tool: FunctionTool, written: dict[str, Any]) -> None:
    body, lost = encoded(chat(tools=[tool], sampling=LIMIT))
    assert body["tools"] == [written]
    assert lost == {}


def test_custom_tools_get_their_text_as_an_argument() -> None:
    grammar = {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: NUMBER"}}
    tools = [CustomTool(name="sql", description="Runs it.", format=grammar), CustomTool(name="py")]
    body, lost = encoded(chat(tools=list(tools), sampling=LIMIT))
    first, second = body["tools"]
    assert first["input_schema"]["required"] == ["input"]
    assert "start: NUMBER" in first["input_schema"]["properties"]["input"]["description"]
    assert first["description"] == "Runs it."
    assert "description" not in second
    assert lost == {"tools": "emulated"}


SEARCH = ServerTool(dialect="openai_responses", kind="web_search", raw={"type": "web_search"})


def test_tools_that_another_vendor_runs_are_dropped_and_reported() -> None:
    """Codex sends a web search tool with every request."""
    body, lost = encoded(chat(tools=[SEARCH, FunctionTool(name="g")], tool_choice=ToolChoice(mode="required")))
    assert [tool["name"] for tool in body["tools"]] == ["g"]
    assert lost["tools[].web_search"] == "dropped"
    body, lost = encoded(chat(tools=[SEARCH]))
    assert "tools" not in body
    assert lost["tools[].web_search"] == "dropped"


@pytest.mark.parametrize(
    ("choice", "tools"),
    [
        (ToolChoice(mode="required"), [SEARCH]),
        (ToolChoice(mode="named", name="web_search"), [SEARCH, FunctionTool(name="g")]),
        (ToolChoice(raw={"type": "web_search"}), [SEARCH, FunctionTool(name="g")]),
    ],
)
def test_a_forced_tool_that_another_vendor_runs_is_rejected(choice: ToolChoice, tools: list[Any]) -> None:
    with pytest.raises(errors.UnsupportedFeature, match="only its vendor runs") as caught:
        encoded(chat(tools=tools, tool_choice=choice))
    assert caught.value.param == "tool_choice"


def test_a_named_tool_is_found_next_to_dropped_tools() -> None:
    own = ServerTool(dialect="anthropic_messages", kind="bash_20250124", raw={"type": "bash_20250124", "name": "bash"})
    choice = ToolChoice(mode="named", name="bash")
    body, _ = encoded(chat(tools=[SEARCH, own], tool_choice=choice))
    assert body["tool_choice"] == {"type": "tool", "name": "bash"}


@pytest.mark.parametrize(
    ("choice", "written"),
    [
        (None, None),
        (ToolChoice(mode="auto"), {"type": "auto"}),
        (ToolChoice(mode="none"), {"type": "none"}),
        (ToolChoice(mode="none", is_parallel=False), {"type": "none"}),
        (ToolChoice(mode="required"), {"type": "any"}),
        (ToolChoice(mode="named", name="g"), {"type": "tool", "name": "g"}),
        (ToolChoice(is_parallel=False), {"type": "auto", "disable_parallel_tool_use": True}),
        (ToolChoice(is_parallel=True), None),
        (ToolChoice(mode="required", is_parallel=False), {"type": "any", "disable_parallel_tool_use": True}),
        (ToolChoice(mode="required", is_parallel=True), {"type": "any", "disable_parallel_tool_use": False}),
    ],
)
def test_the_tool_choice_is_never_weakened(choice: ToolChoice | None, written: Any) -> None:
    body, lost = encoded(chat(tools=[TOOL, FunctionTool(name="g")], tool_choice=choice, sampling=LIMIT))
    assert body.get("tool_choice") == written
    assert lost == {}
    assert "tool_choice" not in encoded(chat(tool_choice=choice))[0]


def test_only_the_allowed_tools_are_sent() -> None:
    tools = [FunctionTool(name=name) for name in "fgh"]
    choice = ToolChoice(mode="required", allowed=["g", "h"])
    body, lost = encoded(chat(tools=list(tools), tool_choice=choice, sampling=LIMIT))
    assert [tool["name"] for tool in body["tools"]] == ["g", "h"]
    assert body["tool_choice"] == {"type": "any"}
    assert lost == {"tool_choice": "converted"}
    choice = ToolChoice(mode="required", allowed=["h"])
    assert encoded(chat(tools=list(tools), tool_choice=choice))[0]["tool_choice"] == {
        "type": "tool",
        "name": "h",
    }


# --- media


@pytest.mark.parametrize(
    ("media", "written"),
    [
        (
            Media(kind="image", source=Source(data="iVBORw0KGgoAAA")),
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgoAAA"}},
        ),
        (
            Media(kind="image", source=Source(data="xx", media_type="image/webp"), cache=CacheMark()),
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/webp", "data": "xx"},
                "cache_control": {"type": "ephemeral"},
            },
        ),
        (
            Media(kind="image", source=Source(url="https://a.example/b"), detail="auto"),
            {"type": "image", "source": {"type": "url", "url": "https://a.example/b"}},
        ),
        (
            Media(kind="document", source=Source(data="JVBERi0x"), name="a.pdf", context="C", has_citations=True),
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0x"},
                "title": "a.pdf",
                "context": "C",
                "citations": {"enabled": True},
            },
        ),
        (
            Media(kind="document", source=Source(text="words")),
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words"}},
        ),
    ],
)
def test_images_and_documents(media: Media, written: dict[str, Any]) -> None:
    body, lost = encoded(chat(msg("user", media), sampling=LIMIT))
    assert body["messages"][0]["content"] == [written]
    assert lost == {}


def test_text_files_are_sent_as_text_and_detail_is_reported() -> None:
    csv = Media(kind="document", source=Source(data=base64.b64encode("a;ü".encode()).decode(), media_type="text/csv"))
    image = Media(kind="image", source=Source(url="https://a"), detail="low")
    body, lost = encoded(chat(msg("user", csv, image), sampling=LIMIT))
    assert body["messages"][0]["content"][0]["source"]["data"] == "a;ü"
    assert lost == {"messages[].content[].file": "converted", "messages[].content[].detail": "dropped"}


@pytest.mark.parametrize(
    "media",
    [
        Media(kind="audio", source=Source(data="AAAA", media_type="audio/wav")),
        Media(kind="video", source=Source(url="https://a/b.mp4")),
        Media(kind="image", source=Source(file_id="file-9")),
        Media(kind="image", source=Source(url="gs://bucket/a.png")),
        Media(kind="image", source=Source(data="????")),
        Media(kind="document", source=Source(data="UEsDBA", media_type="application/msword")),
        Media(kind="document", source=Source(data="UEsDBA")),
        Media(kind="document", source=Source(data="/w==", media_type="text/plain")),
        Media(kind="document", source=Source(data="no base64!", media_type="text/plain")),
    ],
)
def test_unsupported_media_are_rejected(media: Media) -> None:
    with pytest.raises(errors.UnsupportedFeature) as caught:
        encoded(chat(msg("user", media)))
    assert caught.value.param == "messages"
    with pytest.raises(errors.UnsupportedFeature):
        encoded(chat(msg("system", media), msg("user", "x")))


def test_parts_of_other_dialects_are_losses() -> None:
    part = Foreign(dialect="gemini", kind="executableCode", raw={})
    _, lost = encoded(chat(msg("user", "x", part), sampling=LIMIT))
    assert lost == {"messages[].content[].executableCode": "dropped"}
