"""Benchmarks of routes between dialects: one request, one complete response, one event of a stream.

Also the check of a candidate, the choice of a route, and the encoding of an edited call.
"""

from collections.abc import Callable
from functools import partial
from typing import Final

from msgspec import structs

from bench.micro import Work, micro
from bench.pairs import ANTHROPIC, PAIRS, Pair
from intellirouter.catalog import profile_of
from intellirouter.core import EMPTY_CONTEXT, Call, Deployment, UpstreamAddress
from intellirouter.dialects import DIALECTS, Endpoint, build_dialects
from intellirouter.dialects.ir import Message, Text

_NAMES: Final = {"openai": "openai_chat", "anthropic": "anthropic_messages"}
_ENDPOINTS: Final = build_dialects(DIALECTS).endpoints
_EVENTS: Final = 1000
"""Number of text events that are added to a stream, so that its beginning and end hardly matter."""


def _deployment(pair: Pair) -> Deployment:
    dialects = (_NAMES[pair.upstream.name],)
    vendor = "anthropic" if pair.upstream is ANTHROPIC else "openai-compatible"
    return Deployment(
        name="bench-1",
        provider="lab",
        vendor=vendor,
        upstream_model="bench-1",
        address=UpstreamAddress(base_url="http://127.0.0.1:9/v1"),
        dialects=dialects,
        profile=profile_of(dialects, vendor, "bench-1"),
    )


def _endpoint(pair: Pair) -> Endpoint:
    return _ENDPOINTS[_NAMES[pair.client.name]]


def _call(pair: Pair, *, is_stream: bool) -> Call:
    endpoint = _endpoint(pair)
    return endpoint.decode_request(pair.client.body("bench-model", is_stream=is_stream).encode(), EMPTY_CONTEXT)


def _request(pair: Pair) -> Work:
    endpoint, deployment = _endpoint(pair), _deployment(pair)
    body = pair.client.body("bench-model", is_stream=False).encode()

    def work() -> object:
        call = endpoint.decode_request(body, EMPTY_CONTEXT)
        return endpoint.route(call, deployment).encode_request(call, deployment)

    return work


def _can_serve(pair: Pair) -> Work:
    endpoint, deployment, call = _endpoint(pair), _deployment(pair), _call(pair, is_stream=False)
    return lambda: endpoint.can_serve(call, deployment)


def _route(pair: Pair) -> Work:
    endpoint, deployment, call = _endpoint(pair), _deployment(pair), _call(pair, is_stream=False)
    return lambda: endpoint.route(call, deployment)


def _edited(pair: Pair) -> Work:
    """Add a system message at the beginning, and encode the edited call."""
    endpoint, deployment, call = _endpoint(pair), _deployment(pair), _call(pair, is_stream=False)
    original = endpoint.conversation(call)
    if original is None:
        raise ValueError(f"{pair.name} has no conversation")
    messages = [Message(role="system", parts=[Text(text="Be brief.")]), *original.messages]

    def work() -> object:
        edited = endpoint.edited(call, structs.replace(original, messages=messages))
        return endpoint.route(edited, deployment).encode_request(edited, deployment)

    return work


def _answer(pair: Pair) -> Work:
    deployment, call = _deployment(pair), _call(pair, is_stream=False)
    route = _endpoint(pair).route(call, deployment)
    route.encode_request(call, deployment)
    body = pair.upstream.answer().encode()
    return lambda: route.decode_response(body, call, deployment)


def _stream(pair: Pair) -> Work:
    deployment, call = _deployment(pair), _call(pair, is_stream=True)
    route = _endpoint(pair).route(call, deployment)
    route.encode_request(call, deployment)
    events = [event.encode() for event in pair.upstream.events()]
    text = next(event for event in events if b" equal" in event)
    events[5:5] = [text.replace(b"equal", b"w%03d" % number) for number in range(_EVENTS)]

    def work() -> object:
        relay = route.relay(call, deployment)
        for event in events:
            relay.feed(event)
        return relay.end()

    return work


def _register(kind: str, prepare: Callable[[Pair], Work], *, times: int = 1) -> None:
    for pair in PAIRS:
        micro(f"dialects.{kind}.{pair.name}", times=times)(partial(prepare, pair))


_register("request", _request)
_register("can_serve", _can_serve)
_register("route", _route)
_register("edited", _edited)
_register("answer", _answer)
_register("event", _stream, times=_EVENTS)
