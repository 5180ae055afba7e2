"""Limits that change, priorities, and random failures: no slot is lost, and none is exceeded."""

import asyncio
import random

import pytest
from msgspec import structs

from intellirouter.catalog import ResolvedModel
from intellirouter.core import (
    EMPTY_CONTEXT,
    AttemptControl,
    ConcurrencyPolicy,
    PoolPolicy,
    RequestContext,
    errors,
)
from intellirouter.pipeline import Decoded
from intellirouter.pipeline.attempt_outcomes import AttemptContext
from tests.support.pipeline import BODY, Response, Source, World, resolved
from tests.unit.pipeline.test_slot_waits import Running, answers, held, late, settle


async def test_reload_applies_to_requests_in_flight_and_to_those_who_wait() -> None:
    responses, gates = late(4)
    world = World(a=responses)
    running = Running(world)
    await running.send()
    world.limit(a=1)
    await running.send()
    assert held(world) == {"a": (1, 1)}
    world.limit(a=2)
    await settle()
    assert held(world) == {"a": (2, 0)}
    await running.send()
    assert held(world) == {"a": (2, 1)}
    world.limit()
    await settle()
    slots = world.board.of("a").slots
    assert slots is not None
    assert (slots.held, slots.waiting) == (3, 0)
    for gate in gates:
        gate.set()
    for number in range(3):
        await running.result(number)
    assert slots.held == 0
    world.limit()
    assert world.board.of("a").slots is None


async def test_overload_of_the_deployment_shrinks_an_adaptive_limit() -> None:
    world = World(a=[Response(b"{}", status=503), Response(b"{}", status=500), errors.UpstreamTimeout("slow")])
    world.limit(a=ConcurrencyPolicy(adaptive=True, initial=100))
    slots = world.board.of("a").slots
    assert slots is not None
    assert slots.limit is not None
    limits = []
    for _ in range(3):
        await world.serve()
        world.clock.advance(1)
        limits.append(slots.limit.value)
    assert limits == [80, 80, 64]


async def test_successes_teach_an_adaptive_limit_but_sessions_do_not() -> None:
    world = World(a=answers(10))
    world.limit(a=ConcurrencyPolicy(adaptive=True, initial=2))
    slots = world.board.of("a").slots
    assert slots is not None
    assert slots.limit is not None
    for _ in range(9):
        world.clock.advance(1)
        await world.serve()
    before = slots.limit._samples
    assert before == 9
    exchange = await world.serve()
    context = AttemptContext(exchange, exchange.call, exchange.deployment, exchange.attempts[0], world.board.of("a"), 0)
    slots.take("default", 0.0)
    context.health.begin(0.0)
    world.attempts.succeed(context, is_session=True)
    assert (slots.limit._samples, slots.held) == (0, 0)


async def test_priority_is_that_of_the_caller_unless_the_request_lowers_it() -> None:
    responses, gates = late(4)
    world = World(a=responses)
    world.limit(a=1)
    running = Running(world)
    await running.send()
    lowered = RequestContext(control=AttemptControl(priority="batch"))
    raised = RequestContext(control=AttemptControl(priority="interactive"))
    await running.send(context=lowered)
    await running.send(context=raised)
    await running.send()
    for gate in gates:
        gate.set()
    exchanges = [await running.result(number) for number in range(4)]
    assert [str(each.ignored[0]) if each.ignored else "" for each in exchanges] == [
        "",
        "",
        'x-intellirouter-priority;how=clamped;as="normal"',
        "",
    ]
    finished = [each.request_id for each in world.journal.records]
    assert finished == [exchanges[number].request_id for number in (0, 2, 3, 1)]


class Chaos:
    """Opens and serves attempts that take some turns and often fail, and counts those in flight."""

    def __init__(self, world: World, model: ResolvedModel, seed: int) -> None:
        self.world = world
        self.model = model
        self.rng = random.Random(seed)
        self.peak = dict.fromkeys(model.by_name, 0)

    async def open(self, context: AttemptContext) -> str:
        name = context.deployment.name
        self.peak[name] = max(self.peak[name], context.health.in_flight)
        await self._take_time()
        if self.rng.random() < 0.3:
            raise self.rng.choice([errors.UpstreamUnavailable("x"), errors.UpstreamRejected("y"), ValueError("bug")])
        return "opened"

    async def serve(self, context: AttemptContext, _: str) -> None:
        await self._take_time()
        if self.rng.random() < 0.2:
            raise errors.UpstreamDisconnected("cut")
        if self.rng.random() < 0.8:
            self.world.attempts.succeed(context)

    async def run(self) -> None:
        exchange = self.world.spine.open("/test", Source().endpoint)
        exchange.call = exchange.endpoint.decode_request(BODY, EMPTY_CONTEXT)
        decided = self.world.spine.decide(exchange, Decoded(exchange.call, self.model))
        await self.world.attempts.run(exchange, decided, self.open, self.serve)

    async def _take_time(self) -> None:
        for _ in range(self.rng.randrange(6)):
            await asyncio.sleep(0)


@pytest.mark.parametrize("seed", range(8))
async def test_no_slot_is_lost_or_exceeded_under_random_failures_and_cancellations(seed: int) -> None:
    limits = {"a": 2, "b": 1}
    model = structs.replace(resolved("a b", retries=1), pool_policy=PoolPolicy(max_wait_s=0))
    world = World(model)
    world.limit(**limits, max_waiting=6, max_wait_s=0.05)
    chaos, tasks = Chaos(world, model, seed), []
    for _ in range(200):
        tasks.append(asyncio.create_task(chaos.run()))
        await asyncio.sleep(0)
        if chaos.rng.random() < 0.4:
            chaos.rng.choice(tasks).cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert held(world) == {"a": (0, 0), "b": (0, 0)}
    assert [world.board.of(name).in_flight for name in limits] == [0, 0]
    assert all(0 < chaos.peak[name] <= limits[name] for name in limits)
