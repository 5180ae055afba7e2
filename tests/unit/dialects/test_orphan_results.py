"""Tool results without their call, from Ollama's clients, for upstreams that reject them."""

import json

import pytest
from msgspec import structs

from intellirouter.core import LossReport
from intellirouter.dialects.adapt.orphan_results import with_calls_for_results
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
    after = with_calls_for_results(before, losses)
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
        assert with_calls_for_results(conversation, losses) is conversation
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
