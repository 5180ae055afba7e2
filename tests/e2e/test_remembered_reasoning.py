"""The second turn of clients that send back only the id, the name and the arguments of a tool call.

The upstream gets the signatures and the reasoning that its answer carried. Like the vendors, the mock vendor rejects
forged ones, and Claude's calls without their reasoning.
"""

import signal
from pathlib import Path
from typing import Any

import pytest

from intellirouter.testing import MockVendor
from tests.support.gateway.fixtures import KEYS
from tests.support.gateway.process import GatewayProcess, until
from tests.support.translation.prompt import Call, Prompt, Tool
from tests.support.translation.world import BOTH, CLIENTS, CREDENTIAL, World, config, unique

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
    world: World, client: str, upstream: str, *, stream: bool, keys: tuple[str, str] = ("ann", "ann"), mark: str = ""
) -> dict[str, Any]:
    """Run two turns as a client that drops unknown members. Returns what the upstream got in the second one."""
    result = unique()
    prompt = Prompt(text=f"{TWO_CALLS} {mark}", tools=[WEATHER, CLOCK], more=THINKING[client])
    first = world.ask(client, upstream, prompt, stream=stream, key=keys[0])
    assert first.status == 200, first.body
    assert [call.name for call in first.parsed.calls] == ["weather", "clock"]
    prompt.called = [Call(call.id, call.name, call.arguments) for call in first.parsed.calls]
    prompt.results = ["sunny", result]
    second = world.ask(client, upstream, prompt, stream=stream, key=keys[1])
    assert second.status == 200, second.body
    return world.last_sent(result)


def signatures(sent: dict[str, Any]) -> list[str]:
    return [
        part["thoughtSignature"] for each in sent["contents"] for part in each["parts"] if "thoughtSignature" in part
    ]


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
@pytest.mark.parametrize("client", ["chat", "messages", "responses", "ollama"])
def test_gemini_gets_the_signature_of_a_text_back(world: World, client: str, stream: bool) -> None:
    prompt = Prompt(text=unique())
    answer = world.ask(client, "gemini", prompt, stream=stream)
    request = CLIENTS[client].build(prompt, "gemini", stream=stream)
    turns = request.body["input" if client == "responses" else "messages"]
    turns += [{"role": "assistant", "content": answer.parsed.text}, {"role": "user", "content": (again := unique())}]
    assert world.post(client, request.path, request.body, stream=stream).status == 200
    sent = world.last_sent(again)
    (signature,) = signatures(sent)
    assert "thoughtSignature" in sent["contents"][1]["parts"][-1]
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


@streamed_and_not
def test_another_tenant_with_the_same_call_ids_gets_nothing(world: World, stream: bool) -> None:
    sent = second_turn(world, "chat", "gemini", stream=stream, keys=("ann", "bob"))
    assert signatures(sent) == [PLACEHOLDER]
    assert not thinking(second_turn(world, "chat", "anthropic", stream=stream, keys=("ann", "bob")))


@pytest.mark.parametrize(("first", "second"), [("gemini", "anthropic"), ("anthropic", "gemini")])
def test_another_upstream_gets_nothing(world: World, first: str, second: str) -> None:
    prompt = Prompt(text=TWO_CALLS, tools=[WEATHER, CLOCK], more=THINKING["chat"])
    calls = world.ask("chat", first, prompt).parsed.calls
    result = unique()
    prompt.called, prompt.results = [Call(each.id, each.name, each.arguments) for each in calls], ["sunny", result]
    assert world.ask("chat", second, prompt).status == 200
    sent = world.last_sent(result)
    assert signatures(sent) == [PLACEHOLDER] if second == "gemini" else not thinking(sent)


@streamed_and_not
def test_ollama_calls_of_another_conversation_are_not_confused(world: World, stream: bool) -> None:
    """The calls are the same and have no ids, but the texts before them differ."""
    first = second_turn(world, "ollama", "gemini", stream=stream, mark=unique())
    second = second_turn(world, "ollama", "gemini", stream=stream, mark=unique())
    assert PLACEHOLDER not in signatures(first) + signatures(second)
    assert signatures(first) != signatures(second)


def test_reloads_keep_what_is_remembered_and_limits_apply_at_once(tmp_path: Path) -> None:
    with MockVendor(api_key=CREDENTIAL) as vendor:
        settings = config(vendor, tmp_path)
        with GatewayProcess(settings, tmp_path, admin_key=KEYS["admin"]) as gateway:
            world = World(gateway, vendor)

            def second_signatures(**memory: Any) -> list[str]:
                """Run a turn, reload with these settings, and return the signatures in the next turn."""
                prompt = Prompt(text=TWO_CALLS, tools=[WEATHER, CLOCK])
                calls, result = world.ask("chat", "gemini", prompt).parsed.calls, unique()
                before = gateway.stderr().count("The configuration was reloaded")
                gateway.configure({**settings, "logging": {"level": "info"}, "reasoning_memory": memory})
                gateway.signal(signal.SIGHUP)
                until(lambda: gateway.stderr().count("The configuration was reloaded") > before, "it is reloaded")
                prompt.called = [Call(each.id, each.name, each.arguments) for each in calls]
                prompt.results = ["sunny", result]
                assert world.ask("chat", "gemini", prompt).status == 200
                return signatures(world.last_sent(result))

            assert second_signatures() != [PLACEHOLDER]
            assert second_signatures(max_entries=1) != [PLACEHOLDER]
            assert second_signatures(enabled=False) == [PLACEHOLDER]
            assert second_signatures(enabled=True) == [PLACEHOLDER]  # nothing was remembered while it was disabled
            assert second_signatures(enabled=True) != [PLACEHOLDER]
            metrics = world.get("/metrics", key="admin").text
            (line,) = [each for each in metrics.splitlines() if each.startswith("intellirouter_reasoning_memory_bytes")]
            assert float(line.split()[1]) > 0
            world.http.close()


def test_what_is_remembered_is_bounded(tmp_path: Path) -> None:
    with MockVendor(api_key=CREDENTIAL) as vendor:
        settings = {**config(vendor, tmp_path), "reasoning_memory": {"max_entries": 1}}
        with GatewayProcess(settings, tmp_path, admin_key=KEYS["admin"]) as gateway:
            world = World(gateway, vendor)
            prompts = [Prompt(text=TWO_CALLS, tools=[WEATHER, CLOCK]) for _ in range(2)]
            for prompt in prompts:
                prompt.called = world.ask("chat", "gemini", prompt).parsed.calls
            sent = []
            for prompt in reversed(prompts):
                result = unique()
                prompt.called = [Call(each.id, each.name, each.arguments) for each in prompt.called]
                prompt.results = ["sunny", result]
                assert world.ask("chat", "gemini", prompt).status == 200
                sent.append(signatures(world.last_sent(result)))
            assert sent[0] != [PLACEHOLDER]
            assert sent[1] == [PLACEHOLDER]
            world.http.close()
