"""Requests that repeat byte by byte are decoded once they are known to be answered from the cache."""

from collections.abc import Callable

import pytest

from intellirouter.core import EMPTY_CONTEXT, RequestContext
from intellirouter.pipeline.recent_calls import RecentCalls
from tests.support.cached_world import Cached
from tests.support.dialects.standard import ENDPOINTS
from tests.support.pipeline import ANSWER, BODY, STREAM_BODY, Response

CHAT = ENDPOINTS["openai_chat"]
BODIES = {
    "openai_chat": BODY,
    "openai_completions": b'{"model":"m","prompt":"x"}',
    "openai_responses": b'{"model":"m","input":"x","store":false}',
    "openai_embeddings": b'{"model":"m","input":"x"}',
    "anthropic_messages": b'{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"x"}]}',
    "anthropic_count_tokens": b'{"model":"m","messages":[{"role":"user","content":"x"}]}',
    "gemini": b'{"contents":[{"role":"user","parts":[{"text":"x"}]}]}',
    "openai_moderations": b'{"model":"m","input":"x"}',
    "rerank": b'{"model":"m","query":"x","documents":["y"]}',
}


@pytest.mark.parametrize("name", BODIES)
def test_every_request_gets_an_equal_call_of_its_own(name: str) -> None:
    endpoint, recent, context = ENDPOINTS[name], RecentCalls(), RequestContext(model="m")
    assert endpoint.decodes_alike
    call = endpoint.decode_request(BODIES[name], context)
    recent.offer(endpoint, BODIES[name], context, call)
    assert recent.copy_of(endpoint, BODIES[name], context) is None, "it was not expected"
    recent.expect(endpoint, BODIES[name], context)
    assert recent.copy_of(endpoint, BODIES[name], context) is None, "it has not been decoded since"
    recent.offer(endpoint, BODIES[name], context, call)
    call.names_requested_model, call.fetched = True, {"u": ("t", "d")}
    copies = [recent.copy_of(endpoint, bytes(bytearray(BODIES[name])), context) for _ in range(2)]
    fresh = endpoint.decode_request(BODIES[name], context)
    assert copies == [fresh, fresh]
    first, second = copies
    assert first is not None
    assert first is not second
    first.is_edited = True
    assert recent.copy_of(endpoint, BODIES[name], context) == fresh


@pytest.mark.parametrize("name", ["ollama_chat", "ollama_generate", "ollama_embed", "ollama_embeddings"])
def test_calls_with_a_time_are_not_remembered(name: str) -> None:
    endpoint, recent = ENDPOINTS[name], RecentCalls()
    assert not endpoint.decodes_alike
    recent.expect(endpoint, b"{}", EMPTY_CONTEXT)
    recent.offer(endpoint, b"{}", EMPTY_CONTEXT, CHAT.decode_request(BODY, EMPTY_CONTEXT))
    assert recent.copy_of(endpoint, b"{}", EMPTY_CONTEXT) is None


def test_another_endpoint_context_or_body_is_another_request() -> None:
    recent = RecentCalls()
    recent.expect(CHAT, BODY, EMPTY_CONTEXT)
    recent.offer(CHAT, BODY, EMPTY_CONTEXT, CHAT.decode_request(BODY, EMPTY_CONTEXT))
    assert recent.copy_of(CHAT, BODY, EMPTY_CONTEXT) is not None
    assert recent.copy_of(CHAT, BODY + b" ", EMPTY_CONTEXT) is None
    assert recent.copy_of(CHAT, BODY, RequestContext(headers=(("a", "b"),))) is None
    assert recent.copy_of(ENDPOINTS["openai_completions"], BODY, EMPTY_CONTEXT) is None


def test_what_is_remembered_is_bounded() -> None:
    recent, call = RecentCalls(), CHAT.decode_request(BODY, EMPTY_CONTEXT)
    bodies = [b"%d:%b" % (number, b"x" * 8000) for number in range(2000)]
    for body in bodies:
        recent.expect(CHAT, body, EMPTY_CONTEXT)
        recent.offer(CHAT, body, EMPTY_CONTEXT, call)
    kept = [body for body in bodies if recent.copy_of(CHAT, body, EMPTY_CONTEXT) is not None]
    assert 0 < len(kept) < 600
    assert kept[-1] == bodies[-1]
    recent.expect(CHAT, b"x" * 20_000, EMPTY_CONTEXT)
    recent.offer(CHAT, b"x" * 20_000, EMPTY_CONTEXT, call)
    assert recent.copy_of(CHAT, b"x" * 20_000, EMPTY_CONTEXT) is None


@pytest.mark.parametrize("body", [BODY, STREAM_BODY])
async def test_a_request_that_hits_again_and_again_is_not_decoded(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = 0
    decode: Callable[[bytes, RequestContext], object] = CHAT.client.decode_request

    def count(data: bytes, context: RequestContext) -> object:
        nonlocal decoded
        decoded += 1
        return decode(data, context)

    monkeypatch.setattr(CHAT.client, "decode_request", count)
    world = Cached(Response(ANSWER), Response(ANSWER))
    bodies = [(await world.ask(body))[1].body for _ in range(6)]
    assert world.statuses == ["miss"] + ["hit"] * 5
    assert len(set(bodies)) == 1
    assert decoded == 3, "the miss, the first hit, and the one whose call is remembered"
    world.clock.advance(90_000.0)
    _, reply = await world.ask(body)
    assert world.statuses[-1] == "miss"
    assert reply.error is None
    assert decoded == 3
