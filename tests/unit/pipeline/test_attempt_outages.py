"""Outages: retries, Retry-After, hangs, dead connections, and rejections by a limit of one deployment."""

import asyncio

import pytest
from msgspec import structs

from intellirouter.core import BreakerPolicy, Deployment, Secret, Timeouts, errors
from intellirouter.pipeline.attempt_outcomes import AttemptContext
from tests.support.pipeline import ANSWER, Response, World, resolved
from tests.unit.pipeline.test_attempts import DOWN, Rotator, Script, begin, kinds, open_with


async def test_hang_leaves_time_for_the_fallback() -> None:
    """The first deployment hangs for longer than the whole request may take; the second one answers."""
    world = World()
    exchange, request = begin(world, resolved("a", "f", retries=2, timeout_s=0.2, timeouts=Timeouts(total_s=60.0)))

    async def hang_then_answer(context: AttemptContext) -> str:
        if context.deployment.name == "a":
            try:
                await asyncio.Event().wait()
            finally:
                world.clock.advance(0.1)
        return "yes"

    async with asyncio.timeout(5):
        opened = await world.attempts.open(exchange, request, hang_then_answer)
    assert opened[1] == "yes"
    assert kinds(exchange) == [("a", "first", "upstream_timeout"), ("f", "fallback", "pending")]
    assert "did not respond within 0.1 s" in str(exchange.attempts[0].message)
    assert world.board.of("a").failures == 1


async def test_deployment_that_timed_out_is_not_retried_before_the_fallback() -> None:
    world = World()
    slow = errors.UpstreamTimeout("slow")
    _, opened, _ = await open_with(world, resolved("a", "f", retries=2), a=slow, f="yes")
    assert opened[0].deployment.name == "f"


async def test_lone_deployment_in_an_outage_keeps_its_retries() -> None:
    world = World(resolved("a", retries=2), a=[DOWN] * 5 + [Response(ANSWER)])
    await world.serve()
    await world.serve()
    assert [len(record.attempts) for record in world.journal.records] == [3, 3]
    assert world.journal.records[1].status == 200


async def test_retry_after_is_remembered_for_later_requests() -> None:
    limited = errors.UpstreamRateLimited("slow down", retry_after_s=40.0)
    world = World(resolved("a b"), a=[limited, Response(ANSWER)], b=[Response(ANSWER), Response(ANSWER)])
    await world.serve()
    world.clock.advance(39.0)
    await world.serve()
    world.clock.advance(1.0)
    await world.serve()
    assert world.upstream.order == "a b b a"


async def test_retry_after_of_one_credential_does_not_defer_the_deployment() -> None:
    world = World()
    limited = errors.UpstreamRateLimited("slow down", retry_after_s=40.0)

    class Spare(Rotator):
        def can_rotate(self, deployment: Deployment, error: errors.GatewayError, status: int | None) -> bool:
            return True

    attempts = structs.replace(world.attempts, credentials=Spare(1))
    exchange, request = begin(world, resolved("a", credentials=(Secret("1"), Secret("2"))))
    await attempts.open(exchange, request, Script(world, a=[limited, "yes"]))
    assert [kind for _, kind, _ in kinds(exchange)] == ["first", "credential"]
    assert world.board.of("a").is_available(world.clock.monotonic_s())


def stale() -> errors.UpstreamDisconnected:
    error = errors.UpstreamDisconnected("closed")
    error.is_stale_connection = True
    return error


async def test_stale_connection_costs_no_failure_no_retry_and_no_wait() -> None:
    world = World()
    exchange, opened, _ = await open_with(world, resolved("a", retries=0), a=[stale(), "yes"])
    assert opened[1] == "yes"
    assert kinds(exchange) == [("a", "first", "upstream_disconnected"), ("a", "reconnect", "pending")]
    assert exchange.attempts[1].waited_ms == 0.0
    assert (world.board.of("a").failures, world.board.of("a").success_rate) == (0, 1.0)


async def test_connection_is_replaced_only_once_in_a_row() -> None:
    world = World()
    exchange, request = begin(world, resolved("a", retries=0))
    with pytest.raises(errors.UpstreamDisconnected):
        await world.attempts.open(exchange, request, Script(world, a=[stale(), stale()]))
    assert [kind for _, kind, _ in kinds(exchange)] == ["first", "reconnect"]


@pytest.mark.parametrize("code", ["context_length_exceeded", "content_policy_violation"])
async def test_rejection_by_a_limit_of_the_deployment_falls_back_without_harm(code: str) -> None:
    world = World()
    rejected = errors.UpstreamRejected("no", code=code)
    _, opened, _ = await open_with(world, resolved("a", "f", retries=2), a=rejected, f="yes")
    assert opened[0].deployment.name == "f"
    assert (world.board.of("a").failures, world.board.of("a").success_rate) == (0, 1.0)


async def test_client_gets_the_rejection_if_no_other_deployment_can_serve() -> None:
    world = World()
    rejected = errors.UpstreamRejected("too long", code="context_length_exceeded")
    exchange, request = begin(world, resolved("a", "f"))
    with pytest.raises(errors.UpstreamRejected, match="too long"):
        await world.attempts.open(exchange, request, Script(world, a=rejected, f=DOWN))
    assert [name for name, _, _ in kinds(exchange)] == ["a", "f"]


async def test_context_overflow_falls_back_to_a_larger_window_only() -> None:
    world = World()
    model = resolved("a b c")
    sizes = {"a": 8000, "b": 8000, "c": 16_000}
    pool = tuple(structs.replace(each, context_tokens=sizes[each.name]) for each in model.pool)
    model = structs.replace(model, pool=pool, by_name={each.name: each for each in pool})
    exchange, request = begin(world, model)
    rejected = errors.UpstreamRejected("too long", code="context_length_exceeded")
    await world.attempts.open(exchange, request, Script(world, a=rejected, c="yes"))
    assert [name for name, _, _ in kinds(exchange)] == ["a", "c"]


async def test_refused_credential_does_not_count_against_the_deployment_if_there_is_another_one() -> None:
    """With two credentials, every second one of which is refused, half of the attempts would be failures."""
    world = World()
    attempts = structs.replace(world.attempts, credentials=Rotator(99))
    refused = errors.UpstreamAuthFailed("no")
    model = resolved("a", credentials=(Secret("1"), Secret("2")))
    for _ in range(30):
        exchange, request = begin(world, model)
        context, _ = await attempts.open(exchange, request, Script(world, a=[refused, "yes"]))
        attempts.succeed(context)
    health = world.board.of("a")
    assert (health.failures, health.in_flight, health.breaker.openings) == (0, 0, 0)
    exchange, request = begin(world, model)
    with pytest.raises(errors.UpstreamAuthFailed):
        await attempts.open(exchange, request, Script(world, a=[refused, refused]))
    assert health.failures == 1, "all of its credentials were refused"


@pytest.mark.parametrize("probes", [1, 2])
async def test_only_so_many_requests_probe_a_deployment_at_the_same_time(probes: int) -> None:
    gate = asyncio.Event()
    world = World(
        resolved("a b"),
        a=[Response(ANSWER, gate=gate) for _ in range(5)],
        b=[Response(ANSWER) for _ in range(5)],
    )
    health, now_s = world.board.of("a"), world.clock.monotonic_s()
    health.breaker.apply(BreakerPolicy(half_open_probes=probes))
    for _ in range(3):
        health.fail(health.begin(now_s), "upstream_timeout", now_s)
    world.clock.advance(10.0)
    running = [asyncio.ensure_future(world.serve()) for _ in range(5)]
    async with asyncio.timeout(5):
        while sum(each.done() for each in running) < 5 - probes:
            await asyncio.sleep(0)
    assert world.upstream.order.split().count("a") == probes
    assert health.breaker.state_at(world.clock.monotonic_s()) == "half_open"
    gate.set()
    await asyncio.gather(*running)
    assert health.breaker.state_at(world.clock.monotonic_s()) == "closed"
    assert {record.status for record in world.journal.records} == {200}


async def test_open_circuit_leads_to_the_fallback_for_what_has_opened_it_whatever_code_the_vendor_uses() -> None:
    limited = [errors.UpstreamRateLimited("slow down", code="tokens_per_minute") for _ in range(3)]
    model = structs.replace(resolved("a", "f"), fallback_causes={"f": frozenset({"rate_limit"})})
    world = World(model, a=limited, f=[Response(ANSWER) for _ in range(4)])
    for _ in range(4):
        await world.serve()
    assert world.upstream.order == "a f a f a f f"
