"""Requests that limit their own attempts, from the entry of the pipeline to their records."""

import asyncio

import pytest

from intellirouter.core import AttemptControl, RequestContext, errors
from intellirouter.gateway.decision_headers import decision_headers
from tests.support.pipeline import ANSWER, BODY, STREAM_BODY, Response, World, resolved

DOWN = errors.UpstreamUnavailable("down")


def limited_by(**members: object) -> RequestContext:
    return RequestContext(control=AttemptControl(**members))  # type: ignore[arg-type]


@pytest.mark.parametrize("body", [BODY, STREAM_BODY])
async def test_request_without_retries_is_tried_once_on_each_deployment(body: bytes) -> None:
    world = World(resolved("a b", "f", retries=3), a=DOWN, b=DOWN, f=DOWN)
    await world.serve(body, context=limited_by(retries=0))
    assert world.upstream.order == "a b f"


@pytest.mark.parametrize("body", [BODY, STREAM_BODY])
async def test_request_without_fallbacks_stays_in_the_pool(body: bytes) -> None:
    world = World(resolved("a b", "f"), a=DOWN, b=DOWN)
    exchange = await world.serve(body, context=limited_by(has_fallbacks=False))
    assert world.upstream.order == "a b"
    assert world.record.decision is not None
    assert world.record.decision.order == ("a", "b")
    assert world.record.decision.reason.endswith("; limited by the request: fallbacks off")
    assert (b"x-intellirouter-attempts", b"2") in decision_headers(exchange)


async def test_limits_are_in_the_reason_of_a_request_that_did_not_fail() -> None:
    world = World(resolved("a b"), a=Response(ANSWER))
    await world.serve(context=limited_by(retries=0, timeout_s=5.0))
    assert world.record.decision is not None
    assert world.record.decision.reason.endswith("1 more to try; limited by the request: retries 0, timeout 5 s")


async def test_demand_that_exceeds_the_configuration_is_reported() -> None:
    world = World(resolved("a", retries=1), a=[DOWN, DOWN])
    await world.serve(context=limited_by(retries=5))
    assert len(world.record.attempts) == 2
    assert world.record.dropped == ('x-intellirouter-retries;how=clamped;as="1"',)


async def test_decisions_of_limited_and_other_requests_do_not_mix() -> None:
    world = World(resolved("a", "f"), a=[DOWN, DOWN, Response(ANSWER)], f=Response(ANSWER))
    for context in (limited_by(has_fallbacks=False), RequestContext(), limited_by(has_fallbacks=False)):
        await world.serve(context=context)
    assert world.upstream.order == "a a f a"
    assert [len(each.attempts) for each in world.journal.records] == [1, 2, 1]


async def test_models_of_limited_requests_are_bounded() -> None:
    world = World(resolved("a"), a=[Response(ANSWER) for _ in range(300)])
    for number in range(300):
        await world.serve(context=limited_by(timeout_s=1.0 + number / 1000))
    assert world.spine._restricted.cache_info().currsize == 256


async def test_a_short_limit_of_the_client_does_not_count_against_the_deployment() -> None:
    world = World(resolved("a", retries=0), a=[Response(ANSWER, gate=asyncio.Event()) for _ in range(3)])
    for _ in range(3):
        await world.serve(context=limited_by(timeout_s=0.01))
        assert isinstance(world.reply.error, errors.UpstreamTimeout)
    assert world.board.of("a").failures == 0
