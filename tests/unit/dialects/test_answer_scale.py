"""The work for an answer grows linearly with its size, for every client over every upstream.

Executed lines are counted, not time, so that the result does not depend on the machine.
"""

from collections.abc import Callable

import pytest
from msgspec import structs

from intellirouter.core import AnswerLimits, Deployment
from tests.support.dialects.pairs import BY_UPSTREAM, CLIENTS, UPSTREAMS, endpoint_of, plain_call
from tests.support.dialects.standard import ENDPOINTS
from tests.support.lines import lines_of
from tests.support.slow_answers import corpus

MAX_RATIO = 2.3
"""Of the lines for twice as much. It would be 4 for quadratic work, and is a little over 2 for linear work."""
N = 120
N_OF_CHAT = 16 * N
"""The relay of chat streams does not read the first 64 kB, or more of short texts, so both streams must be longer."""
SLICE_BYTES = 4096
UNLIMITED = AnswerLimits(bytes=2**40, chars=2**40, parts=2**40, tool_calls=2**40)
STREAMS = [(upstream, family) for upstream in UPSTREAMS for family in corpus.stream_families(upstream)]
BODIES = [(upstream, family) for upstream in UPSTREAMS for family in corpus.body_families()]


def unlimited(upstream: str) -> Deployment:
    return structs.replace(BY_UPSTREAM[upstream], limits=UNLIMITED)


def relay_stream(client: str, upstream: str, wire: bytes) -> None:
    call, deployment = plain_call(client, is_stream=True), unlimited(upstream)
    relay = ENDPOINTS[endpoint_of(client, call.body)].route(call, deployment).relay(call, deployment)
    for start in range(0, len(wire), SLICE_BYTES):
        relay.feed(wire[start : start + SLICE_BYTES])
    relay.end()
    assert relay.error is None


def decode_body(client: str, upstream: str, body: bytes) -> None:
    call, deployment = plain_call(client), unlimited(upstream)
    ENDPOINTS[endpoint_of(client, call.body)].route(call, deployment).decode_response(body, call, deployment)


def growth(work: Callable[[str, str, bytes], None], client: str, upstream: str, small: bytes, large: bytes) -> float:
    work(client, upstream, small)  # what is done once per process is not counted
    return lines_of(lambda: work(client, upstream, large)) / lines_of(lambda: work(client, upstream, small))


@pytest.mark.parametrize(("upstream", "family"), STREAMS)
def test_streams_take_linear_work(upstream: str, family: str) -> None:
    def growth_of(client: str) -> float:
        count = N_OF_CHAT if client == upstream == "openai_chat" else N
        small, large = (corpus.stream(upstream, family, n) for n in (count, 2 * count))
        return growth(relay_stream, client, upstream, small, large)

    growths = {client: growth_of(client) for client in CLIENTS}
    assert max(growths.values()) <= MAX_RATIO, growths


@pytest.mark.parametrize(("upstream", "family"), BODIES)
def test_complete_answers_take_linear_work(upstream: str, family: str) -> None:
    small, large = (corpus.body(upstream, family, n) for n in (N, 2 * N))
    growths = {client: growth(decode_body, client, upstream, small, large) for client in CLIENTS}
    assert max(growths.values()) <= MAX_RATIO, growths
