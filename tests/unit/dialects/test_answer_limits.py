"""The limits on answers: what exceeds them, and that streams end with the error."""

from typing import Any

import pytest
from msgspec import structs

from intellirouter.core import AnswerLimits, errors
from intellirouter.dialects.adapt.answer_checks import StreamGuard
from intellirouter.dialects.adapt.answer_limits import AnswerCounter, check_limits
from intellirouter.dialects.ir import (
    ArgumentsDelta,
    Choice,
    Citation,
    CitationDelta,
    Event,
    ReasoningDelta,
    RefusalDelta,
    Response,
    Text,
    TextDelta,
    ToolCall,
    ToolCallStarted,
)
from tests.support.dialects.pairs import BY_UPSTREAM, plain_call
from tests.support.dialects.standard import ENDPOINTS
from tests.support.slow_answers import corpus

LIMITS = AnswerLimits(chars=100, parts=4, tool_calls=2)
CALL = ToolCall(id="c", name="f")


def started(part: int) -> Event:
    return ToolCallStarted(id=f"c{part}", name="f", part=part)


@pytest.mark.parametrize(
    ("choices", "problem", "setting"),
    [
        ([Choice(parts=[CALL, CALL]), Choice(parts=[CALL])], "more than 2 tool calls", "max_answer_tool_calls"),
        ([Choice(parts=[Text(text="x")] * 5)], "more than 4 content parts", "max_answer_parts"),
        ([Choice(parts=[Text(text="x", citations=[Citation()] * 5)])], "more than 4 citations", "max_answer_parts"),
    ],
)
def test_complete_answers_over_a_limit_are_rejected(choices: list[Choice], problem: str, setting: str) -> None:
    with pytest.raises(errors.UpstreamAnswerTooLarge) as raised:
        check_limits(Response(choices=choices), LIMITS)
    assert raised.value.message == f"The upstream's answer has {problem}."
    assert raised.value.hint == f"Raise server.{setting} if the model needs more."
    assert raised.value.code == "upstream_answer_too_large"
    assert raised.value.fallback
    assert not raised.value.retryable


def test_complete_answers_at_the_limits_are_accepted() -> None:
    parts = [CALL, CALL, Text(text="x", citations=[Citation()] * 4), Text(text="x")]
    check_limits(Response(choices=[Choice(parts=parts)]), LIMITS)


@pytest.mark.parametrize(
    ("events", "problem"),
    [
        ([started(0), started(1), started(2)], "2 tool calls"),
        ([TextDelta(text="x", part=4)], "4 content parts"),
        ([ReasoningDelta(text="x", part=4)], "4 content parts"),
        ([CitationDelta(citation=Citation())] * 5, "4 citations"),
    ],
)
@pytest.mark.parametrize("counter", [AnswerCounter, StreamGuard])
def test_streams_over_a_limit_are_rejected(counter: type[AnswerCounter], events: list[Event], problem: str) -> None:
    counter(LIMITS).watch(events[:-1])
    with pytest.raises(errors.UpstreamAnswerTooLarge, match=f"more than {problem}"):
        counter(LIMITS).watch(events)


@pytest.mark.parametrize(
    "events",
    [
        [ReasoningDelta(text="x" * 60), RefusalDelta(text="x" * 60)],
        [started(0), *(ArgumentsDelta(text="x" * 30) for _ in range(4))],
    ],
)
def test_checked_streams_have_a_limit_on_characters(events: list[Event]) -> None:
    with pytest.raises(errors.UpstreamAnswerTooLarge, match="more than 100 characters"):
        StreamGuard(LIMITS).watch(events)


def test_text_counts_towards_the_limit_on_characters() -> None:
    guard = StreamGuard(AnswerLimits(chars=5000))
    with pytest.raises(errors.UpstreamAnswerTooLarge, match="more than 5000 characters"):
        guard.watch([TextDelta(text=f"word {number} ") for number in range(2000)])


def relay_of(client: str, upstream: str, **needs: Any) -> Any:
    call = structs.replace(plain_call(client, is_stream=True), **needs)
    deployment = structs.replace(BY_UPSTREAM[upstream], limits=LIMITS)
    return ENDPOINTS["ollama_chat" if client == "ollama" else client].route(call, deployment).relay(call, deployment)


@pytest.mark.parametrize(
    ("client", "upstream"),
    [
        ("openai_responses", "openai_chat"),
        ("anthropic_messages", "openai_chat"),
        ("anthropic_messages", "anthropic_messages"),
        ("gemini", "ollama"),
        ("ollama", "bedrock"),
        ("openai_chat", "openai_responses"),
        ("openai_chat", "openai_chat"),
    ],
)
def test_a_stream_that_exceeds_a_limit_ends_with_the_error_event(client: str, upstream: str) -> None:
    relay = relay_of(client, upstream, needs=frozenset({"tools"}))
    wire = corpus.stream(upstream, "calls", 3)
    out = b"".join(relay.feed(wire[at : at + 40]) for at in range(0, len(wire), 40) if not relay.is_finished)
    assert relay.has_content
    assert relay.error.code == "upstream_answer_too_large"
    assert b"more than 2 tool calls" in out + relay.end()


def test_a_stream_that_exceeds_a_limit_before_anything_was_sent_can_fall_back() -> None:
    relay = relay_of("openai_responses", "openai_chat")
    with pytest.raises(errors.UpstreamAnswerTooLarge):
        relay.feed(corpus.stream("openai_chat", "calls", 3))
