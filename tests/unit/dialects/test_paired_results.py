"""Tool results without their call, from Ollama's clients, for upstreams that reject them."""

import json

import pytest
from msgspec import structs

from intellirouter.core import LossReport
from intellirouter.dialects.adapt.paired_results import with_paired_results
from intellirouter.dialects.ir import Conversation, Message, Text, ToolCall, ToolResult
from tests.support.dialects.pairs import BY_UPSTREAM, call_of, send

CALL = Message(role="assistant", parts=[ToolCall(id="a", name="f")])
RESULT = ToolResult(call_id="a", parts=[Text(text="1")])
ORPHAN = ToolResult(call_id="b", name="g", parts=[Text(text="2")])


def _conversation(*messages: Message) -> Conversation:
    return Conversation(dialect="ollama", model="m", messages=list(messages))


def test_only_results_without_a_call_become_messages_of_the_user() -> None:
    losses = LossReport()
    before = _conversation(CALL, Message(role="tool", parts=[ORPHAN, RESULT]))
    copy = structs.asdict(before)
    after = with_paired_results(before, losses)
    assert structs.asdict(before) == copy
    assert after.messages == [
        CALL,
        Message(role="tool", parts=[RESULT]),
        Message(role="user", parts=[Text(text="The tool g returned:"), Text(text="2")]),
    ]
    assert [(loss.field, loss.how) for loss in losses.taken()] == [("messages", "converted")]


def test_a_conversation_without_such_results_is_the_same_object() -> None:
    losses = LossReport()
    for messages in ([CALL, Message(role="tool", parts=[RESULT])], [Message(role="user")]):
        conversation = _conversation(*messages)
        assert with_paired_results(conversation, losses) is conversation
    assert not losses.taken()


@pytest.mark.parametrize("upstream", [name for name in BY_UPSTREAM if name != "ollama"])
def test_every_upstream_gets_a_request_that_it_accepts(upstream: str) -> None:
    messages = [{"role": "user", "content": "hi"}, {"role": "tool", "content": "12:00", "tool_name": "clock"}]
    sent = send(call_of("ollama", {"body": {"model": "m", "messages": messages}}), "ollama", BY_UPSTREAM[upstream])
    assert sent.request is not None
    body = json.loads(sent.request.body)
    text = json.dumps(body)
    assert "12:00" in text
    assert "clock" in text
    assert not any(name in text for name in ("tool_call_id", "tool_result", "toolResult", "functionResponse"))


def _calls(*ids: str) -> Message:
    return Message(role="assistant", parts=[ToolCall(id=each, name=f"f_{each}") for each in ids])


def _results(*ids: str) -> Message:
    return Message(role="tool", parts=[ToolResult(call_id=each, parts=[Text(text=f"r_{each}")]) for each in ids])


USER = Message(role="user", parts=[Text(text="hi")])


def _outline(conversation: Conversation) -> list[str]:
    """Return the messages in short: `a`, a call; `=a`, its result; `-a`, a result that the gateway added."""
    outline = []
    for message in conversation.messages:
        texts = []
        for part in message.parts:
            if isinstance(part, ToolCall):
                texts.append(part.id)
            elif isinstance(part, ToolResult):
                texts.append(("-" if part.is_error else "=") + part.call_id)
            else:
                texts.append(part.text if isinstance(part, Text) else "?")
        outline.append(" ".join(texts))
    return outline


@pytest.mark.parametrize(
    ("messages", "outline", "how"),
    [
        ([USER, _calls("a", "b"), _results("b"), USER], ["hi", "a b", "-a", "=b", "hi"], "emulated"),
        ([USER, _calls("a"), USER], ["hi", "a", "-a", "hi"], "emulated"),
        ([_calls("a"), Message(role="assistant"), USER], ["a", "", "-a", "hi"], "emulated"),
        ([_calls("a", "b"), _results("a")], ["a b", "=a", "-b"], "emulated"),
        ([_calls("a"), _results("a"), _calls("b"), USER], ["a", "=a", "b", "-b", "hi"], "emulated"),
        ([_calls("a"), USER, _results("a")], ["a", "=a", "hi"], "converted"),
        ([_calls("a", "b"), _results("a"), USER, _results("b")], ["a b", "=a", "=b", "hi"], "converted"),
        ([_calls("a"), _results("a", "a")], ["a", "=a", "A tool returned: r_a"], "converted"),
        ([_calls("a"), _results("a"), USER, _calls("a"), _results("a")], ["a", "=a", "hi", "a_2", "=a_2"], ""),
        ([_calls("a", "a"), _results("a", "a")], ["a a_2", "=a", "=a_2"], ""),
        ([_calls("a_2", "a", "a"), _results("a_2", "a", "a")], ["a_2 a a_3", "=a_2", "=a", "=a_3"], ""),
        (
            [_calls("a"), USER, Message(role="assistant"), _results("a")],
            ["a", "-a", "hi", "", "A tool returned: r_a"],
            "emulated",
        ),
    ],
)
def test_each_call_is_followed_by_one_result(messages: list[Message], outline: list[str], how: str) -> None:
    losses = LossReport()
    after = with_paired_results(_conversation(*messages), losses)
    assert _outline(after) == outline
    assert how in [loss.how for loss in losses.taken()] or not how
    again = LossReport()
    assert with_paired_results(after, again) is after
    assert not again.taken()


@pytest.mark.parametrize(
    "messages",
    [
        [USER, _calls("a", "b"), _results("b", "a"), USER],
        [USER, _calls("a"), _calls("b"), _results("a"), _results("b")],
        [USER, _calls("a")],
        [USER, _calls("a"), Message(role="assistant", parts=[Text(text="x")])],
    ],
)
def test_what_vendors_accept_stays_unchanged(messages: list[Message]) -> None:
    conversation = _conversation(*messages)
    assert with_paired_results(conversation, LossReport()) is conversation


def test_results_in_call_order_have_the_text_of_their_call() -> None:
    results = [ToolResult(call_id="a", parts=[Text(text=text)]) for text in ("1", "2")]
    after = with_paired_results(_conversation(_calls("a", "a"), Message(role="tool", parts=[*results])), LossReport())
    parts = [part for message in after.messages[1:] for part in message.parts if isinstance(part, ToolResult)]
    assert [(part.call_id, part.text()) for part in parts] == [("a", "1"), ("a_2", "2")]


@pytest.mark.parametrize("upstream", [name for name in BY_UPSTREAM if name != "openai_chat"])
def test_an_interrupted_call_gets_a_result(upstream: str) -> None:
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "user", "content": "stop"},
    ]
    sent = send(
        call_of("openai_chat", {"body": {"model": "m", "messages": messages}}), "openai_chat", BY_UPSTREAM[upstream]
    )
    assert sent.request is not None
    assert sent.losses["messages"] == "emulated"
    assert "The tool returned no result." in sent.request.body.decode()


def test_a_call_at_the_start_follows_a_user_turn_for_gemini() -> None:
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "a", "content": "r"},
    ]
    body = {"body": {"model": "m", "messages": messages}}
    sent = send(call_of("openai_chat", body), "openai_chat", BY_UPSTREAM["gemini"])
    assert sent.request is not None
    assert [turn["role"] for turn in json.loads(sent.request.body)["contents"]] == ["user", "model", "user"]
    assert sent.losses["messages"] == "converted"
