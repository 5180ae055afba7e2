"""Text, tools, structured output and images: every client with every upstream, streamed and not."""

import json

import pytest
from jsonschema import Draft202012Validator

from tests.support.translation.prompt import PIXEL, SCHEMA, Prompt, Tool
from tests.support.translation.world import BOTH, CLIENTS, TOOL_CLIENTS, UPSTREAMS, World, unique

pytestmark = [pytest.mark.parametrize("stream", BOTH), pytest.mark.parametrize("upstream", UPSTREAMS)]
CHOOSING = [name for name in TOOL_CLIENTS if name != "ollama"]
"""Clients that can request a specific tool; Ollama clients cannot."""
WEATHER = Tool("weather", "Tells the weather.")
CLOCK = Tool("clock", "Tells the time.")


@pytest.mark.parametrize("client", CLIENTS)
def test_text_is_passed_on(world: World, client: str, upstream: str, stream: bool) -> None:
    mark = unique()
    answer = world.ask(client, upstream, stream=stream, text=f"Grüße, 世界 🎉 {mark}")
    assert answer.status == 200, answer.body
    assert answer.parsed.text.endswith(f": Grüße, 世界 🎉 {mark}")
    assert answer.parsed.finish == "stop"
    assert answer.parsed.is_complete
    # A passthrough response keeps the name of the upstream model.
    assert answer.parsed.model in {upstream, UPSTREAMS[upstream].model}
    assert len(world.sent(mark)) == 1


@pytest.mark.parametrize("client", CLIENTS)
def test_token_limit_is_applied_and_reported(world: World, client: str, upstream: str, stream: bool) -> None:
    answer = world.ask(client, upstream, stream=stream, text="many words " * 20, max_tokens=20)
    assert answer.status == 200, answer.body
    assert answer.parsed.finish == "length"
    assert world.record(answer)["usage"]["output_tokens"] == 20


@pytest.mark.parametrize("client", TOOL_CLIENTS)
def test_tool_calls_and_results_make_a_round_trip(world: World, client: str, upstream: str, stream: bool) -> None:
    """Two parallel calls, whose results contain only what each client sends back."""
    asked = 'call weather with {"city": "Oslo"} then call clock with {"city": "Rome"}'
    prompt = Prompt(text=asked, system="Be brief.", tools=[WEATHER, CLOCK])
    first = world.ask(client, upstream, prompt, stream=stream)
    assert first.status == 200, first.body
    assert first.parsed.finish == "tool_calls"
    assert [(call.name, call.arguments) for call in first.parsed.calls] == [
        ("weather", {"city": "Oslo"}),
        ("clock", {"city": "Rome"}),
    ]
    if client not in {"ollama", "gemini", "gemini_array"}:  # dialects whose calls must have ids
        assert len({call.id for call in first.parsed.calls}) == 2
    mark = unique()
    prompt.called, prompt.raw_turn = first.parsed.calls, first.parsed.raw_turn
    prompt.results = [f"sunny {mark}", f"noon {mark}"]
    second = world.ask(client, upstream, prompt, stream=stream)
    assert second.status == 200, second.body
    assert second.parsed.calls == []
    assert mark in second.parsed.text
    (sent,) = world.sent(mark)
    assert f"sunny {mark}" in sent["body"]
    assert f"noon {mark}" in sent["body"]
    assert second.parsed.finish == "stop"


@pytest.mark.parametrize("client", CHOOSING)
def test_forced_tool_is_called(world: World, client: str, upstream: str, stream: bool) -> None:
    answer = world.ask(client, upstream, stream=stream, text="hi", tools=[WEATHER, CLOCK], tool_choice="=clock")
    assert answer.status == 200, answer.body
    assert [call.name for call in answer.parsed.calls] == ["clock"]


@pytest.mark.parametrize("client", CHOOSING)
def test_no_tool_is_called_with_tool_choice_none(world: World, client: str, upstream: str, stream: bool) -> None:
    answer = world.ask(
        client, upstream, stream=stream, text='call weather with {"city":"Oslo"}', tools=[WEATHER], tool_choice="none"
    )
    assert answer.status == 200, answer.body
    assert answer.parsed.calls == []
    assert answer.parsed.finish == "stop"


@pytest.mark.parametrize("client", [name for name, kind in CLIENTS.items() if kind.has_schema])
def test_structured_output_matches_its_schema(world: World, client: str, upstream: str, stream: bool) -> None:
    answer = world.ask(client, upstream, stream=stream, text="Who?", schema=SCHEMA)
    assert answer.status == 200, answer.body
    Draft202012Validator(SCHEMA).validate(json.loads(answer.parsed.text))


@pytest.mark.parametrize("client", [name for name, kind in CLIENTS.items() if kind.takes_images])
def test_image_reaches_the_upstream(world: World, client: str, upstream: str, stream: bool) -> None:
    mark = unique()
    answer = world.ask(client, upstream, stream=stream, text=f"What is it? {mark}", image=PIXEL)
    assert answer.status == 200, answer.body
    assert mark in answer.parsed.text
    (sent,) = world.sent(mark)
    assert PIXEL in sent["body"]
