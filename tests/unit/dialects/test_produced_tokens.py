"""How many tokens a relay says its upstream has produced: its text counts, and pings do not."""

import pytest

from intellirouter.core import LossReport
from intellirouter.dialects import StreamRelay
from intellirouter.dialects.ir import StreamStarted, TextDelta
from tests.support.dialects.pairs import BY_UPSTREAM, CLIENTS, client_of, endpoint_of, plain_call
from tests.support.dialects.standard import ENDPOINTS

PINGS = {
    "openai_chat": b": ping\n\n",
    "openai_responses": b": ping\n\n",
    "anthropic_messages": b'event: ping\ndata: {"type": "ping"}\n\n',
    "gemini": b": ping\n\n",
    "ollama": b"\n",
}
PAIRS = [(client, upstream) for client in CLIENTS for upstream in PINGS]


def relay_of(client: str, upstream: str) -> StreamRelay:
    call = plain_call(client, is_stream=True)
    return (
        ENDPOINTS[endpoint_of(client, call.body)].route(call, BY_UPSTREAM[upstream]).relay(call, BY_UPSTREAM[upstream])
    )


class Stream:
    """The upstream's stream, event by event."""

    def __init__(self, upstream: str) -> None:
        self._encoder = client_of(upstream).stream(plain_call(upstream, is_stream=True), LossReport())
        self.start = self._encoder.encode([StreamStarted(id="x", model="m")])

    def text(self, text: str) -> bytes:
        return self._encoder.encode([TextDelta(text=text)])


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_only_text_is_produced(client: str, upstream: str) -> None:
    relay, stream = relay_of(client, upstream), Stream(upstream)
    relay.feed(stream.start)
    relay.feed(stream.text("Hello"))
    before = relay.produced_tokens
    assert before >= 1
    for _ in range(100):
        relay.feed(PINGS[upstream])
    assert relay.produced_tokens == before
    relay.feed(stream.text(" there"))
    assert relay.produced_tokens > before


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
@pytest.mark.parametrize("pieces", [1, 40])
def test_large_pieces_count_by_their_size(client: str, upstream: str, pieces: int) -> None:
    relay, stream = relay_of(client, upstream), Stream(upstream)
    relay.feed(stream.start)
    for piece in range(pieces):
        text = " ".join(str(number * number + piece) for number in range(80))
        relay.feed(stream.text(text))
    assert relay.produced_tokens >= pieces * 80
