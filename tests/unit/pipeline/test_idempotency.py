"""`Idempotency-Key`: the same answer for the same request, for 24 hours."""

import asyncio
import hashlib

import pytest

from intellirouter.cache import CacheDirectives
from intellirouter.config import KeySpec
from intellirouter.core import Loss, errors
from intellirouter.pipeline import Exchange
from tests.support.cached_world import CALL, SENT, TOOLS, Cached, Halting, spec, turns
from tests.support.pipeline import ANSWER, BODY, EVENTS, STREAM_BODY, Reply, Response, Source

IGNORED = Loss("idempotency-key")


async def once(world: Cached, body: bytes = BODY, key: bytes = b"k1", **members: object) -> tuple[Exchange, Reply]:
    reply = Reply()

    def note(exchange: Exchange) -> None:
        exchange.idempotency_key, exchange.ignored = key, (IGNORED,)

    async with asyncio.timeout(5):
        return await world.entry.serve(Source(body, **members), reply, note), reply


async def test_repeated_request_gets_the_same_answer_for_a_day() -> None:
    world = Cached(Response(ANSWER), Response(ANSWER.replace(b'"hi"', b'"new"')))
    await once(world)
    world.clock.advance(86_399.0)
    exchange, reply = await once(world)
    assert (reply.body, exchange.ignored, world.statuses) == (ANSWER, (), ["miss", "hit"])
    world.clock.advance(2.0)
    _, late = await once(world)
    assert (late.body == ANSWER, world.calls) == (False, 2)


async def test_another_request_with_the_key_is_refused() -> None:
    world = Cached(Response(ANSWER))
    await once(world)
    _, reply = await once(world, BODY.replace(b"hello", b"bye"))
    assert isinstance(reply.error, errors.InvalidRequest)
    assert (reply.error.status, reply.error.code) == (422, "idempotency_key_reused")
    assert world.calls == 1


async def test_keys_of_other_callers_are_other_keys() -> None:
    keys = tuple(
        KeySpec(digest=hashlib.sha256(name.encode()).digest(), tenant=tenant, name=name)
        for name, tenant in (("a", "t1"), ("b", "t1"), ("c", "t2"))
    )
    world = Cached(Response(ANSWER), Response(ANSWER), Response(ANSWER), keys=keys)

    for number, name in enumerate((b"a", b"b", b"c")):
        body = BODY.replace(b"hello", b"text %d" % number)
        reply = Reply()

        def note(exchange: Exchange) -> None:
            exchange.idempotency_key = b"1"

        await world.entry.serve(Source(body, key=name), reply, note)
        assert reply.error is None


@pytest.mark.parametrize(("body", "answer", "sent"), [(BODY, (ANSWER,), ANSWER), (STREAM_BODY, EVENTS, SENT)])
async def test_repeated_request_joins_one_in_progress_however_old_it_is(
    body: bytes, answer: tuple[bytes, ...], sent: bytes
) -> None:
    gate = asyncio.Event()
    world = Cached(Halting(*answer, gate=gate), settings=spec(join_window_s=0.0))
    first = asyncio.create_task(once(world, body))
    await turns()
    world.clock.advance(60.0)
    second = asyncio.create_task(once(world, body))
    other = asyncio.create_task(once(world, body.replace(b"hello", b"bye")))
    await turns()
    gate.set()
    replies = [reply for _, reply in await asyncio.gather(first, second)]
    assert [reply.body for reply in replies] == [sent, sent]
    _, refused = await other
    assert refused.error is not None
    assert refused.error.status == 422
    assert world.calls == 1


async def test_tool_calls_and_answers_without_time_to_live_are_repeated() -> None:
    world = Cached(Response(CALL))
    await once(world, TOOLS)
    _, reply = await once(world, TOOLS)
    assert (reply.body, world.calls) == (CALL, 1)


async def test_failed_request_can_be_repeated() -> None:
    world = Cached(errors.UpstreamUnavailable("down"), Response(ANSWER))
    await once(world)
    _, reply = await once(world)
    assert (reply.body, world.calls) == (ANSWER, 2)


async def test_answer_that_is_too_large_cannot_be_shared() -> None:
    gate = asyncio.Event()
    world = Cached(Halting(*EVENTS, gate=gate), settings=spec(max_entry_bytes=10))
    first = asyncio.create_task(once(world, STREAM_BODY))
    await turns()
    _, reply = await once(world, STREAM_BODY)
    assert reply.error is not None
    assert (reply.error.status, reply.error.code) == (409, "idempotency_key_in_use")
    gate.set()
    await first


async def test_key_without_effect_is_reported() -> None:
    world = Cached(Response(ANSWER))
    exchange, _ = await once(world, BODY.replace(b'"model"', b'"store":true,"model"'))
    assert exchange.ignored == (IGNORED,)


@pytest.mark.parametrize("directives", [CacheDirectives(no_cache=True), CacheDirectives(max_age_s=0)])
async def test_directives_about_the_age_do_not_repeat_the_request(directives: CacheDirectives) -> None:
    world = Cached(Response(ANSWER))
    await once(world)
    world.clock.advance(100.0)
    reply = Reply()

    def note(exchange: Exchange) -> None:
        exchange.idempotency_key, exchange.cache_directives = b"k1", directives

    await world.entry.serve(Source(BODY), reply, note)
    assert (reply.body, world.calls, world.statuses) == (ANSWER, 1, ["miss", "hit"])
