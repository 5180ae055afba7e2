"""Defects that are common in other gateways: streams."""

import json
import time
from typing import Any

import pytest

from tests.support.gateway.fixtures import KEYS
from tests.support.gateway.raw_http import RawConnection
from tests.support.translation.answers import sse
from tests.support.translation.prompt import Prompt, Tool
from tests.support.translation.world import BOTH, CLIENTS, UPSTREAMS, World, unique

WEATHER, CLOCK = Tool("weather", "Tells the weather."), Tool("clock", "Tells the time.")
TWO_CALLS = 'call weather with {"city": "Oslo"} then call clock with {"city": "Rome"}'
OTHERS = [name for name in UPSTREAMS if name not in {"openai", "azure"}]
"""Upstreams whose streams the gateway translates for chat clients."""
every_upstream = pytest.mark.parametrize("upstream", UPSTREAMS)
streamed_and_not = pytest.mark.parametrize("stream", BOTH)


def chunks_of(world: World, upstream: str, **members: Any) -> list[dict[str, Any]]:
    """Return the chunks of a complete chat stream."""
    body = {"model": upstream, "messages": [{"role": "user", "content": "hello"}], "stream": True, **members}
    answer = world.call("/v1/chat/completions", body)
    assert answer.status_code == 200, answer.text
    data = [each for _, each in sse(answer.content)]
    assert data[-1] == "[DONE]"
    found = [json.loads(each) for each in data[:-1]]
    return [chunk for chunk in found if "prompt_filter_results" not in chunk]  # Azure's own


def events_of(world: World, upstream: str, prompt: Prompt) -> list[dict[str, Any]]:
    """Return the events of an Anthropic client's stream."""
    answer = world.ask("messages", upstream, prompt, stream=True)
    assert answer.parsed.is_complete, answer.body
    return [json.loads(data) for _, data in sse(answer.body)]


@every_upstream
def test_usage_chunk_is_sent_only_if_requested(world: World, upstream: str) -> None:
    assert not [chunk for chunk in chunks_of(world, upstream) if chunk.get("usage")]
    assert all(chunk["choices"] for chunk in chunks_of(world, upstream))


@every_upstream
def test_usage_chunk_has_no_choices(world: World, upstream: str) -> None:
    *others, last = chunks_of(world, upstream, stream_options={"include_usage": True})
    assert last["choices"] == []
    assert last["usage"]["total_tokens"] > 0
    assert not [chunk for chunk in others if chunk.get("usage")]


@every_upstream
@streamed_and_not
@pytest.mark.parametrize("client", ["chat", "messages", "gemini", "ollama", "responses"])
def test_tool_calls_have_the_finish_reason_for_tool_calls(
    world: World, client: str, upstream: str, stream: bool
) -> None:
    answer = world.ask(client, upstream, stream=stream, text=TWO_CALLS, tools=[WEATHER, CLOCK])
    assert answer.parsed.finish == "tool_calls"
    if client == "chat":
        assert b'tool_call"' not in answer.body.replace(b'"type":"tool_call"', b"")


@every_upstream
def test_finish_reason_is_sent_exactly_once(world: World, upstream: str) -> None:
    reasons = [chunk["choices"][0]["finish_reason"] for chunk in chunks_of(world, upstream)]
    assert [reason for reason in reasons if reason] == ["stop"]
    assert reasons[-1] == "stop"


@every_upstream
def test_all_chunks_have_the_same_id(world: World, upstream: str) -> None:
    chunks = chunks_of(world, upstream, stream_options={"include_usage": True})
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert chunks[0]["id"]


@every_upstream
def test_parallel_tool_calls_keep_their_index(world: World, upstream: str) -> None:
    tools = [
        {"type": "function", "function": {"name": tool.name, "parameters": tool.parameters}}
        for tool in (WEATHER, CLOCK)
    ]
    messages = [{"role": "user", "content": TWO_CALLS}]
    pieces = [
        piece
        for chunk in chunks_of(world, upstream, tools=tools, messages=messages)
        for piece in chunk["choices"][0]["delta"].get("tool_calls") or []
    ]
    arguments = {0: "", 1: ""}
    for piece in pieces:
        arguments[piece["index"]] += piece["function"].get("arguments") or ""
    assert [json.loads(text) for text in arguments.values()] == [{"city": "Oslo"}, {"city": "Rome"}]
    named = [piece for piece in pieces if piece.get("id")]
    assert [(piece["index"], piece["function"]["name"]) for piece in named] == [(0, "weather"), (1, "clock")]


@every_upstream
def test_first_text_after_reasoning_is_not_lost(world: World, upstream: str) -> None:
    world.vendor.fault("extra", what="reasoning")
    answer = world.ask("messages", upstream, stream=True, text="the very first words")
    assert answer.parsed.text == f"{UPSTREAMS[upstream].model}: the very first words"
    if upstream != "responses":  # it returns only summaries of its reasoning, and only on request
        assert "Let me think." in answer.parsed.reasoning


@every_upstream
def test_tool_call_in_one_event_keeps_its_input(world: World, upstream: str) -> None:
    answer = world.ask("messages", upstream, stream=True, text=TWO_CALLS, tools=[WEATHER, CLOCK])
    assert [call.arguments for call in answer.parsed.calls] == [{"city": "Oslo"}, {"city": "Rome"}]


@every_upstream
def test_content_blocks_are_opened_and_closed_around_their_deltas(world: World, upstream: str) -> None:
    world.vendor.fault("extra", what="reasoning")
    is_open: int | None = None
    count = 0
    for event in events_of(world, upstream, Prompt(text=TWO_CALLS, tools=[WEATHER, CLOCK])):
        match event["type"]:
            case "content_block_start":
                assert (is_open, event["index"]) == (None, count)
                is_open, count = event["index"], count + 1
            case "content_block_delta":
                assert event["index"] == is_open
            case "content_block_stop":
                assert event["index"] == is_open
                is_open = None
    assert is_open is None
    assert count >= 2


@every_upstream
def test_stream_begins_with_its_input_tokens(world: World, upstream: str) -> None:
    start = events_of(world, upstream, Prompt(text="a few words to count " * 20))[0]
    usage = start["message"]["usage"]
    whole = usage["input_tokens"] + (usage.get("cache_read_input_tokens") or 0)
    assert whole > 20


@every_upstream
def test_count_tokens_counts_more_than_text(world: World, upstream: str) -> None:
    def count(**more: Any) -> int:
        body = {"model": upstream, "messages": [{"role": "user", "content": "hello"}], **more}
        answer = world.call("/v1/messages/count_tokens", body, anthropic_version="2023-06-01")
        assert answer.status_code == 200, answer.text
        counted: int = answer.json()["input_tokens"]
        return counted

    tool = {"name": "weather", "description": "Tells the weather there. " * 30, "input_schema": {"type": "object"}}
    assert count(tools=[tool]) > count() + 20


@every_upstream
@pytest.mark.parametrize("client", CLIENTS)
def test_broken_upstream_stream_ends_with_an_error(world: World, client: str, upstream: str) -> None:
    world.break_first(upstream, "drop", at="events", after_events=12)
    answer = world.ask(client, f"{upstream}-broken", stream=True, text="words that go on " * 20, max_tokens=500)
    assert answer.parsed.error or answer.status == 502
    assert not answer.parsed.is_complete
    ends = {
        "chat": b"[DONE]",
        "responses": b"response.completed",
        "messages": b"message_stop",
        "ollama": b'"done":true',
    }
    assert ends.get(client, b"[DONE]") not in answer.body


@every_upstream
def test_no_retry_after_the_first_byte(world: World, upstream: str) -> None:
    world.break_first(upstream, "drop", at="events", after_events=12)
    mark = unique()
    answer = world.ask("chat", f"{upstream}-then-gemini", stream=True, text=f"{mark} goes on " * 20)
    assert answer.parsed.text
    assert len(world.sent(mark)) == 1


@every_upstream
@pytest.mark.parametrize("client", ["chat", "messages", "responses", "gemini", "gemini_array", "ollama"])
def test_events_are_sent_immediately(world: World, client: str, upstream: str) -> None:
    """The upstream stops sending in the middle. Everything before has reached the client."""
    world.break_first(upstream, "hang", after_events=9)
    request = CLIENTS[client].build(Prompt(text="words that come one by one " * 4), f"{upstream}-broken", stream=True)
    with RawConnection(world.gateway.port, timeout_s=5) as link:
        started_s = time.monotonic()
        link.send_post(json.dumps(request.body).encode(), request.path, authorization=f"Bearer {KEYS['ann']}")
        assert link.head()[0] == 200
        said = b""
        while b"words" not in said:
            piece = link.chunk()
            assert piece
            said += piece
        assert time.monotonic() - started_s < 1.4  # before the idle timeout


@every_upstream
def test_stream_has_headers_against_proxy_buffering(world: World, upstream: str) -> None:
    headers = world.ask("chat", upstream, stream=True).headers
    assert headers["x-accel-buffering"] == "no"
    assert headers["cache-control"] == "no-cache"
    assert "content-length" not in headers


@every_upstream
def test_responses_events_are_numbered_for_every_upstream(world: World, upstream: str) -> None:
    answer = world.ask("responses", upstream, stream=True, text=TWO_CALLS, tools=[WEATHER, CLOCK])
    numbers = [json.loads(data)["sequence_number"] for _, data in sse(answer.body)]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) > 8


@every_upstream
@pytest.mark.parametrize("how", ["crlf", "comments", "no_space", "multi_line", "named_events", "split"])
def test_unusual_but_valid_streams_are_understood(world: World, how: str, upstream: str) -> None:
    """CRLF, comments, `data:` without a space, code points that are split between two reads."""
    world.vendor.fault("malformed", how=how)
    for client in ("chat", "messages", "responses", "gemini"):
        if how == "multi_line" and upstream in {"openai", "azure", "responses", "anthropic", "gemini"}:
            answer = world.ask("ollama", upstream, stream=True, text="Žluť 🎉")  # passthrough keeps the lines unchanged
        else:
            answer = world.ask(client, upstream, stream=True, text="Žluť 🎉")
        assert answer.parsed.is_complete, answer.body
        assert answer.parsed.text.endswith("Žluť 🎉")
