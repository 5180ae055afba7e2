"""Answers name the model as the upstream does, or as the client does. Nothing else in them changes."""

import json
from typing import Any

import pytest

from intellirouter.core import EMPTY_CONTEXT, Call, Deployment, RequestContext, errors
from intellirouter.dialects import Endpoint
from tests.support.dialects.deployments import build_deployment
from tests.support.dialects.standard import ENDPOINTS

CHAT = {"model": "public", "messages": [{"role": "user", "content": "hi"}]}
USAGE = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
CHAT_ANSWER = {
    "id": "a",
    "object": "chat.completion",
    "created": 1,
    "model": "snapshot",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": '"model":"x"'}, "finish_reason": "stop"}],
    "usage": USAGE,
}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "snapshot",
    "content": [{"type": "text", "text": "hi"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 1, "output_tokens": 1},
}
GEMINI = {
    "candidates": [{"content": {"role": "model", "parts": [{"text": "hi"}]}, "finishReason": "STOP", "index": 0}],
    "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2},
    "modelVersion": "snapshot",
}
OLLAMA = {
    "model": "snapshot",
    "created_at": "2026-01-01T00:00:00Z",
    "message": {"role": "assistant", "content": "hi"},
    "done": True,
    "done_reason": "stop",
}
EMBEDDINGS = {
    "object": "list",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}],
    "model": "snapshot",
    "usage": {"prompt_tokens": 1, "total_tokens": 1},
}
WHOLE: dict[str, tuple[str, str, Any, Any]] = {
    "chat": ("openai_chat", "openai_chat", CHAT, CHAT_ANSWER),
    "messages": ("anthropic_messages", "anthropic_messages", {**CHAT, "max_tokens": 9}, MESSAGE),
    "gemini": ("gemini", "gemini", {"contents": [{"parts": [{"text": "hi"}]}]}, GEMINI),
    "ollama": ("ollama_chat", "ollama", {**CHAT, "stream": False}, OLLAMA),
    "embeddings": ("openai_embeddings", "openai_chat", {"model": "public", "input": "x"}, EMBEDDINGS),
    "moderations": ("openai_moderations", "openai_chat", {"model": "public", "input": "x"}, {"model": "snapshot"}),
    "rerank": ("rerank", "openai_chat", {"model": "public", "query": "q", "documents": ["d"]}, {"model": "snapshot"}),
    "images": ("openai_images", "openai_chat", {"model": "public", "prompt": "p"}, {"created": 1, "data": []}),
}


def deployment(dialect: str) -> Deployment:
    return build_deployment(dialect, "openai-compatible", "up", "http://upstream.test")


def call_of(endpoint: Endpoint, body: Any, *, is_requested: bool, is_stream: bool = False) -> Call:
    context = RequestContext(model="public", is_stream=is_stream) if endpoint.name == "gemini" else EMPTY_CONTEXT
    call = endpoint.decode_request(json.dumps(body).encode(), context)
    call.names_requested_model = is_requested
    return call


@pytest.mark.parametrize("is_requested", [False, True])
@pytest.mark.parametrize("case", WHOLE)
def test_a_complete_answer(case: str, is_requested: bool) -> None:
    name, dialect, body, answer = WHOLE[case]
    endpoint, upstream = ENDPOINTS[name], deployment(dialect)
    call = call_of(endpoint, body, is_requested=is_requested)
    sent = json.dumps(answer).encode()
    got = endpoint.route(call, upstream).decode_response(sent, call, upstream)
    member = "modelVersion" if case == "gemini" else "model"
    if is_requested and member in answer:
        assert got.body == sent.replace(b'"snapshot"', b'"public"')
    else:
        assert got.body is None, "the bytes pass"


CHUNK = '{"id":"a","object":"chat.completion.chunk","created":1,"model":"snapshot","choices":[%s]}'
STREAMS: dict[str, tuple[str, str, Any, list[str]]] = {
    "chat": (
        "openai_chat",
        "openai_chat",
        {**CHAT, "stream": True, "stream_options": {"include_usage": True}},
        [
            "data: " + CHUNK % '{"index":0,"delta":{"content":"hi"},"finish_reason":null}' + "\n\n",
            "data: " + CHUNK % '{"index":0,"delta":{},"finish_reason":"stop"}' + "\n\n",
            "data: [DONE]\n\n",
        ],
    ),
    "messages": (
        "anthropic_messages",
        "anthropic_messages",
        {**CHAT, "max_tokens": 9, "stream": True},
        [
            f"event: {event['type']}\ndata: {json.dumps(event)}\n\n"
            for event in (
                {"type": "message_start", "message": {**MESSAGE, "content": [], "stop_reason": None}},
                {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
                {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hi"}},
                {"type": "content_block_stop", "index": 0},
                {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}},
                {"type": "message_stop"},
            )
        ],
    ),
    "gemini": (
        "gemini",
        "gemini",
        {"contents": [{"parts": [{"text": "hi"}]}]},
        [f"data: {json.dumps(GEMINI)}\r\n\r\n"],
    ),
    "gemini array": (
        "gemini",
        "gemini",
        {"contents": [{"parts": [{"text": "hi"}]}]},
        [
            "[" + json.dumps({**GEMINI, "candidates": [{"content": {"parts": [{"text": "a"}]}, "index": 0}]}),
            ",\r\n",
            json.dumps(GEMINI),
            "]",
        ],
    ),
    "ollama": ("ollama_chat", "ollama", CHAT, [json.dumps(OLLAMA | {"done": False}) + "\n", json.dumps(OLLAMA) + "\n"]),
}


@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize("is_requested", [False, True])
@pytest.mark.parametrize("case", STREAMS)
def test_a_stream(case: str, is_requested: bool, size: int) -> None:
    name, dialect, body, events = STREAMS[case]
    endpoint, upstream = ENDPOINTS[name], deployment(dialect)
    call = call_of(endpoint, body, is_requested=is_requested, is_stream=True)
    relay = endpoint.route(call, upstream).relay(call, upstream)
    wire = "".join(events).encode()
    got = b"".join(relay.feed(wire[at : at + size]) for at in range(0, len(wire), size)) + relay.end()
    assert got == (wire.replace(b'"snapshot"', b'"public"') if is_requested else wire)
    assert relay.is_finished
    assert relay.finish_reason == "stop"
    assert relay.error is None


ODD_MODELS = [None, 7, 'snap"shot', {"id": "snapshot"}, ["snapshot"]]
RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "status": "completed",
    "model": "snapshot",
    "output": [
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "hi", "annotations": []}],
        }
    ],
    "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2},
}


@pytest.mark.parametrize("odd", ODD_MODELS, ids=str)
def test_odd_model_of_an_upstream_is_replaced_in_nested_responses(odd: Any) -> None:
    endpoint, upstream = ENDPOINTS["openai_responses"], deployment("openai_responses")
    call = call_of(endpoint, {"model": "public", "input": "x", "stream": True}, is_requested=True, is_stream=True)
    item = RESPONSE["output"][0]  # type: ignore[index]
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": {**RESPONSE, "model": odd, "status": "in_progress", "output": []}},
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "content": []}},
        {
            "type": "response.output_text.delta",
            "item_id": "msg_1",
            "output_index": 0,
            "content_index": 0,
            "delta": "hi",
        },
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": {**RESPONSE, "model": odd}},
    ]
    wire = b""
    for number, event in enumerate(events):
        wire += f"event: {event['type']}\ndata: {json.dumps({**event, 'sequence_number': number})}\n\n".encode()
    relay = endpoint.route(call, upstream).relay(call, upstream)
    got = relay.feed(wire) + relay.end()
    named = [json.loads(line[6:])["response"]["model"] for line in got.split(b"\n") if b'"response":' in line]
    assert named == ["public", "public"]


def test_error_event_of_a_broken_stream_names_the_requested_model() -> None:
    endpoint, upstream = ENDPOINTS["openai_responses"], deployment("openai_responses")
    call = call_of(endpoint, {"model": "public", "input": "x", "stream": True}, is_requested=True, is_stream=True)
    relay = endpoint.route(call, upstream).relay(call, upstream)
    created = {"type": "response.created", "sequence_number": 0, "response": {**RESPONSE, "output": []}}
    relay.feed(f"event: response.created\ndata: {json.dumps(created)}\n\n".encode())
    assert b"snapshot" not in relay.fail(errors.UpstreamTimeout("slow"))


def test_the_bytes_of_audio_pass() -> None:
    endpoint, upstream = ENDPOINTS["openai_speech"], deployment("openai_chat")
    call = call_of(endpoint, {"model": "public", "input": "x", "voice": "v"}, is_requested=True)
    relay = endpoint.route(call, upstream).relay(call, upstream)
    audio = b'{"model":"snapshot"}'
    assert relay.feed(audio) + relay.end() == audio


@pytest.mark.parametrize("is_requested", [False, True])
@pytest.mark.parametrize("upstream", ["openai_chat", "anthropic_messages", "gemini", "ollama"])
@pytest.mark.parametrize("client", ["openai_chat", "anthropic_messages", "gemini", "ollama_chat", "openai_responses"])
def test_an_upstream_that_names_no_model(client: str, upstream: str, is_requested: bool) -> None:
    answers: dict[str, Any] = {
        "openai_chat": {**CHAT_ANSWER, "model": None},
        "anthropic_messages": {**MESSAGE, "model": ""},
        "gemini": {**GEMINI, "modelVersion": ""},
        "ollama": {**OLLAMA, "model": ""},
    }
    if client.startswith(upstream):
        return  # a passthrough adds nothing
    bodies = {
        "gemini": {"contents": [{"parts": [{"text": "hi"}]}]},
        "openai_responses": {"model": "public", "input": "x"},
    }
    body = bodies.get(client, {**CHAT, "max_tokens": 9, "stream": False})
    endpoint, to = ENDPOINTS[client], deployment(upstream)
    call = call_of(endpoint, body, is_requested=is_requested)
    answer = endpoint.route(call, to).decode_response(json.dumps(answers[upstream]).encode(), call, to)
    document = json.loads(answer.body or b"")
    assert (document.get("model") or document["modelVersion"]) == ("public" if is_requested else to.upstream_model)
