"""Complete responses of other dialects are written as messages."""

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


def encode(*parts: Part, reason: StopReason = "stop", **members: Any) -> tuple[dict[str, Any], dict[str, str]]:
    choice = Choice(parts=list(parts), stop=Stop(reason=reason))
    response = Response(id="chatcmpl-1", model="gpt", choices=[choice], usage=Usage())
    for name, value in members.items():
        setattr(response, name, value)
    losses = LossReport()
    body = CLIENT.encode(response, any_call(), losses)
    return json.loads(body), {loss.field: loss.how for loss in losses.taken()}


def test_the_message_has_a_model_and_disjoint_usage() -> None:
    usage = Usage(input_tokens=5, cache_read_tokens=70, cache_write_tokens=8, output_tokens=3, reasoning_tokens=4)
    message, lost = encode(Text(text="x"), usage=usage)
    assert (message["type"], message["role"], message["model"], message["id"]) == (
        "message", "assistant", "gpt", "chatcmpl-1",
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
    ("reason", "stop_reason", "is_lossy"),
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
def test_every_finish_reason_has_a_stop_reason(reason: StopReason, stop_reason: str, is_lossy: bool) -> None:
    message, lost = encode(Text(text="x"), reason=reason)
    assert message["stop_reason"] == stop_reason
    assert ("stop_reason" in lost) is is_lossy


def test_the_stop_sequence_and_the_explanation_of_a_refusal_are_written() -> None:
    stop = Stop(reason="stop_sequence", sequence="END")
    message, _ = encode(choices=[Choice(parts=[Text(text="x")], stop=stop)])
    assert message["stop_sequence"] == "END"
    stop = Stop(reason="content_filter", message="Violence.")
    message, _ = encode(choices=[Choice(stop=stop)])
    assert message["stop_details"] == {"type": "refusal", "category": None, "explanation": "Violence."}


def test_a_refusal_becomes_text_and_a_stop_reason() -> None:
    message, _ = encode(Refusal(text="I will not."))
    assert message["content"] == [{"type": "text", "text": "I will not."}]
    assert message["stop_reason"] == "refusal"


def test_empty_text_is_left_out() -> None:
    message, _ = encode(Text(text=""), Refusal(text=""), Text(text="x"))
    assert message["content"] == [{"type": "text", "text": "x"}]


def test_reasoning_of_another_dialect_has_a_wrapped_token_and_never_an_empty_signature() -> None:
    token = Opaque(value="gAAA", origin="abc", dialect="openai_responses")
    message, _ = encode(Reasoning(summary=["One.", "Two."], token=token), Reasoning(text="Bare."))
    first, second = message["content"]
    assert (first["type"], first["thinking"]) == ("thinking", "One.\n\nTwo.")
    assert unwrap_token(first["signature"], "anthropic_messages") == token
    assert second["signature"].startswith(WRAPPED_PREFIX), "Anthropic would reject it in a passthrough"
    assert unwrap_token(second["signature"], "anthropic_messages").value == ""


def test_signatures_of_anthropic_are_not_wrapped() -> None:
    token = Opaque(value="EqQB", origin="abc", dialect="anthropic_messages")
    message, _ = encode(Reasoning(text="", token=token), Reasoning(token=token, is_redacted=True))
    assert message["content"] == [
        {"type": "thinking", "thinking": "", "signature": "EqQB"},
        {"type": "redacted_thinking", "data": "EqQB"},
    ]


def test_empty_reasoning_is_left_out() -> None:
    message, _ = encode(Reasoning(), Reasoning(is_redacted=True), Text(text="x"))
    assert message["content"] == [{"type": "text", "text": "x"}]


def test_the_signature_of_a_call_is_a_thinking_block_that_is_read_back() -> None:
    token = Opaque(value="c2ln", origin="abc", dialect="gemini")
    message, _ = encode(ToolCall(id="c1", name="f", arguments='{"a":1}', token=token))
    thinking, call = message["content"]
    assert (thinking["type"], thinking["thinking"]) == ("thinking", "")
    assert call == {"type": "tool_use", "id": "c1", "name": "f", "input": {"a": 1}}
    history = any_call(messages=[{"role": "assistant", "content": message["content"]}])
    assert CLIENT.decode(history).messages[0].parts == [ToolCall(id="c1", name="f", arguments='{"a":1}', token=token)]


def test_usage_that_the_upstream_does_not_report_is_estimated() -> None:
    message, lost = encode(
        Reasoning(text="h" * 8), Text(text="w" * 8), ToolCall(id="a", name="f", arguments='{"x":1}'), usage=None
    )
    assert message["usage"]["input_tokens"] == any_call().estimated_input_tokens() > 0
    assert message["usage"]["output_tokens"] == 6
    assert lost == {"usage": "emulated"}
    assert encode(Text(text="w"), usage=Usage())[0]["usage"]["output_tokens"] == 0


def test_arguments_are_always_an_object() -> None:
    message, lost = encode(
        ToolCall(id="a", name="f", arguments=""),
        ToolCall(id="b", name="f", arguments='{"x": "cut o'),
        ToolCall(id="c", name="f", arguments="free text", kind="custom"),
    )
    assert [block["input"] for block in message["content"]] == [{}, {"_raw": '{"x": "cut o'}, {"input": "free text"}]
    assert lost == {"tool_use.input": "converted"}


def test_ids_contain_only_characters_that_anthropic_accepts() -> None:
    message, _ = encode(ToolCall(id="functions.f:0", name="f"), ToolCall(id="", name="g"))
    first, second = message["content"]
    assert first["id"] == "functions_f_0"
    assert second["id"].startswith("toolu_")


def test_citations_of_other_dialects_have_urls_and_are_not_sent_to_anthropic() -> None:
    web = Citation(kind="url", url="https://a.example", title="A", cited_text="a", raw={"x": 1}, dialect="openai_chat")
    message, lost = encode(Text(text="x", citations=[web, Citation(kind="file", title="f.txt")]))
    citations = message["content"][0]["citations"]
    assert len(citations) == 1
    assert (citations[0]["type"], citations[0]["url"], citations[0]["title"]) == (
        "web_search_result_location",
        "https://a.example",
        "A",
    )
    assert lost == {"citations": "dropped"}
    decoded = CLIENT.decode(any_call(messages=[{"role": "assistant", "content": message["content"]}]))
    part = decoded.messages[0].parts[0]
    assert isinstance(part, Text)
    assert part.citations[0].raw is None, "written by the gateway, so it is never sent to Anthropic"


def test_parts_without_an_equivalent_block_are_losses() -> None:
    image = Media(kind="image", source=Source(data="AAAA"))
    audio = Media(kind="audio", source=Source(data="AAAA"), transcript="La la.")
    foreign = Foreign(dialect="gemini", kind="executableCode", raw={})
    message, lost = encode(image, audio, foreign)
    assert message["content"] == [{"type": "text", "text": "La la."}]
    assert lost == {"image": "dropped", "audio": "converted", "executableCode": "dropped"}


def test_a_tool_result_in_a_response_is_left_out() -> None:
    assert encode(ToolResult(call_id="a"))[0]["content"] == []


def test_only_the_first_choice_is_written() -> None:
    one, two = (Choice(parts=[Text(text=text)], stop=Stop(reason="stop")) for text in "ab")
    message, lost = encode(choices=[one, two])
    assert message["content"] == [{"type": "text", "text": "a"}]
    assert lost == {"n": "dropped"}


def test_an_empty_response_is_a_valid_message() -> None:
    message, _ = encode(choices=[], id="")
    assert message["content"] == []
    assert message["id"].startswith("msg_")
    assert message["stop_reason"] == "end_turn"
    assert message["usage"]["output_tokens"] == 0
