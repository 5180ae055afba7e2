"""Defects that are common in other gateways: translation."""

import base64
import json
import struct
from typing import Any

import pytest

from tests.support.gateway.fixtures import KEYS
from tests.support.gateway.process import until
from tests.support.gateway.raw_http import RawConnection
from tests.support.translation.prompt import PIXEL, Call, Prompt, Tool
from tests.support.translation.world import BOTH, CLIENTS, UPSTREAMS, World, unique

WEATHER, CLOCK = Tool("weather", "Tells the weather."), Tool("clock", "Tells the time.")
TWO_CALLS = 'call weather with {"city": "Oslo"} then call clock with {"city": "Rome"}'
OTHERS = [name for name in UPSTREAMS if name not in {"openai", "azure"}]
"""Upstreams whose streams the gateway translates for chat clients."""
every_upstream = pytest.mark.parametrize("upstream", UPSTREAMS)
streamed_and_not = pytest.mark.parametrize("stream", BOTH)


@streamed_and_not
@pytest.mark.parametrize("client", ["chat", "messages", "responses", "gemini", "ollama"])
def test_thought_signatures_are_returned_with_their_tool_calls(world: World, client: str, stream: bool) -> None:
    """Like Gemini 3, the mock vendor rejects calls without their signature or with a forged one."""
    prompt = Prompt(text=TWO_CALLS, tools=[WEATHER, CLOCK])
    first = world.ask(client, "gemini", prompt, stream=stream)
    prompt.called, prompt.results, prompt.raw_turn = first.parsed.calls, ["sunny", "noon"], first.parsed.raw_turn
    assert world.ask(client, "gemini", prompt, stream=stream).status == 200
    sent = world.last_sent("noon")
    signed = [part for content in sent["contents"] for part in content["parts"] if "thoughtSignature" in part]
    assert signed


@streamed_and_not
@pytest.mark.parametrize("client", ["chat", "messages", "responses", "ollama"])
def test_gemini_accepts_tool_results_without_thought_signatures(world: World, client: str, stream: bool) -> None:
    prompt = Prompt(text=TWO_CALLS, tools=[WEATHER, CLOCK])
    first = world.ask(client, "gemini", prompt, stream=stream)
    prompt.called = [Call(call.id, call.name, call.arguments) for call in first.parsed.calls]
    prompt.results = ["sunny", "noon"]
    second = world.ask(client, "gemini", prompt, stream=stream)
    assert second.status == 200, second.body
    assert "sunny" in second.parsed.text


@pytest.mark.parametrize("client", ["chat", "messages", "responses", "ollama"])
def test_json_schemas_use_the_field_that_gemini_accepts(world: World, client: str) -> None:
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
def test_each_function_call_has_a_function_response(world: World, client: str, stream: bool) -> None:
    """A client may return the result of only one of two calls."""
    prompt = Prompt(text="go", tools=[WEATHER, CLOCK], results=["sunny", "noon"])
    prompt.called = [Call("call_1", "weather", {"city": "Oslo"}), Call("call_2", "clock", {"city": "Rome"})]
    request = CLIENTS[client].build(prompt, "gemini", stream=stream)
    listed = request.body.get("messages") or request.body["input"]
    (listed[-1]["content"] if client == "messages" else listed).pop()
    answer = world.post(client, request.path, request.body, stream=stream)
    assert answer.status == 200, answer.body
    parts = [part for content in world.last_sent("sunny")["contents"] for part in content["parts"]]
    assert [sum(kind in part for part in parts) for kind in ("functionCall", "functionResponse")] == [2, 2]


@pytest.mark.parametrize("client", ["chat", "responses", "gemini", "ollama", "completions"])
@streamed_and_not
def test_anthropic_receives_a_token_limit(world: World, client: str, stream: bool) -> None:
    mark = unique()
    assert world.ask(client, "anthropic", stream=stream, text=mark).status == 200
    assert world.last_sent(mark)["max_tokens"] >= 16


@pytest.mark.parametrize("upstream", ["anthropic", "bedrock"])
@pytest.mark.parametrize("client", ["chat", "responses", "gemini", "ollama"])
def test_temperature_is_clamped_for_anthropic(world: World, client: str, upstream: str) -> None:
    answer = world.ask(client, upstream, text="hot", temperature=1.7)
    assert answer.status == 200, answer.body
    assert "temperature;how=clamped" in answer.headers["x-intellirouter-dropped"].replace("generationConfig.", "")


@pytest.mark.parametrize("upstream", ["anthropic", "bedrock"])
def test_empty_texts_are_not_sent_to_anthropic(world: World, upstream: str) -> None:
    messages = [
        {"role": "system", "content": ""},
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": ""},
        {"role": "user", "content": [{"type": "text", "text": ""}, {"type": "text", "text": "again"}]},
    ]
    answer = world.call("/v1/chat/completions", {"model": upstream, "messages": messages})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("upstream", ["anthropic", "bedrock", "gemini"])
def test_all_tool_results_are_in_the_turn_after_their_calls(world: World, upstream: str) -> None:
    """Chat clients may send a message in between; the results must come first."""
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
def test_chat_with_only_a_system_message_is_answered(world: World, upstream: str, stream: bool) -> None:
    messages = [{"role": "system", "content": "Say hello."}]
    body = {"model": upstream, "messages": messages, "stream": stream}
    assert world.call("/v1/chat/completions", body).status_code == 200


@every_upstream
def test_beta_flags_are_not_sent_to_other_vendors(world: World, upstream: str) -> None:
    request = CLIENTS["messages"].build(Prompt(), upstream, stream=False)
    answer = world.post(
        "messages", request.path + "?beta=true", request.body, anthropic_beta="context-management-2025-06-27"
    )
    assert answer.status == 200, answer.body
    shown = dict(world.sent()[-1]["headers"])
    assert ("anthropic-beta" in shown) is (upstream == "anthropic")
    assert ("beta=true" in world.sent()[-1]["path"]) is (upstream == "anthropic")


@pytest.mark.parametrize("client", ["chat", "messages", "responses", "gemini"])
def test_ollama_receives_arguments_as_objects(world: World, client: str) -> None:
    prompt = Prompt(text="go", tools=[WEATHER], called=[Call("call_1", "weather", {"city": "Oslo"})], results=["sunny"])
    assert world.ask(client, "ollama", prompt).status == 200
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
def test_tools_are_not_sent_to_ollama_with_tool_choice_none(world: World, client: str, stream: bool) -> None:
    mark = unique()
    answer = world.ask(client, "ollama", stream=stream, text=mark, tools=[WEATHER], tool_choice="none")
    assert answer.status == 200
    assert not world.last_sent(mark).get("tools")


@every_upstream
def test_ollama_client_receives_a_stream_by_default(world: World, upstream: str) -> None:
    answer = world.call("/api/chat", {"model": upstream, "messages": [{"role": "user", "content": "hello"}]})
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    assert len(answer.text.splitlines()) > 1


@pytest.mark.parametrize("upstream", ["openai", "azure", "gemini", "ollama"])
def test_base64_embeddings_work_with_every_provider(world: World, upstream: str) -> None:
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
def test_previous_response_is_part_of_the_input(world: World, upstream: str, stream: bool) -> None:
    mark = unique()
    first = world.call("/v1/responses", {"model": upstream, "input": mark}).json()
    body = {"model": upstream, "input": "go on", "previous_response_id": first["id"], "stream": stream}
    assert world.call("/v1/responses", body).status_code == 200
    assert mark in world.sent("go on")[-1]["body"]


@every_upstream
@streamed_and_not
def test_response_items_have_ids_and_usage_has_details(world: World, upstream: str, stream: bool) -> None:
    answer = world.ask("responses", upstream, stream=stream, text=TWO_CALLS, tools=[WEATHER, CLOCK])
    assert all(item["id"] for item in answer.parsed.raw_turn)
    last = answer.body.decode().rstrip().rpartition("data: ")[2]
    usage = json.loads(last)
    usage = usage.get("response", usage)["usage"]
    assert isinstance(usage["input_tokens_details"]["cached_tokens"], int)
    assert isinstance(usage["output_tokens_details"]["reasoning_tokens"], int)


@every_upstream
@streamed_and_not
def test_disconnect_before_the_first_byte_aborts_the_upstream(world: World, upstream: str, stream: bool) -> None:
    world.break_first(upstream, "hang")
    mark = unique()
    request = CLIENTS["chat"].build(Prompt(text=mark), f"{upstream}-broken", stream=stream)
    with RawConnection(world.gateway.port) as link:
        link.send_post(json.dumps(request.body).encode(), request.path, authorization=f"Bearer {KEYS['ann']}")
        until(lambda: world.sent(mark), "the upstream has the request")
    until(lambda: [each for each in world.sent(mark) if each["is_aborted"]], "the upstream is told", 3)


@every_upstream
@pytest.mark.parametrize("client", ["chat", "messages", "gemini", "responses", "ollama"])
def test_large_images_are_passed_on(world: World, client: str, upstream: str) -> None:
    """Two megabytes are enough: larger images take the same path, but make the test slow."""
    picture = base64.b64encode(base64.b64decode(PIXEL) + bytes(2_000_000)).decode()
    answer = world.ask(client, upstream, text="see", image=picture)
    assert answer.status == 200, answer.body[:300]
    assert world.sent()[-1]["size_bytes"] > 2_600_000


@every_upstream
def test_client_key_and_cookies_are_not_passed_on(world: World, upstream: str) -> None:
    request = CLIENTS["chat"].build(Prompt(), upstream, stream=False)
    assert world.post("chat", request.path, request.body, cookie="session=private-0123").status == 200
    everything = json.dumps(world.sent())
    assert KEYS["ann"] not in everything
    assert "private-0123" not in everything


# --- names


@pytest.mark.parametrize("name", ["team/deep/name:v1.2", "claude-opus-5-5", "anthropic/claude-x.y:z"])
@pytest.mark.parametrize("client", CLIENTS)
def test_model_names_can_contain_slashes_dots_and_colons(world: World, client: str, name: str) -> None:
    answer = world.ask(client, name)
    assert answer.status == 200, answer.body
