"""The second turn of clients that send back only the id, the name and the arguments of a tool call.

The upstream gets the signatures and the reasoning that its answer carried. Like the vendors, the mock vendor rejects
forged ones, and Claude's calls without their reasoning.
"""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from intellirouter.testing import MockVendor
from tests.support.gateway.fixtures import KEYS
from tests.support.gateway.process import GatewayProcess, until
from tests.support.translation.prompt import Call, Prompt, Tool
from tests.support.translation.world import BOTH, CREDENTIAL, World, config, unique

WEATHER, CLOCK = Tool("weather", "Tells the weather."), Tool("clock", "Tells the time.")
TWO_CALLS = 'call weather with {"city": "Oslo"} then call clock with {"city": "Rome"}'
PLACEHOLDER = "skip_thought_signature_validator"
streamed_and_not = pytest.mark.parametrize("stream", BOTH)
THINKING: dict[str, dict[str, Any]] = {
    "chat": {"reasoning_effort": "low"},
    "responses": {"reasoning": {"effort": "low"}},
    "messages": {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 4000},
    "gemini": {"generationConfig": {"thinkingConfig": {"thinkingBudget": 1024, "includeThoughts": True}}},
    "ollama": {"think": True},
}
"""How clients of each dialect ask for reasoning."""


def second_turn(
    world: World, client: str, upstream: str, *, stream: bool, key: str = "ann", first_key: str = "ann", mark: str = ""
) -> dict[str, Any]:
    """Run two turns as a client that drops unknown members. Returns what the upstream got in the second one."""
    result = unique()
    prompt = Prompt(text=f"{TWO_CALLS} {mark}", tools=[WEATHER, CLOCK], more=THINKING[client])
    first = world.ask(client, upstream, prompt, stream=stream, key=first_key)
    assert first.status == 200, first.body
    assert [call.name for call in first.parsed.calls] == ["weather", "clock"]
    prompt.called = [Call(call.id, call.name, call.arguments) for call in first.parsed.calls]
    prompt.results = ["sunny", result]
    second = world.ask(client, upstream, prompt, stream=stream, key=key)
    assert second.status == 200, second.body
    return world.last_sent(result)


def signatures(sent: dict[str, Any]) -> list[str]:
    return [part["thoughtSignature"] for each in sent["contents"] for part in each["parts"] if "thoughtSignature" in part]


def thinking(sent: dict[str, Any]) -> list[dict[str, Any]]:
    turn = next(each for each in sent["messages"] if each["role"] == "assistant")
    return [block for block in turn["content"] if block["type"] == "thinking"]


@streamed_and_not
@pytest.mark.parametrize("client", ["chat", "responses", "messages", "ollama"])
def test_gemini_gets_its_signature_back(world: World, client: str, stream: bool) -> None:
    sent = second_turn(world, client, "gemini", stream=stream)
    (signature,) = signatures(sent)
    assert signature != PLACEHOLDER


@streamed_and_not
@pytest.mark.parametrize("client", ["chat", "responses", "gemini", "ollama"])
def test_claude_gets_its_thinking_back(world: World, client: str, stream: bool) -> None:
    sent = second_turn(world, client, "anthropic", stream=stream)
    (block,) = thinking(sent)
    assert block["thinking"]
    assert sent["thinking"]["type"] == "enabled"  # not disabled for lack of the reasoning before the call


@streamed_and_not
@pytest.mark.parametrize("client", ["chat", "messages", "gemini", "ollama"])
def test_bedrock_gets_its_reasoning_back(world: World, client: str, stream: bool) -> None:
    sent = second_turn(world, client, "bedrock", stream=stream)
    turn = next(each for each in sent["messages"] if each["role"] == "assistant")
    assert "signature" in turn["content"][0]["reasoningContent"]["reasoningText"]


@streamed_and_not
@pytest.mark.parametrize("client", ["chat", "messages", "gemini", "ollama"])
def test_openai_gets_its_encrypted_reasoning_back(world: World, client: str, stream: bool) -> None:
    sent = second_turn(world, client, "responses", stream=stream)
    items = [item["type"] for item in sent["input"]]
    assert items.index("reasoning") < items.index("function_call")
    (reasoning,) = [item for item in sent["input"] if item["type"] == "reasoning"]
    assert reasoning["encrypted_content"]
