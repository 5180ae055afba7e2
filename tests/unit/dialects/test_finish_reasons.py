"""Finish reasons that do not agree with the answer, and those of vendors with an OpenAI-compatible API."""

import json

import pytest

from intellirouter.core import errors
from intellirouter.dialects.adapt.answer_checks import StreamGuard, validate_answer
from intellirouter.dialects.ir import (
    Choice,
    ChoiceFinished,
    Conversation,
    Foreign,
    Part,
    Response,
    Stop,
    Text,
    ToolCall,
    ToolCallStarted,
    WholePart,
)
from tests.support.dialects.pairs import OTHERS, upstream_of

PLAIN = Conversation(dialect="anthropic_messages", model="m")
CALLS = Stop(reason="tool_calls")
SERVER_CALL = Foreign(dialect="openai_responses", kind="local_shell_call", raw={})


@pytest.mark.parametrize(
    ("part", "reason"),
    [(Text(text="hi"), "stop"), (ToolCall(id="a", name="f"), "tool_calls"), (SERVER_CALL, "tool_calls")],
)
def test_an_answer_without_calls_does_not_finish_with_them(part: Part, reason: str) -> None:
    response = Response(choices=[Choice(parts=[part], stop=CALLS)])
    stop = validate_answer(response, PLAIN).choices[0].stop
    assert stop is not None
    assert stop.reason == reason


def test_a_stream_without_calls_does_not_finish_with_them() -> None:
    guard = StreamGuard()
    guard.watch([ToolCallStarted(part=0, id="a", name="f", choice=1), WholePart(part=0, value=SERVER_CALL, choice=2)])
    finished = [guard.with_calls_or_stop(ChoiceFinished(stop=CALLS, choice=choice)) for choice in range(3)]
    assert [event.stop.reason for event in finished if isinstance(event, ChoiceFinished)] == [
        "stop",
        "tool_calls",
        "tool_calls",
    ]


def _completion(reason: str) -> bytes:
    message = {"role": "assistant", "content": "hi"}
    return json.dumps({"id": "c", "choices": [{"index": 0, "message": message, "finish_reason": reason}]}).encode()


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("model_context_window_exceeded", "context_length"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("RECITATION", "content_filter"),
    ],
)
def test_reasons_of_compatible_vendors_are_known(raw: str, reason: str) -> None:
    response = upstream_of("openai_chat").decode(_completion(raw), OTHERS["compatible"])
    stop = response.choices[0].stop
    assert stop is not None
    assert stop.reason == reason


def test_a_network_error_of_the_vendor_is_not_an_answer() -> None:
    response = upstream_of("openai_chat").decode(_completion("network_error"), OTHERS["compatible"])
    with pytest.raises(errors.UpstreamMalformed):
        validate_answer(response, PLAIN)
