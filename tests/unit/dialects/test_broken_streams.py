"""Streams without an answer are failures for clients of every dialect; errors keep the vendor's words and class."""

import json
from typing import Any

import pytest

from intellirouter.core import errors
from tests.support.dialects.pairs import BY_UPSTREAM, CLIENTS, plain_call
from tests.support.dialects.standard import ENDPOINTS

DONE = b"data: [DONE]\n\n"
MESSAGE_START = (
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"m","type":"message","role":"assistant",'
    b'"model":"m","content":[],"usage":{"input_tokens":1,"output_tokens":1}}}\n\n'
)
MESSAGE_STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
ROLE = (
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,'
    b'"delta":{"role":"assistant","content":""},"finish_reason":null}]}\n\n'
)
EMPTY = [
    ("openai_chat", DONE),
    ("openai_chat", b": ping\n\n" + DONE),
    ("openai_chat", ROLE + DONE),
    ("openai_chat", b'data: {"id":"c","choices":[]}\n\n' + DONE),
    ("openai_chat", b""),
    ("anthropic_messages", MESSAGE_STOP),
    ("anthropic_messages", MESSAGE_START + MESSAGE_STOP),
    ("anthropic_messages", DONE),
    ("anthropic_messages", b""),
    ("openai_responses", DONE),
    ("openai_responses", b'data: {"type":"response.completed"}\n\n'),
    ("openai_responses", b'data: {"type":"response.completed","response":{"status":"completed","output":[]}}\n\n'),
    ("openai_responses", b""),
    ("gemini", DONE),
    ("gemini", b"[]"),
    ("gemini", b""),
    ("ollama", b'{"done": true}\n'),
    ("ollama", b'{"model":"m","message":{"role":"assistant","content":""},"done":true}\n'),
    ("ollama", b""),
]
ERRORS = [
    ({"error_type": "context_length_exceeded", "error_message": "the vendor's words"}, errors.UpstreamRejected, 400),
    ({"object": "error", "message": "the vendor's words", "code": 400}, errors.UpstreamRejected, 400),
    ({"detail": "the vendor's words"}, errors.UpstreamUnavailable, 502),
    ({"message": "the vendor's words", "code": 429}, errors.UpstreamRateLimited, 429),
    ({"error": {"message": "the vendor's words", "code": 400}}, errors.UpstreamRejected, 400),
    ({"error": {"message": "the vendor's words", "code": "429"}}, errors.UpstreamRateLimited, 429),
    ({"error": {"message": "the vendor's words", "type": "rate_limit_error"}}, errors.UpstreamRateLimited, 429),
    ({"error": {"message": "the vendor's words", "code": 401}}, errors.UpstreamAuthFailed, 502),
    ({"error": {"message": "the vendor's words", "type": "permission_error"}}, errors.UpstreamAuthFailed, 502),
    ({"error": {"message": "the vendor's words", "code": "model_not_found"}}, errors.UpstreamModelMissing, 404),
    ({"error": {"message": "the vendor's words", "code": 408}}, errors.UpstreamTimeout, 504),
    ({"error": {"message": "the vendor's words", "code": 504}}, errors.UpstreamTimeout, 504),
    ({"error": {"message": "the vendor's words", "type": "BadRequestError"}}, errors.UpstreamRejected, 400),
    ({"error": {"message": "the vendor's words", "type": "server_error"}}, errors.UpstreamUnavailable, 502),
    ({"error": {"message": "the vendor's words"}}, errors.UpstreamUnavailable, 502),
]
UPSTREAMS = ("openai_chat", "openai_responses", "anthropic_messages", "gemini", "ollama")


def route_of(client: str, upstream: str, *, is_stream: bool) -> Any:
    call = plain_call(client, is_stream=is_stream)
    deployment = BY_UPSTREAM[upstream]
    return ENDPOINTS["ollama_chat" if client == "ollama" else client].route(call, deployment), call, deployment


def relayed(client: str, upstream: str, *wire: bytes) -> tuple[Any, bytes]:
    route, call, deployment = route_of(client, upstream, is_stream=True)
    relay = route.relay(call, deployment)
    return relay, b"".join(map(relay.feed, wire)) + relay.end()


def as_events(upstream: str, document: Any) -> bytes:
    data = json.dumps(document).encode()
    return data + b"\n" if upstream == "ollama" else b"data: " + data + b"\n\n" + DONE


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(("upstream", "wire"), EMPTY)
def test_a_stream_without_an_answer_can_fall_back(client: str, upstream: str, wire: bytes) -> None:
    with pytest.raises(errors.UpstreamMalformed) as raised:
        relayed(client, upstream, wire)
    assert raised.value.fallback


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("upstream", UPSTREAMS)
@pytest.mark.parametrize(("document", "kind", "status"), ERRORS)
def test_an_error_before_any_content_keeps_its_words_and_class(
    client: str, upstream: str, document: Any, kind: type[errors.UpstreamError], status: int
) -> None:
    with pytest.raises(errors.UpstreamError, match="the vendor's words") as raised:
        relayed(client, upstream, as_events(upstream, document))
    assert type(raised.value) is kind
    assert raised.value.status == status


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("upstream", UPSTREAMS)
@pytest.mark.parametrize(("document", "kind", "status"), ERRORS)
def test_an_error_with_status_200_keeps_its_words_and_class(
    client: str, upstream: str, document: Any, kind: type[errors.UpstreamError], status: int
) -> None:
    route, call, deployment = route_of(client, upstream, is_stream=False)
    with pytest.raises(errors.UpstreamError, match="the vendor's words") as raised:
        route.decode_response(json.dumps(document).encode(), call, deployment)
    assert type(raised.value) is kind
    assert raised.value.status == status


TEXT = ROLE.replace(b'"content":""', b'"content":"Hel"')
CALL = ROLE.replace(
    b'"content":""', b'"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]'
)


@pytest.mark.parametrize(
    ("wire", "reason"),
    [
        ((TEXT + DONE,), "stop"),
        ((TEXT, DONE), "stop"),
        ((TEXT, TEXT * 9, DONE), "stop"),
        ((CALL + DONE,), "tool_calls"),
        ((TEXT, CALL * 9, DONE), "tool_calls"),
    ],
)
def test_a_finish_reason_that_was_left_out_is_put_in(wire: tuple[bytes, ...], reason: str) -> None:
    relay, out = relayed("openai_chat", "openai_chat", *wire)
    assert relay.finish_reason is None, "nobody knows whether the answer is complete"
    *_, finish, done = out.removesuffix(b"\n\n").split(b"\n\n")
    assert done == b"data: [DONE]"
    chunk = json.loads(finish.removeprefix(b"data: "))
    assert (chunk["id"], chunk["choices"]) == ("c", [{"index": 0, "delta": {}, "finish_reason": reason}])


def test_a_finish_reason_of_a_completion_is_put_in() -> None:
    chunk = b'data: {"id":"c","object":"text_completion","choices":[{"index":0,"text":"a","finish_reason":null}]}\n\n'
    route = ENDPOINTS["openai_completions"]
    call = route.client.decode_request(b'{"model":"m","prompt":"hi","stream":true}')
    relay = route.route(call, BY_UPSTREAM["openai_chat"]).relay(call, BY_UPSTREAM["openai_chat"])
    out = relay.feed(chunk + DONE) + relay.end()
    assert b'"finish_reason":"stop"' in out
    assert out.endswith(DONE)


def test_a_stop_reason_of_a_message_is_put_in() -> None:
    delta = b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}'
    text = b"event: content_block_delta\ndata: " + delta + b"\n\n"
    _, out = relayed("anthropic_messages", "anthropic_messages", MESSAGE_START + text + MESSAGE_STOP)
    *_, finish, stop = out.removesuffix(b"\n\n").split(b"\n\n")
    assert stop + b"\n\n" == MESSAGE_STOP
    assert json.loads(finish.partition(b"data: ")[2])["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}


@pytest.mark.parametrize("blocks", [(TEXT, TEXT), (TEXT, TEXT * 9)])
def test_an_error_in_other_words_after_content_ends_the_stream_with_an_error(blocks: tuple[bytes, ...]) -> None:
    error = as_events("openai_chat", {"error_type": "overloaded", "error_message": "the vendor's words"})
    relay, out = relayed("openai_chat", "openai_chat", *blocks, error)
    assert relay.error is not None
    last = out.removesuffix(b"\n\n").split(b"\n\n")[-1]
    assert "the vendor's words" in json.loads(last.removeprefix(b"data: "))["error"]["message"]


def test_an_error_in_a_choice_is_an_error() -> None:
    choice = {"index": 0, "delta": {}, "error": {"code": 429, "message": "slow down"}, "finish_reason": "error"}
    for client in CLIENTS:
        with pytest.raises(errors.UpstreamRateLimited, match="slow down"):
            relayed(client, "openai_chat", as_events("openai_chat", {"id": "c", "choices": [choice]}))
        route, call, deployment = route_of(client, "openai_chat", is_stream=False)
        with pytest.raises(errors.UpstreamRateLimited, match="slow down"):
            route.decode_response(json.dumps({"id": "c", "choices": [choice]}).encode(), call, deployment)


FAILED = b'data: {"id":"c","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"error"}]}\n\n'


@pytest.mark.parametrize("client", CLIENTS)
def test_an_answer_that_failed_halfway_does_not_end_like_a_good_one(client: str) -> None:
    with pytest.raises(errors.UpstreamMalformed, match="before its answer was complete"):
        relayed(client, "openai_chat", FAILED + DONE)
    relay, _ = relayed(client, "openai_chat", TEXT, FAILED + DONE)
    assert relay.error is not None
    choice = {"index": 0, "message": {"role": "assistant", "content": "Once"}, "finish_reason": "error"}
    route, call, deployment = route_of(client, "openai_chat", is_stream=False)
    with pytest.raises(errors.UpstreamMalformed, match="before its answer was complete"):
        route.decode_response(json.dumps({"id": "c", "choices": [choice]}).encode(), call, deployment)
