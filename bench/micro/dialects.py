"""Lanes between dialects: one request, one whole answer, one event of a stream that comes event by event."""

from collections.abc import Callable
from functools import partial
from typing import Final

from bench.micro import Work, micro
from bench.pairs import ANTHROPIC, PAIRS, Pair
from intellirouter.core import NO_FACTS, Call, Deployment, Endpoint
from intellirouter.dialects import SURFACES, Surface

_NAMES: Final = {"openai": "openai_chat", "anthropic": "anthropic_messages"}
_EVENTS: Final = 1000
"""Pieces of text that a stream is made longer by: their cost, without the stream's opening and end."""


def _deployment(pair: Pair) -> Deployment:
    return Deployment(
        name="bench-1",
        provider="lab",
        vendor="anthropic" if pair.upstream is ANTHROPIC else "openai-compatible",
        upstream_model="bench-1",
        endpoint=Endpoint(base_url="http://127.0.0.1:9/v1"),
        dialects=(_NAMES[pair.upstream.name],),
    )


def _surface(pair: Pair) -> Surface:
    return SURFACES[_NAMES[pair.client.name]]


def _call(pair: Pair, *, is_stream: bool) -> Call:
    surface = _surface(pair)
    return surface.decode_request(pair.client.body("bench-model", is_stream=is_stream).encode(), NO_FACTS)


def _request(pair: Pair) -> Work:
    surface, deployment = _surface(pair), _deployment(pair)
    body = pair.client.body("bench-model", is_stream=False).encode()

    def work() -> object:
        call = surface.decode_request(body, NO_FACTS)
        return surface.lane(call, deployment).encode_request(call, deployment)

    return work


def _answer(pair: Pair) -> Work:
    deployment, call = _deployment(pair), _call(pair, is_stream=False)
    lane = _surface(pair).lane(call, deployment)
    lane.encode_request(call, deployment)
    body = pair.upstream.answer().encode()
    return lambda: lane.decode_response(body, call, deployment)


def _stream(pair: Pair) -> Work:
    deployment, call = _deployment(pair), _call(pair, is_stream=True)
    lane = _surface(pair).lane(call, deployment)
    lane.encode_request(call, deployment)
    events = [event.encode() for event in pair.upstream.events()]
    text = next(event for event in events if b" equal" in event)
    events[5:5] = [text.replace(b"equal", b"w%03d" % number) for number in range(_EVENTS)]

    def work() -> object:
        relay = lane.relay(call, deployment)
        for event in events:
            relay.feed(event)
        return relay.end()

    return work


def _register(kind: str, prepare: Callable[[Pair], Work], *, times: int = 1) -> None:
    for pair in PAIRS:
        micro(f"dialects.{kind}.{pair.name}", times=times)(partial(prepare, pair))


_register("request", _request)
_register("answer", _answer)
_register("event", _stream, times=_EVENTS)
