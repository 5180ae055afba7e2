"""Defects that other gateways have been reported for, one test each. Where a name says it all, the body proves it.

Each is checked over every upstream that can show it, streamed and not where both exist.
"""

import base64
import json
import struct
import time
from typing import Any

import pytest
from dialect_reading import sse
from dialect_wish import PIXEL, Call, Tool, Wish
from dialect_world import BOTH, CLIENTS, UPSTREAMS, World, unique
from gateway_process import until
from raw_http import RawConnection
from shared_fixtures import KEYS

WEATHER, CLOCK = Tool("weather", "Tells the weather."), Tool("clock", "Tells the time.")
TWO_CALLS = 'call weather with {"city": "Oslo"} then call clock with {"city": "Rome"}'
OTHERS = [name for name in UPSTREAMS if name not in {"openai", "azure"}]
"""Upstreams whose streams we write for chat clients."""
every_upstream = pytest.mark.parametrize("upstream", UPSTREAMS)
streamed_and_not = pytest.mark.parametrize("stream", BOTH)


def chunks_of(world: World, upstream: str, **members: Any) -> list[dict[str, Any]]:
    """Return the chunks of a chat stream that reached its good end."""
    body = {"model": upstream, "messages": [{"role": "user", "content": "hello"}], "stream": True, **members}
    answer = world.call("/v1/chat/completions", body)
    assert answer.status_code == 200, answer.text
    data = [each for _, each in sse(answer.content)]
    assert data[-1] == "[DONE]"
    found = [json.loads(each) for each in data[:-1]]
    return [chunk for chunk in found if "prompt_filter_results" not in chunk]  # Azure's own


def events_of(world: World, upstream: str, wish: Wish) -> list[dict[str, Any]]:
    """Return the events of an Anthropic client's stream."""
    answer = world.ask("messages", upstream, wish, stream=True)
    assert answer.said.is_complete, answer.body
    return [json.loads(data) for _, data in sse(answer.body)]


# --- streaming


@every_upstream
def test_the_usage_chunk_comes_only_when_asked_for(world: World, upstream: str) -> None:
    assert not [chunk for chunk in chunks_of(world, upstream) if chunk.get("usage")]
    assert all(chunk["choices"] for chunk in chunks_of(world, upstream))


@every_upstream
def test_the_usage_chunk_has_no_placeholder_choice(world: World, upstream: str) -> None:
    *others, last = chunks_of(world, upstream, stream_options={"include_usage": True})
    assert last["choices"] == []
    assert last["usage"]["total_tokens"] > 0
    assert not [chunk for chunk in others if chunk.get("usage")]


@every_upstream
@streamed_and_not
@pytest.mark.parametrize("client", ["chat", "messages", "gemini", "ollama", "responses"])
def test_calls_end_with_the_word_for_calls(world: World, client: str, upstream: str, stream: bool) -> None:
    answer = world.ask(client, upstream, stream=stream, text=TWO_CALLS, tools=[WEATHER, CLOCK])
    assert answer.said.finish == "tool_calls"
    if client == "chat":
        assert b'tool_call"' not in answer.body.replace(b'"type":"tool_call"', b"")


@every_upstream
def test_the_finish_reason_comes_once_and_always(world: World, upstream: str) -> None:
    reasons = [chunk["choices"][0]["finish_reason"] for chunk in chunks_of(world, upstream)]
    assert [reason for reason in reasons if reason] == ["stop"]
    assert reasons[-1] == "stop"


@every_upstream
def test_all_chunks_have_the_same_id(world: World, upstream: str) -> None:
    chunks = chunks_of(world, upstream, stream_options={"include_usage": True})
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert chunks[0]["id"]


@every_upstream
def test_parallel_calls_keep_their_own_index(world: World, upstream: str) -> None:
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
def test_the_first_text_after_thoughts_is_not_lost(world: World, upstream: str) -> None:
    world.vendor.fault("extra", what="reasoning")
    answer = world.ask("messages", upstream, stream=True, text="the very first words")
    assert answer.said.text == f"{UPSTREAMS[upstream].model}: the very first words"
    if upstream != "responses":  # what it shows of its thoughts are summaries, and only when asked
        assert "Let me think." in answer.said.thoughts


@every_upstream
def test_a_call_that_comes_in_one_piece_keeps_its_input(world: World, upstream: str) -> None:
    answer = world.ask("messages", upstream, stream=True, text=TWO_CALLS, tools=[WEATHER, CLOCK])
    assert [call.arguments for call in answer.said.calls] == [{"city": "Oslo"}, {"city": "Rome"}]


@every_upstream
def test_every_content_block_is_opened_before_and_closed_after_its_deltas(world: World, upstream: str) -> None:
    world.vendor.fault("extra", what="reasoning")
    is_open: int | None = None
    count = 0
    for event in events_of(world, upstream, Wish(text=TWO_CALLS, tools=[WEATHER, CLOCK])):
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
def test_a_stream_begins_with_a_count_of_its_input(world: World, upstream: str) -> None:
    start = events_of(world, upstream, Wish(text="a few words to count " * 20))[0]
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
def test_a_broken_upstream_does_not_end_like_a_good_stream(world: World, client: str, upstream: str) -> None:
    world.break_first(upstream, "drop", at="events", after_events=12)
    answer = world.ask(client, f"{upstream}-broken", stream=True, text="words that go on " * 20, max_tokens=500)
    assert answer.said.error or answer.status == 502
    assert not answer.said.is_complete
    ends = {
        "chat": b"[DONE]",
        "responses": b"response.completed",
        "messages": b"message_stop",
        "ollama": b'"done":true',
    }
    assert ends.get(client, b"[DONE]") not in answer.body


@every_upstream
def test_nothing_is_tried_again_after_the_first_byte(world: World, upstream: str) -> None:
    world.break_first(upstream, "drop", at="events", after_events=12)
    mark = unique()
    answer = world.ask("chat", f"{upstream}-then-gemini", stream=True, text=f"{mark} goes on " * 20)
    assert answer.said.text
    assert len(world.sent(mark)) == 1


@every_upstream
@pytest.mark.parametrize("client", ["chat", "messages", "responses", "gemini", "gemini_array", "ollama"])
def test_events_are_sent_when_they_come_not_at_the_end(world: World, client: str, upstream: str) -> None:
    """The upstream falls silent in the middle: what came before has reached the client."""
    world.break_first(upstream, "hang", after_events=9)
    request = CLIENTS[client].ask(Wish(text="words that come one by one " * 4), f"{upstream}-broken", stream=True)
    with RawConnection(world.gateway.port, timeout_s=5) as link:
        started_s = time.monotonic()
        link.send_post(json.dumps(request.body).encode(), request.path, authorization=f"Bearer {KEYS['ann']}")
        assert link.head()[0] == 200
        said = b""
        while b"words" not in said:
            piece = link.chunk()
            assert piece
            said += piece
        assert time.monotonic() - started_s < 1.4  # before the idle deadline


@every_upstream
def test_a_client_may_tell_proxies_apart_from_buffers(world: World, upstream: str) -> None:
    headers = world.ask("chat", upstream, stream=True).headers
    assert headers["x-accel-buffering"] == "no"
    assert headers["cache-control"] == "no-cache"
    assert "content-length" not in headers


@every_upstream
def test_responses_events_are_numbered_whoever_answers(world: World, upstream: str) -> None:
    answer = world.ask("responses", upstream, stream=True, text=TWO_CALLS, tools=[WEATHER, CLOCK])
    numbers = [json.loads(data)["sequence_number"] for _, data in sse(answer.body)]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) > 8


@every_upstream
@pytest.mark.parametrize("how", ["crlf", "comments", "no_space", "multi_line", "named_events", "split"])
def test_legal_but_rare_streams_are_understood(world: World, how: str, upstream: str) -> None:
    """CRLF, comments, `data:` without a space, code points that two reads share."""
    world.vendor.fault("malformed", how=how)
    for client in ("chat", "messages", "responses", "gemini"):
        if how == "multi_line" and upstream in {"openai", "azure", "responses", "anthropic", "gemini"}:
            answer = world.ask("ollama", upstream, stream=True, text="Žluť 🎉")  # relays keep the lines as they came
        else:
            answer = world.ask(client, upstream, stream=True, text="Žluť 🎉")
        assert answer.said.is_complete, answer.body
        assert answer.said.text.endswith("Žluť 🎉")


# --- errors


@pytest.mark.parametrize(
    ("path", "client"),
    [
        ("/v1/nothing", "chat"),
        ("/v1/messages/nothing", "messages"),
        ("/v1beta/nothing", "gemini"),
    ],
)
def test_an_unknown_url_has_the_dialects_envelope(world: World, path: str, client: str) -> None:
    answer = world.get(path)
    assert answer.status_code == 404
    assert CLIENTS[client].read(answer.content, stream=False).error
    assert "detail" not in answer.json()


@every_upstream
@streamed_and_not
@pytest.mark.parametrize("client", CLIENTS)
def test_html_of_a_proxy_is_not_passed_on(world: World, client: str, upstream: str, stream: bool) -> None:
    world.vendor.fault("error", status=502, body="<html><h1>502 Bad Gateway</h1></html>")
    answer = world.ask(client, upstream, stream=stream)
    assert (answer.status, b"<h1>" in answer.body) == (502, False)
    assert answer.said.error


@pytest.mark.parametrize("client", CLIENTS)
def test_a_wrong_key_is_401_before_the_body_is_read(world: World, client: str) -> None:
    path = CLIENTS[client].ask(Wish(), "openai", stream=False).path
    assert world.post(client, path, b"{nonsense", key="sk-wrong-0123456789").status == 401


@pytest.mark.parametrize("client", ["chat", "responses", "completions"])
def test_an_unknown_model_is_404_model_not_found(world: World, client: str) -> None:
    answer = world.ask(client, "no-such-thing")
    assert (answer.status, answer.said.error_code) == (404, "model_not_found")


@every_upstream
def test_anthropic_routes_have_anthropic_errors(world: World, upstream: str) -> None:
    world.vendor.fault("error", status=400, message="no")
    answer = world.ask("messages", upstream)
    assert json.loads(answer.body)["type"] == "error"
    assert answer.said.error_code == "invalid_request_error"


def test_a_vendors_message_keeps_its_wording(world: World) -> None:
    """Claude Code's recovery looks for these very words."""
    words = "prompt is too long: 208310 tokens > 200000 maximum"
    world.vendor.fault("error", status=400, message=words)
    assert world.ask("messages", "anthropic").said.error == words


@every_upstream
@pytest.mark.parametrize("client", CLIENTS)
def test_retry_after_and_a_request_id_reach_the_client(world: World, client: str, upstream: str) -> None:
    world.vendor.fault("rate_limit", retry_after_s=3)
    headers = world.ask(client, upstream).headers
    assert (headers["retry-after"], headers["retry-after-ms"]) == ("3", "3000")
    assert headers["x-request-id"].startswith("req_")
    if client == "messages":
        assert headers["request-id"] == headers["x-request-id"]


def test_insufficient_quota_keeps_its_code(world: World) -> None:
    world.vendor.fault("error", status=429, type="insufficient_quota", code="insufficient_quota")
    assert world.ask("chat", "openai").said.error_code == "insufficient_quota"


ODD: dict[str, Any] = {
    "a number as content": {"messages": [{"role": "user", "content": 5}], "contents": [{"parts": 5}], "input": 5},
    "null as content": {"messages": [{"role": "user", "content": None}], "contents": None, "input": None},
    "messages of numbers": {"messages": [1, 2], "contents": [1, 2], "input": [1, 2]},
    "tools a number": {"tools": 5},
    "a tool a number": {"tools": [5]},
    "stream a word": {"stream": "maybe"},
    "temperature a word": {
        "temperature": "hot",
        "generationConfig": {"temperature": "hot"},
        "options": {"temperature": []},
    },
}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("client", CLIENTS)
def test_bad_input_is_never_500(world: World, client: str, name: str) -> None:
    request = CLIENTS[client].ask(Wish(), "anthropic", stream=False)
    answer = world.post(client, request.path, request.body | ODD[name])
    assert answer.status in {200, 400}, answer.body
    assert answer.status == 200 or answer.said.error


@pytest.mark.parametrize("body", [b'{"temperature": NaN}', b"[" * 100_000, b'{"model": "\\ud800"}', b"\xff", b"nul"])
@pytest.mark.parametrize("client", CLIENTS)
def test_what_is_hardly_json_is_never_500(world: World, client: str, body: bytes) -> None:
    path = CLIENTS[client].ask(Wish(), "anthropic", stream=False).path
    assert world.post(client, path, body).status == 400


NULLS: dict[str, list[str]] = {
    "chat": [
        "temperature",
        "tools",
        "tool_choice",
        "stop",
        "n",
        "max_tokens",
        "response_format",
        "stream",
        "user",
        "seed",
    ],
    "responses": ["temperature", "tools", "tool_choice", "text", "instructions", "previous_response_id", "reasoning"],
    "messages": ["temperature", "tools", "tool_choice", "system", "stop_sequences", "metadata", "thinking", "stream"],
    "gemini": ["tools", "toolConfig", "systemInstruction", "generationConfig", "safetySettings"],
    "ollama": ["tools", "options", "format", "keep_alive", "think"],
    "completions": ["temperature", "stop", "n", "max_tokens", "stream", "suffix", "user"],
}


@every_upstream
@pytest.mark.parametrize("client", NULLS)
def test_nulls_mean_the_default(world: World, client: str, upstream: str) -> None:
    request = CLIENTS[client].ask(Wish(), upstream, stream=False)
    body = {**dict.fromkeys(NULLS[client]), **{k: v for k, v in request.body.items() if k != "stream"}}
    if client == "ollama":
        body["stream"] = False
    answer = world.post(client, request.path, body)
    if upstream == "anthropic" and client == "messages":
        assert answer.status in {200, 400}  # bytes that pass: the vendor's own word counts
        return
    assert answer.status == 200, answer.body


# --- translation


@streamed_and_not
@pytest.mark.parametrize("client", ["chat", "messages", "responses", "gemini", "ollama"])
def test_thought_signatures_come_back_with_their_calls(world: World, client: str, stream: bool) -> None:
    """The mock refuses calls without their signature, and forged ones, as Gemini 3 does."""
    wish = Wish(text=TWO_CALLS, tools=[WEATHER, CLOCK])
    first = world.ask(client, "gemini", wish, stream=stream)
    wish.called, wish.results, wish.raw_turn = first.said.calls, ["sunny", "noon"], first.said.raw_turn
    assert world.ask(client, "gemini", wish, stream=stream).status == 200
    sent = world.last_sent("noon")
    signed = [part for content in sent["contents"] for part in content["parts"] if "thoughtSignature" in part]
    assert signed


@streamed_and_not
@pytest.mark.parametrize("client", ["chat", "messages", "responses", "ollama"])
def test_clients_that_send_standard_fields_only_may_go_on_with_gemini(world: World, client: str, stream: bool) -> None:
    wish = Wish(text=TWO_CALLS, tools=[WEATHER, CLOCK])
    first = world.ask(client, "gemini", wish, stream=stream)
    wish.called = [Call(call.id, call.name, call.arguments) for call in first.said.calls]
    wish.results = ["sunny", "noon"]
    second = world.ask(client, "gemini", wish, stream=stream)
    assert second.status == 200, second.body
    assert "sunny" in second.said.text


@pytest.mark.parametrize("client", ["chat", "messages", "responses", "ollama"])
def test_schemas_that_gemini_refuses_go_where_it_takes_them(world: World, client: str) -> None:
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "$defs": {"city": {"type": "string"}},
        "properties": {"city": {"$ref": "#/$defs/city"}},
        "required": [],
        "additionalProperties": False,
    }
    mark = unique()
    answer = world.ask(client, "gemini", text=mark, tools=[Tool("weather", parameters=schema)])
    assert answer.status == 200, answer.body
    (declared,) = world.last_sent(mark)["tools"][0]["functionDeclarations"]
    assert declared["parametersJsonSchema"]["$defs"] == schema["$defs"]
    assert "parameters" not in declared


@pytest.mark.parametrize("client", ["chat", "messages", "responses"])
@streamed_and_not
def test_function_responses_equal_calls_in_number(world: World, client: str, stream: bool) -> None:
    """A client that answers one of two calls is no reason to fail."""
    wish = Wish(text="go", tools=[WEATHER, CLOCK], results=["sunny", "noon"])
    wish.called = [Call("call_1", "weather", {"city": "Oslo"}), Call("call_2", "clock", {"city": "Rome"})]
    request = CLIENTS[client].ask(wish, "gemini", stream=stream)
    listed = request.body.get("messages") or request.body["input"]
    (listed[-1]["content"] if client == "messages" else listed).pop()
    answer = world.post(client, request.path, request.body, stream=stream)
    assert answer.status == 200, answer.body
    parts = [part for content in world.last_sent("sunny")["contents"] for part in content["parts"]]
    assert [sum(kind in part for part in parts) for kind in ("functionCall", "functionResponse")] == [2, 2]


@pytest.mark.parametrize("client", ["chat", "responses", "gemini", "ollama", "completions"])
@streamed_and_not
def test_anthropic_gets_the_limit_that_it_requires(world: World, client: str, stream: bool) -> None:
    mark = unique()
    assert world.ask(client, "anthropic", stream=stream, text=mark).status == 200
    assert world.last_sent(mark)["max_tokens"] >= 16


@pytest.mark.parametrize("upstream", ["anthropic", "bedrock"])
@pytest.mark.parametrize("client", ["chat", "responses", "gemini", "ollama"])
def test_anthropic_gets_no_temperature_above_one(world: World, client: str, upstream: str) -> None:
    answer = world.ask(client, upstream, text="hot", temperature=1.7)
    assert answer.status == 200, answer.body
    assert "temperature;how=clamped" in answer.headers["x-intellirouter-dropped"].replace("generationConfig.", "")


@pytest.mark.parametrize("upstream", ["anthropic", "bedrock"])
def test_anthropic_gets_no_empty_texts(world: World, upstream: str) -> None:
    messages = [
        {"role": "system", "content": ""},
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": ""},
        {"role": "user", "content": [{"type": "text", "text": ""}, {"type": "text", "text": "again"}]},
    ]
    answer = world.call("/v1/chat/completions", {"model": upstream, "messages": messages})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("upstream", ["anthropic", "bedrock", "gemini"])
def test_all_results_stand_in_the_turn_after_their_calls(world: World, upstream: str) -> None:
    """Chat clients put a message between: the results come first."""
    calls = [
        {"id": f"call_{n}", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
        for n in (1, 2)
    ]
    messages = [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": "call_2", "content": "two"},
        {"role": "user", "content": "by the way"},
        {"role": "tool", "tool_call_id": "call_1", "content": "one"},
    ]
    tools = [{"type": "function", "function": {"name": "weather", "parameters": WEATHER.parameters}}]
    answer = world.call("/v1/chat/completions", {"model": upstream, "messages": messages, "tools": tools})
    assert answer.status_code == 200, answer.text


@every_upstream
@streamed_and_not
def test_a_chat_of_a_system_message_alone_is_answered(world: World, upstream: str, stream: bool) -> None:
    messages = [{"role": "system", "content": "Say hello."}]
    body = {"model": upstream, "messages": messages, "stream": stream}
    assert world.call("/v1/chat/completions", body).status_code == 200


@every_upstream
def test_beta_flags_go_to_anthropic_only(world: World, upstream: str) -> None:
    request = CLIENTS["messages"].ask(Wish(), upstream, stream=False)
    answer = world.post(
        "messages", request.path + "?beta=true", request.body, anthropic_beta="context-management-2025-06-27"
    )
    assert answer.status == 200, answer.body
    shown = dict(world.sent()[-1]["headers"])
    assert ("anthropic-beta" in shown) is (upstream == "anthropic")
    assert ("beta=true" in world.sent()[-1]["path"]) is (upstream == "anthropic")


@pytest.mark.parametrize("client", ["chat", "messages", "responses", "gemini"])
def test_ollama_gets_arguments_as_objects(world: World, client: str) -> None:
    wish = Wish(text="go", tools=[WEATHER], called=[Call("call_1", "weather", {"city": "Oslo"})], results=["sunny"])
    assert world.ask(client, "ollama", wish).status == 200
    called = next(turn for turn in world.last_sent("sunny")["messages"] if turn.get("tool_calls"))
    assert called["tool_calls"][0]["function"]["arguments"] == {"city": "Oslo"}


@pytest.mark.parametrize("arguments", ["", " ", "{}"])
def test_empty_arguments_are_an_empty_object(world: World, arguments: str) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "weather", "arguments": arguments}}
    messages = [
        {"role": "user", "content": "go"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "sunny"},
    ]
    tools = [{"type": "function", "function": {"name": "weather", "parameters": WEATHER.parameters}}]
    for upstream in OTHERS:
        answer = world.call("/v1/chat/completions", {"model": upstream, "messages": messages, "tools": tools})
        assert answer.status_code == 200, (upstream, answer.text)


@pytest.mark.parametrize("client", ["chat", "messages", "responses", "gemini"])
@streamed_and_not
def test_ollama_is_offered_no_tools_where_none_may_be_called(world: World, client: str, stream: bool) -> None:
    mark = unique()
    answer = world.ask(client, "ollama", stream=stream, text=mark, tools=[WEATHER], tool_choice="none")
    assert answer.status == 200
    assert not world.last_sent(mark).get("tools")


@every_upstream
def test_ollama_clients_get_a_stream_unless_they_say_no(world: World, upstream: str) -> None:
    answer = world.call("/api/chat", {"model": upstream, "messages": [{"role": "user", "content": "hello"}]})
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    assert len(answer.text.splitlines()) > 1


@pytest.mark.parametrize("upstream", ["openai", "azure", "gemini", "ollama"])
def test_base64_vectors_are_honoured_for_every_provider(world: World, upstream: str) -> None:
    def embed(kind: str) -> list[Any]:
        body = {"model": upstream, "input": ["b", "a", "c"], "encoding_format": kind}
        data = world.call("/v1/embeddings", body).json()["data"]
        assert [each["index"] for each in data] == [0, 1, 2]
        return [each["embedding"] for each in data]

    for packed, plain in zip(embed("base64"), embed("float"), strict=True):
        raw = base64.b64decode(packed)
        assert struct.unpack(f"<{len(raw) // 4}f", raw) == pytest.approx(plain, abs=1e-6)


@every_upstream
@streamed_and_not
def test_a_response_remembers_the_one_before(world: World, upstream: str, stream: bool) -> None:
    mark = unique()
    first = world.call("/v1/responses", {"model": upstream, "input": mark}).json()
    body = {"model": upstream, "input": "go on", "previous_response_id": first["id"], "stream": stream}
    assert world.call("/v1/responses", body).status_code == 200
    assert mark in world.sent("go on")[-1]["body"]


@every_upstream
@streamed_and_not
def test_items_of_a_response_have_ids_and_usage_has_its_details(world: World, upstream: str, stream: bool) -> None:
    answer = world.ask("responses", upstream, stream=stream, text=TWO_CALLS, tools=[WEATHER, CLOCK])
    assert all(item["id"] for item in answer.said.raw_turn)
    last = answer.body.decode().rstrip().rpartition("data: ")[2]
    usage = json.loads(last)
    usage = usage.get("response", usage)["usage"]
    assert isinstance(usage["input_tokens_details"]["cached_tokens"], int)
    assert isinstance(usage["output_tokens_details"]["reasoning_tokens"], int)


@every_upstream
@streamed_and_not
def test_a_client_that_leaves_before_the_first_byte_stops_the_upstream(
    world: World, upstream: str, stream: bool
) -> None:
    world.break_first(upstream, "hang")
    mark = unique()
    request = CLIENTS["chat"].ask(Wish(text=mark), f"{upstream}-broken", stream=stream)
    with RawConnection(world.gateway.port) as link:
        link.send_post(json.dumps(request.body).encode(), request.path, authorization=f"Bearer {KEYS['ann']}")
        until(lambda: world.sent(mark), "the upstream has the request")
    until(lambda: [each for each in world.sent(mark) if each["is_aborted"]], "the upstream is told", 3)


@every_upstream
@pytest.mark.parametrize("client", ["chat", "messages", "gemini", "responses", "ollama"])
def test_large_pictures_pass(world: World, client: str, upstream: str) -> None:
    """Two megabytes; larger ones are the same to the gateway, and slow tests."""
    picture = base64.b64encode(base64.b64decode(PIXEL) + bytes(2_000_000)).decode()
    answer = world.ask(client, upstream, text="see", image=picture)
    assert answer.status == 200, answer.body[:300]
    assert world.sent()[-1]["size_bytes"] > 2_600_000


@every_upstream
def test_the_clients_key_and_cookies_stay_here(world: World, upstream: str) -> None:
    request = CLIENTS["chat"].ask(Wish(), upstream, stream=False)
    assert world.post("chat", request.path, request.body, cookie="session=private-0123").status == 200
    everything = json.dumps(world.sent())
    assert KEYS["ann"] not in everything
    assert "private-0123" not in everything


# --- names


@pytest.mark.parametrize("name", ["team/deep/name:v1.2", "claude-opus-5-5", "anthropic/claude-x.y:z"])
@pytest.mark.parametrize("client", CLIENTS)
def test_model_names_may_hold_slashes_dots_and_colons(world: World, client: str, name: str) -> None:
    answer = world.ask(client, name)
    assert answer.status == 200, answer.body
