"""A new dialect is one module and one spec: its clients reach all upstreams, and all clients reach it."""

import json
from typing import Any

import pytest
from msgspec import structs

from intellirouter.core import EMPTY_CONTEXT, SYSTEM_CLOCK, Call, Deployment, RequestContext, errors
from intellirouter.dialects import DIALECTS, build_dialects
from intellirouter.dialects.ir import Message, Response, Text
from tests.support.dialects import made_up
from tests.support.dialects.golden import load
from tests.support.dialects.pairs import (
    BY_UPSTREAM,
    CLIENTS,
    UPSTREAMS,
    collected,
    endpoint_of,
    plain_call,
    read_back,
    upstream_of,
    wire_of,
)

WITH_NEW_DIALECT = build_dialects((*DIALECTS, made_up.SPEC))
SHOUTER = structs.replace(BY_UPSTREAM["openai_chat"], name="shouter", dialects=("shout",), upstream_model="loud")
REQUEST = {"turns": [["boss", "Be loud."], ["me", "hi"]]}
ANSWER = {"words": "HI", "end": "stop", "tokens": [3, 5]}


def shout(*, live: bool = False) -> Call:
    body = json.dumps({"model": "m", **REQUEST, "live": live}).encode()
    return WITH_NEW_DIALECT.endpoints["shout"].decode_request(body, EMPTY_CONTEXT)


def first_case(dialect: str, kind: str) -> dict[str, Any]:
    """Return a case of the dialect that has only text."""
    cases = [case for _, case in load(dialect, kind) if set(case["features"]) <= {"text", "finish_stop", "usage"}]
    return cases[0]


def text_of(response: Response) -> str:
    return "".join(part.text for part in response.choices[0].parts if isinstance(part, Text))


@pytest.mark.parametrize("upstream", UPSTREAMS)
@pytest.mark.parametrize("is_stream", [False, True])
def test_clients_of_the_new_dialect_reach_every_upstream(upstream: str, is_stream: bool) -> None:
    call, target = shout(live=is_stream), BY_UPSTREAM[upstream]
    route = WITH_NEW_DIALECT.endpoints["shout"].route(call, target)
    sent = read_back(route.encode_request(call, target), upstream)
    words = [part.text for message in sent.messages for part in message.parts if isinstance(part, Text)]
    assert (words, sent.is_stream) == (["Be loud.", "hi"], is_stream)
    if is_stream:
        wire = wire_of(upstream, first_case(upstream, "streams"))
        relay = route.relay(call, target)
        lines = (relay.feed(wire) + relay.end()).splitlines()
        received = "".join(json.loads(line).get("words", "") for line in lines)
        assert received == text_of(collected(upstream, wire))
        assert json.loads(lines[-1])["end"] == "stop"
    else:
        body = json.dumps(first_case(upstream, "responses")["body"]).encode()
        answer = route.decode_response(body, call, target)
        assert answer.body is not None
        received = json.loads(answer.body)["words"]
        assert received == text_of(upstream_of(upstream).decode(body, target))


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("is_stream", [False, True])
def test_every_client_reaches_an_upstream_of_the_new_dialect(client: str, is_stream: bool) -> None:
    call = plain_call(client, is_stream=is_stream)
    route = WITH_NEW_DIALECT.endpoints[endpoint_of(client, call.body)].route(call, SHOUTER)
    sent = json.loads(route.encode_request(call, SHOUTER).body)
    assert sent == {"model": "loud", "turns": [["me", "hi"]], "live": is_stream}
    if is_stream:
        relay = route.relay(call, SHOUTER)
        wire = relay.feed(b'{"words":"H"}\n{"wor') + relay.feed(b'ds":"I"}\n{"end":"stop","tokens":[3,5]}\n')
        response = collected(client, wire + relay.end())
    else:
        answer = route.decode_response(json.dumps(ANSWER).encode(), call, SHOUTER)
        assert answer.body is not None
        response = upstream_of(client).decode(answer.body, BY_UPSTREAM[client])
    stop = response.choices[0].stop
    assert (text_of(response), stop and stop.reason) == ("HI", "stop")
    assert response.usage is not None
    assert (response.usage.total_input_tokens, response.usage.total_output_tokens) == (3, 5)


@pytest.mark.parametrize("is_stream", [False, True])
def test_same_dialect_passes_through(is_stream: bool) -> None:
    call = shout(live=is_stream)
    route = WITH_NEW_DIALECT.endpoints["shout"].route(call, SHOUTER)
    assert json.loads(route.encode_request(call, SHOUTER).body) == {"model": "loud", **REQUEST, "live": is_stream}
    if is_stream:
        wire = b'{"words":"H","more":1}\n{"end":"stop"}\n'
        relay = route.relay(call, SHOUTER)
        assert relay.feed(wire) + relay.end() == wire
    else:
        assert route.decode_response(b'{"words":"H","more":1}', call, SHOUTER).body is None


def test_calls_of_the_new_dialect_can_be_edited() -> None:
    body = json.dumps({"model": "m", **REQUEST, "pitch": "high"}).encode()
    endpoint = WITH_NEW_DIALECT.endpoints["shout"]
    call = endpoint.decode_request(body, EMPTY_CONTEXT)
    conversation = endpoint.conversation(call)
    assert conversation is not None
    added = Message(role="user", parts=[Text(text="again")])
    edited = endpoint.edited(call, structs.replace(conversation, messages=[*conversation.messages, added]))
    turns = [*REQUEST["turns"], ["me", "again"]]
    sent = json.loads(endpoint.route(edited, SHOUTER).encode_request(edited, SHOUTER).body)
    assert sent == {"model": "loud", "turns": turns, "pitch": "high"}
    target = BY_UPSTREAM["anthropic_messages"]
    arrived = read_back(endpoint.route(edited, target).encode_request(edited, target), "anthropic_messages")
    assert [part.text for message in arrived.messages for part in message.parts if isinstance(part, Text)] == [
        text for _, text in turns
    ]


def test_losses_have_the_clients_names_of_fields() -> None:
    call = plain_call("openai_chat")
    body = {**json.loads(call.body), "temperature": 1}
    call = WITH_NEW_DIALECT.endpoints["openai_chat"].decode_request(json.dumps(body).encode(), EMPTY_CONTEXT)
    losses = WITH_NEW_DIALECT.endpoints["openai_chat"].route(call, SHOUTER).encode_request(call, SHOUTER).losses
    assert [str(loss) for loss in losses] == ["temperature;how=dropped"]


def test_paths_errors_and_token_counts_of_the_new_dialect_are_served() -> None:
    assert WITH_NEW_DIALECT.endpoints_by_path["/shout"] is WITH_NEW_DIALECT.endpoints["shout"]
    found = WITH_NEW_DIALECT.match("/shout/some/model!now")
    assert found is not None
    assert (found.endpoint.name, found.model, found.is_stream) == ("shout", "some/model", True)
    call = found.endpoint.decode_request(b'{"turns":[["me","hi"]]}', RequestContext(model=found.model, is_stream=True))
    assert (call.model, call.is_stream) == ("some/model", True)
    assert WITH_NEW_DIALECT.errors_at("/shout/nowhere", {}) is made_up.SPEC.errors
    assert WITH_NEW_DIALECT.errors_at("/elsewhere", {b"x-shout": b"1"}) is made_up.SPEC.errors
    count = WITH_NEW_DIALECT.endpoints["shout_count"]
    call = count.decode_request(json.dumps({"model": "m", **REQUEST}).encode(), EMPTY_CONTEXT)
    answer = count.route(call, SHOUTER).decode_response(b"", call, SHOUTER)
    assert answer.body is not None
    assert json.loads(answer.body)["tokens"][0] > 0


def test_upstream_errors_of_the_new_dialect_become_gateway_errors() -> None:
    call = plain_call("gemini")
    route = WITH_NEW_DIALECT.endpoints["gemini"].route(call, SHOUTER)
    error = route.decode_error(500, (), b'{"problem":"hoarse"}', deployment="shouter", clock=SYSTEM_CLOCK)
    assert isinstance(error, errors.UpstreamUnavailable)
    relay = route.relay(plain_call("gemini", is_stream=True), SHOUTER)
    with pytest.raises(errors.UpstreamUnavailable, match="hoarse"):
        relay.feed(b'{"problem":"hoarse"}\n')


def test_the_standard_registry_does_not_have_the_new_dialect() -> None:
    assert "shout" not in build_dialects(DIALECTS).endpoints
    deployment: Deployment = SHOUTER
    call = plain_call("openai_chat")
    with pytest.raises(errors.UnsupportedFeature):
        build_dialects(DIALECTS).endpoints["openai_chat"].route(call, deployment)
