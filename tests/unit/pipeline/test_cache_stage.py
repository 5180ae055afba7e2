"""The response cache in the pipeline: hits, misses and stale answers, complete and streamed."""

import json
from collections.abc import Sequence

import pytest

from intellirouter.cache import CacheDirectives
from intellirouter.config import CacheSpec, KeySpec
from intellirouter.core import Usage, errors
from intellirouter.pipeline import Exchange
from tests.support.cached_world import CALL, JSON, SENT, SSE, TOOLS, TTL, Cached, sent_of, spec
from tests.support.pipeline import ANSWER, BODY, EVENTS, STREAM_BODY, Reply, Response, Source, World


@pytest.mark.parametrize(("body", "answer", "kind"), [(BODY, (ANSWER,), JSON), (STREAM_BODY, EVENTS, SSE)])
async def test_second_request_gets_the_stored_bytes(body: bytes, answer: Sequence[bytes], kind: bytes) -> None:
    world = Cached(Response(*answer))
    first, original = await world.ask(body)
    world.clock.advance(12.0)
    second, replayed = await world.ask(body)
    assert world.calls == 1
    assert replayed.body == original.body == sent_of(answer)
    assert replayed.content_type == original.content_type == kind
    miss, hit = world.journal.records
    assert (miss.cache, hit.cache) == ("miss", "hit")
    assert (hit.cache_source, hit.cache_age_s) == (first.request_id, pytest.approx(12.0))
    assert (miss.cost_microusd, miss.saved_microusd) == (5, None)
    assert (hit.cost_microusd, hit.saved_microusd, hit.usage) == (0, 5, Usage())
    assert (hit.deployment, hit.attempts, hit.finish_reason) == (None, (), "stop")
    assert second.answered_by == "cache"


async def test_stream_and_complete_answer_are_stored_separately() -> None:
    world = Cached(Response(ANSWER), Response(*EVENTS))
    await world.ask(BODY)
    _, reply = await world.ask(STREAM_BODY)
    assert (world.calls, reply.body) == (2, SENT)


async def test_order_of_members_white_space_and_user_make_no_difference() -> None:
    world = Cached(Response(ANSWER))
    await world.ask(b'{"model":"m","messages":[{"role":"user","content":"hello"}]}')
    await world.ask(b'{ "messages": [{"content": "hello", "role": "user"}], "user": "u2", "model": "m" }')
    assert world.statuses == ["miss", "hit"]


async def test_tenants_do_not_share_answers() -> None:
    keys = tuple(
        KeySpec(digest=__import__("hashlib").sha256(name.encode()).digest(), tenant=name, name="k")
        for name in ("t1", "t2")
    )
    world = Cached(Response(ANSWER), Response(ANSWER), keys=keys)
    for key in (b"t1", b"t2", b"t1", b"t2"):
        await world.ask(key=key)
    assert world.statuses == ["miss", "miss", "hit", "hit"]


async def test_answer_expires() -> None:
    world = Cached(Response(ANSWER), Response(ANSWER))
    await world.ask()
    world.clock.advance(3599.0)
    await world.ask()
    world.clock.advance(2.0)
    await world.ask()
    assert world.statuses == ["miss", "hit", "miss"]


async def test_model_that_is_off_is_not_cached() -> None:
    world = Cached(Response(ANSWER), Response(ANSWER), settings=CacheSpec(default_mode="off", is_used=True, ttl_s=TTL))
    await world.ask()
    await world.ask()
    assert (world.calls, world.statuses) == (2, [None, None])


@pytest.mark.parametrize(
    ("directives", "statuses", "calls"),
    [
        (CacheDirectives(no_store=True), ["miss", "bypass"], 2),
        (CacheDirectives(no_cache=True), ["miss", "bypass"], 2),
        (CacheDirectives(max_age_s=9), ["miss", "miss"], 2),
        (CacheDirectives(max_age_s=10), ["miss", "hit"], 1),
        (CacheDirectives(only_if_cached=True), ["miss", "hit"], 1),
    ],
)
async def test_client_controls_the_cache(directives: CacheDirectives, statuses: list[str], calls: int) -> None:
    world = Cached(Response(ANSWER), Response(ANSWER))
    await world.ask()
    world.clock.advance(10.0)
    await world.ask(directives=directives)
    assert (world.statuses, world.calls) == (statuses, calls)


async def test_no_cache_replaces_the_stored_answer_and_no_store_does_not() -> None:
    newer = ANSWER.replace(b'"hi"', b'"newer"')
    newest = ANSWER.replace(b'"hi"', b'"newest"')
    world = Cached(Response(ANSWER), Response(newer), Response(newest))
    await world.ask()
    await world.ask(directives=CacheDirectives(no_cache=True))
    await world.ask(directives=CacheDirectives(no_store=True))
    _, reply = await world.ask()
    assert (reply.body, world.calls) == (newer, 3)


async def test_only_if_cached_without_an_answer_is_an_error() -> None:
    world = Cached()
    _, reply = await world.ask(directives=CacheDirectives(only_if_cached=True))
    assert isinstance(reply.error, errors.NotCached)
    assert (world.calls, len(world.flights)) == (0, 0)


async def test_only_if_cached_is_an_error_without_a_cache() -> None:
    world = World(a=Response(ANSWER))
    reply = Reply()

    def note(exchange: Exchange) -> None:
        exchange.cache_directives = CacheDirectives(only_if_cached=True)

    await world.entry.serve(Source(), reply, note)
    assert isinstance(reply.error, errors.NotCached)
    assert world.upstream.sent == []


@pytest.mark.parametrize(
    "answer",
    [
        Response(b'{"error":{"message":"no"}}', status=400),
        Response(ANSWER.replace(b'"stop"', b'"length"')),
        Response(ANSWER.replace(b'"stop"', b'"content_filter"')),
    ],
)
async def test_answers_that_are_not_complete_are_not_stored(answer: Response) -> None:
    world = Cached(answer, Response(ANSWER))
    await world.ask()
    _, reply = await world.ask()
    assert (world.calls, reply.body) == (2, ANSWER)


async def test_stream_that_breaks_off_is_not_stored() -> None:
    broken = Response(*EVENTS[:2], error=errors.UpstreamDisconnected("The connection broke."))
    world = Cached(broken, Response(*EVENTS))
    _, first = await world.ask(STREAM_BODY)
    _, second = await world.ask(STREAM_BODY)
    assert first.error is not None
    assert (world.calls, second.body) == (2, SENT)
    assert (len(world.flights), world.flights.used_bytes) == (0, 0)


async def test_answer_beyond_the_limit_is_not_stored() -> None:
    world = Cached(Response(ANSWER), Response(ANSWER), settings=spec(max_entry_bytes=len(ANSWER) - 1))
    await world.ask()
    await world.ask()
    assert (world.calls, world.store.used_bytes, world.flights.used_bytes) == (2, 0, 0)


@pytest.mark.parametrize(("tool_calls", "calls"), [(False, 2), (True, 1)])
async def test_tool_calls_are_stored_only_if_configured(tool_calls: bool, calls: int) -> None:
    world = Cached(Response(CALL), Response(CALL), settings=spec(tool_calls=tool_calls))
    await world.ask(TOOLS)
    await world.ask(TOOLS)
    assert world.calls == calls


async def test_text_answer_to_a_request_with_tools_is_stored() -> None:
    world = Cached(Response(ANSWER))
    await world.ask(TOOLS)
    await world.ask(TOOLS)
    assert world.statuses == ["miss", "hit"]


@pytest.mark.parametrize(
    ("temperature", "reason"),
    [
        ("0.5", None),
        ("0.6", "its temperature of 0.6 is above cache.max_temperature"),
        (None, "its temperature of 1 is"),
    ],
)
async def test_requests_above_the_temperature_bypass_the_cache(temperature: str | None, reason: str | None) -> None:
    body = BODY if temperature is None else BODY.replace(b'"model"', b'"temperature":%b,"model"' % temperature.encode())
    world = Cached(Response(ANSWER), Response(ANSWER), settings=spec(max_temperature=0.5))
    await world.ask(body)
    [record] = world.journal.records
    assert record.cache == ("miss" if reason is None else "bypass")
    assert (record.cache_reason or "").startswith(reason or "")


async def test_answer_that_the_provider_stores_is_not_shared() -> None:
    world = Cached(Response(ANSWER))
    await world.ask(BODY.replace(b'"model"', b'"store":true,"model"'))
    assert world.statuses == ["bypass"]


@pytest.mark.parametrize(("body", "answer"), [(BODY, (ANSWER,)), (STREAM_BODY, EVENTS)])
async def test_expired_answer_is_used_if_all_attempts_fail(body: bytes, answer: Sequence[bytes]) -> None:
    down = [errors.UpstreamUnavailable("a is down."), errors.UpstreamUnavailable("a is down.")]
    world = Cached(Response(*answer), *down, settings=spec(stale_if_error_s=600.0))
    first, _ = await world.ask(body)
    world.clock.advance(3700.0)
    _, reply = await world.ask(body)
    assert (reply.error, reply.body) == (None, sent_of(answer))
    stale = world.journal.records[-1]
    assert (stale.status, stale.error_code, stale.cache, stale.cache_source) == (200, None, "stale", first.request_id)
    assert (stale.cost_microusd, stale.saved_microusd, len(stale.attempts)) == (0, 5, 1)
    assert "is down" in (stale.cache_reason or "")
    world.clock.advance(600.0)
    _, late = await world.ask(body)
    assert late.error is not None


async def test_expired_answer_follows_the_pings_of_a_stream() -> None:
    down = Response(error=errors.UpstreamUnavailable("a is down."))
    world = Cached(Response(*EVENTS), down, settings=spec(stale_if_error_s=600.0))
    await world.ask(STREAM_BODY)
    world.clock.advance(3700.0)
    reply = Reply()
    reply.ping()
    await world.ask(STREAM_BODY, reply=reply)
    assert (reply.error, reply.body) == (None, SENT)


async def test_expired_answer_does_not_follow_content() -> None:
    broken = Response(*EVENTS[:2], error=errors.UpstreamDisconnected("The connection broke."))
    world = Cached(Response(*EVENTS), broken, settings=spec(stale_if_error_s=600.0))
    await world.ask(STREAM_BODY)
    world.clock.advance(3700.0)
    _, reply = await world.ask(STREAM_BODY)
    assert reply.error is not None
    assert reply.body == b"".join(EVENTS[:2])


async def test_expired_answer_is_not_used_for_a_request_that_is_rejected() -> None:
    world = Cached(
        Response(ANSWER), Response(b'{"error":{"message":"no"}}', status=400), settings=spec(stale_if_error_s=600.0)
    )
    await world.ask()
    world.clock.advance(3700.0)
    _, reply = await world.ask()
    assert isinstance(reply.error, errors.UpstreamRejected)


async def test_responses_are_cached_only_if_they_are_not_stored() -> None:
    world = Cached(Response(ANSWER), Response(ANSWER))
    body = {"model": "m", "input": "hi"}
    for store in (None, False):
        await world.ask(
            json.dumps(body if store is None else body | {"store": False}).encode(), endpoint="openai_responses"
        )
    assert world.statuses == ["bypass", "miss"]
