"""Answers of other dialects as messages: whole."""

import json
from typing import Any

import pytest

from intellirouter.core import LossReport, Usage
from intellirouter.dialects.anthropic_messages import CLIENT
from intellirouter.dialects.ir import (
    Choice,
    Citation,
    Foreign,
    Media,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Response,
    Source,
    Stop,
    StopReason,
    Text,
    ToolCall,
    ToolResult,
    unwrap_token,
)
from intellirouter.dialects.ir.tokens import WRAPPED_PREFIX
from tests.support.dialects.anthropic_messages import any_call


def told(*parts: Part, reason: StopReason = "stop", **members: Any) -> tuple[dict[str, Any], dict[str, str]]:
    response = Response(id="chatcmpl-1", model="gpt", choices=[Choice(parts=list(parts), stop=Stop(reason=reason))])
    for name, value in members.items():
        setattr(response, name, value)
    losses = LossReport()
    body = CLIENT.encode(response, any_call(), losses)
    return json.loads(body), {loss.field: loss.how for loss in losses.taken()}


def test_the_client_sees_the_model_it_asked_for_and_disjoint_usage() -> None:
    usage = Usage(input_tokens=5, cache_read_tokens=70, cache_write_tokens=8, output_tokens=3, reasoning_tokens=4)
    message, lost = told(Text(text="x"), usage=usage)
    assert (message["type"], message["role"], message["model"], message["id"]) == (
        "message", "assistant", "public", "chatcmpl-1",
    )  # fmt: skip
    assert message["usage"] == {
        "input_tokens": 5,
        "cache_creation_input_tokens": 8,
        "cache_read_input_tokens": 70,
        "output_tokens": 7,
        "output_tokens_details": {"thinking_tokens": 4},
    }
    assert lost == {}


@pytest.mark.parametrize(
    ("reason", "word", "is_lossy"),
    [
        ("stop", "end_turn", False),
        ("stop_sequence", "stop_sequence", False),
        ("length", "max_tokens", False),
        ("context_length", "model_context_window_exceeded", False),
        ("tool_calls", "tool_use", False),
        ("content_filter", "refusal", False),
        ("refusal", "refusal", False),
        ("pause", "pause_turn", False),
        ("malformed_tool_call", "end_turn", True),
        ("cancelled", "end_turn", True),
        ("error", "end_turn", True),
    ],
)
def test_every_end_has_a_word(reason: StopReason, word: str, is_lossy: bool) -> None:
    message, lost = told(Text(text="x"), reason=reason)
    assert message["stop_reason"] == word
    assert ("stop_reason" in lost) is is_lossy


def test_the_stop_sequence_and_the_words_of_a_refusal_are_said() -> None:
    stop = Stop(reason="stop_sequence", sequence="END")
    message, _ = told(choices=[Choice(parts=[Text(text="x")], stop=stop)])
    assert message["stop_sequence"] == "END"
    stop = Stop(reason="content_filter", message="Violence.")
    message, _ = told(choices=[Choice(stop=stop)])
    assert message["stop_details"] == {"type": "refusal", "category": None, "explanation": "Violence."}


def test_a_refusal_is_text_and_a_stop_reason() -> None:
    message, _ = told(Refusal(text="I will not."))
    assert message["content"] == [{"type": "text", "text": "I will not."}]
    assert message["stop_reason"] == "refusal"


def test_empty_text_is_left_out() -> None:
    message, _ = told(Text(text=""), Refusal(text=""), Text(text="x"))
    assert message["content"] == [{"type": "text", "text": "x"}]


def test_foreign_thoughts_carry_a_wrapped_token_and_never_an_empty_signature() -> None:
    token = Opaque(value="gAAA", origin="abc", dialect="openai_responses")
    message, _ = told(Reasoning(summary=["One.", "Two."], token=token), Reasoning(text="Bare."))
    first, second = message["content"]
    assert (first["type"], first["thinking"]) == ("thinking", "One.\n\nTwo.")
    assert unwrap_token(first["signature"], "anthropic_messages") == token
    assert second["signature"].startswith(WRAPPED_PREFIX), "a relay to Anthropic would be refused"
    assert unwrap_token(second["signature"], "anthropic_messages").value == ""


def test_anthropics_own_signature_stays_bare() -> None:
    token = Opaque(value="EqQB", origin="abc", dialect="anthropic_messages")
    message, _ = told(Reasoning(text="", token=token), Reasoning(token=token, is_redacted=True))
    assert message["content"] == [
        {"type": "thinking", "thinking": "", "signature": "EqQB"},
        {"type": "redacted_thinking", "data": "EqQB"},
    ]


def test_thoughts_without_anything_are_nothing() -> None:
    message, _ = told(Reasoning(), Reasoning(is_redacted=True), Text(text="x"))
    assert message["content"] == [{"type": "text", "text": "x"}]


def test_a_signed_call_brings_its_signature_before_it_and_back() -> None:
    token = Opaque(value="c2ln", origin="abc", dialect="gemini")
    message, _ = told(ToolCall(id="c1", name="f", arguments='{"a":1}', token=token))
    thinking, call = message["content"]
    assert (thinking["type"], thinking["thinking"]) == ("thinking", "")
    assert call == {"type": "tool_use", "id": "c1", "name": "f", "input": {"a": 1}}
    history = any_call(messages=[{"role": "assistant", "content": message["content"]}])
    assert CLIENT.decode(history).messages[0].parts == [ToolCall(id="c1", name="f", arguments='{"a":1}', token=token)]


def test_arguments_are_an_object_whatever_the_model_wrote() -> None:
    message, lost = told(
        ToolCall(id="a", name="f", arguments=""),
        ToolCall(id="b", name="f", arguments='{"x": "cut o'),
        ToolCall(id="c", name="f", arguments="free text", kind="custom"),
    )
    assert [block["input"] for block in message["content"]] == [{}, {"_raw": '{"x": "cut o'}, {"input": "free text"}]
    assert lost == {"tool_use.input": "converted"}


def test_ids_are_in_the_characters_that_anthropic_takes_back() -> None:
    message, _ = told(ToolCall(id="functions.f:0", name="f"), ToolCall(id="", name="g"))
    first, second = message["content"]
    assert first["id"] == "functions_f_0"
    assert second["id"].startswith("toolu_")


def test_citations_of_others_lead_to_their_pages_and_do_not_come_back() -> None:
    web = Citation(kind="url", url="https://a.example", title="A", cited_text="a", raw={"x": 1}, dialect="openai_chat")
    message, lost = told(Text(text="x", citations=[web, Citation(kind="file", title="f.txt")]))
    said = message["content"][0]["citations"]
    assert len(said) == 1
    assert (said[0]["type"], said[0]["url"], said[0]["title"]) == (
        "web_search_result_location",
        "https://a.example",
        "A",
    )
    assert lost == {"citations": "dropped"}
    again = CLIENT.decode(any_call(messages=[{"role": "assistant", "content": message["content"]}]))
    part = again.messages[0].parts[0]
    assert isinstance(part, Text)
    assert part.citations[0].raw is None, "made up by us: never sent to Anthropic"


def test_what_a_message_cannot_hold_is_a_loss() -> None:
    picture = Media(kind="image", source=Source(data="AAAA"))
    sound = Media(kind="audio", source=Source(data="AAAA"), transcript="La la.")
    foreign = Foreign(dialect="gemini", kind="executableCode", raw={})
    message, lost = told(picture, sound, foreign)
    assert message["content"] == [{"type": "text", "text": "La la."}]
    assert lost == {"image": "dropped", "audio": "converted", "executableCode": "dropped"}


def test_a_result_has_no_place_in_an_answer() -> None:
    assert told(ToolResult(call_id="a"))[0]["content"] == []


def test_only_the_first_choice_is_told() -> None:
    one, two = (Choice(parts=[Text(text=text)], stop=Stop(reason="stop")) for text in "ab")
    message, lost = told(choices=[one, two])
    assert message["content"] == [{"type": "text", "text": "a"}]
    assert lost == {"n": "dropped"}


def test_an_answer_without_anything_is_still_a_message() -> None:
    message, _ = told(choices=[], id="")
    assert message["content"] == []
    assert message["id"].startswith("msg_")
    assert message["stop_reason"] == "end_turn"
    assert message["usage"]["output_tokens"] == 0
