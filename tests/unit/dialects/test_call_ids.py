"""Ids of tool calls: what each upstream accepts, and what clients can distinguish."""

import json
import re
from typing import Any

import pytest

from intellirouter.core import Deployment
from intellirouter.dialects.adapt.answer_checks import StreamGuard, validate_answer
from intellirouter.dialects.adapt.call_ids import short_id, shortened_id
from intellirouter.dialects.ir import Choice, Conversation, Message, Response, Stop, ToolCall, ToolCallStarted
from tests.support.dialects.pairs import BY_UPSTREAM, call_of, deployment, send

LONG = "call_" + "x" * 90
RULES = {
    "openai_chat": r"[^\s]{1,40}",
    "openai_responses": r"[^\s]{1,64}",
    "anthropic_messages": r"[a-zA-Z0-9_-]+",
    "bedrock": r"[a-zA-Z0-9_-]{1,64}",
}
MISTRAL = deployment("openai_chat", "mistral", "mistral-large-latest", "https://api.mistral.ai/v1")
MISTRAL_ON_VLLM = deployment("openai_chat", "vllm", "mistralai/Devstral-Small-2507", "http://127.0.0.1:9/v1")
MISTRAL_ON_BEDROCK = deployment(
    "bedrock", "bedrock", "mistral.mistral-large-2407-v1:0", "https://bedrock-runtime.eu-west-1.amazonaws.com"
)


def _ids_sent(upstream: Deployment, *ids: str) -> list[str]:
    """Return the ids of calls and results that the upstream gets for a client's ids."""
    client = "openai_responses" if upstream.dialects == ("openai_chat",) else "openai_chat"
    if client == "openai_chat":
        calls = [{"id": each, "type": "function", "function": {"name": "f", "arguments": "{}"}} for each in ids]
        results = [{"role": "tool", "tool_call_id": each, "content": "r"} for each in ids]
        body: dict[str, Any] = {
            "messages": [
                {"role": "user", "content": "hi"},
                {"role": "assistant", "content": None, "tool_calls": calls},
                *results,
            ]
        }
    else:
        items = [{"type": "function_call", "call_id": each, "name": "f", "arguments": "{}"} for each in ids]
        outputs = [{"type": "function_call_output", "call_id": each, "output": "r"} for each in ids]
        body = {"input": [{"role": "user", "content": "hi"}, *items, *outputs]}
    sent = send(call_of(client, {"body": {"model": "m", **body}}), client, upstream)
    assert sent.request is not None
    text = json.dumps(json.loads(sent.request.body))
    return re.findall(r'"(?:id|call_id|tool_call_id|tool_use_id|toolUseId)": "([^"]*)"', text)


@pytest.mark.parametrize("upstream", list(RULES))
def test_every_vendor_gets_ids_that_it_accepts(upstream: str) -> None:
    sent = _ids_sent(BY_UPSTREAM[upstream], "functions.f:0", LONG, "functions.f.0")
    assert len(sent) == 6
    assert all(re.fullmatch(RULES[upstream], each) for each in sent)
    assert sent[:3] == sent[3:]
    assert len(set(sent)) == 3


@pytest.mark.parametrize("upstream", [MISTRAL, MISTRAL_ON_VLLM, MISTRAL_ON_BEDROCK])
def test_mistral_gets_nine_letters_and_digits(upstream: Deployment) -> None:
    sent = _ids_sent(upstream, "call_1", "abcDEF123", LONG)
    assert sent[:3] == sent[3:]
    assert sent[1] == "abcDEF123"
    assert all(re.fullmatch("[a-zA-Z0-9]{9}", each) for each in sent)
    assert len(set(sent)) == 3


def test_replaced_ids_depend_on_nothing_but_the_id() -> None:
    assert short_id(LONG) == short_id(LONG) != short_id(LONG + "y")
    assert shortened_id(LONG, 40) == shortened_id(LONG, 64) != LONG
    assert shortened_id("call_1", 40) == "call_1"


HISTORY = Conversation(
    dialect="anthropic_messages",
    model="m",
    messages=[
        Message(role="assistant", parts=[ToolCall(id="call_0", name="f"), ToolCall(id="functions_f_0", name="f")])
    ],
)


@pytest.mark.parametrize("used", ["call_0", "functions.f:0"])
def test_an_id_of_the_history_is_not_used_again(used: str) -> None:
    calls = [ToolCall(id=used, name="f"), ToolCall(id="call_1", name="f")]
    response = Response(choices=[Choice(parts=[*calls], stop=Stop(reason="tool_calls"))])
    first, second = validate_answer(response, HISTORY).choices[0].parts
    assert isinstance(first, ToolCall)
    assert first.id.startswith("call_")
    assert first.id not in {used, "call_0", "call_1"}
    assert second == calls[1]


@pytest.mark.parametrize("used", ["call_0", "functions.f:0"])
def test_an_id_of_the_history_is_not_used_again_in_a_stream(used: str) -> None:
    guard = StreamGuard(history=HISTORY)
    event = guard.with_unique_id(ToolCallStarted(part=0, id=used, name="f"))
    assert isinstance(event, ToolCallStarted)
    assert event.id not in {used, "call_0", "functions_f_0"}
    kept = ToolCallStarted(part=1, id="call_1", name="f")
    assert guard.with_unique_id(kept) is kept
