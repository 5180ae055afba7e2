"""Requests for deployments with a concurrency limit: who waits, for what, how long, and what is recorded."""

import asyncio
from typing import Any

from msgspec import structs

from intellirouter.core import (
    HedgingPolicy,
    Timeouts,
    errors,
)
from intellirouter.pipeline import Exchange
from tests.support.pipeline import ANSWER, BODY, EVENTS, STREAM_BODY, Reply, Response, Source, World, resolved


class Running:
    """Requests in progress, in the order in which they were sent, each with a response that waits for its gate."""

    def __init__(self, world: World, **members: Any) -> None:
        self.world = world
        self.members = members
        self.tasks: list[asyncio.Task[Exchange]] = []
        self.replies: list[Reply] = []
        self.sources: list[Source] = []

    async def send(self, body: bytes = BODY, **members: Any) -> None:
        source, reply = Source(body, **self.members, **members), Reply()
        self.tasks.append(asyncio.create_task(self.world.entry.serve(source, reply)))
        self.replies.append(reply)
        self.sources.append(source)
        await settle()

    async def result(self, number: int) -> Exchange:
        async with asyncio.timeout(5):
            return await self.tasks[number]


async def settle() -> None:
    """Let everything run that can."""
    for _ in range(30):
        await asyncio.sleep(0)


class LateEnd(Response):
    """A stream whose last events come when its gate opens."""

    async def next_chunk(self) -> bytes:
        if self._gate is not None and len(self._chunks) == 2:
            await self._gate.wait()
        return await super().next_chunk()


def answers(count: int) -> list[Response]:
    return [Response(ANSWER) for _ in range(count)]


class Late(Response):
    """A complete answer that arrives when its gate opens."""

    async def next_chunk(self) -> bytes:
        if self._gate is not None and not self._gate.is_set():
            await self._gate.wait()
        return await super().next_chunk()


def late(count: int) -> tuple[list[Late], list[asyncio.Event]]:
    gates = [asyncio.Event() for _ in range(count)]
    return [Late(ANSWER, gate=each) for each in gates], gates


def held(world: World) -> dict[str, tuple[int, int]]:
    return {name: (slots.held, slots.waiting) for name, slots in world.board.limited()}


def attempts(exchange: Exchange) -> list[tuple[str, str, str]]:
    return [(each.deployment, each.kind, each.outcome) for each in exchange.attempts]


async def test_request_waits_for_a_slot_and_says_so() -> None:
    responses, gates = late(2)
    world = World(a=responses)
    world.limit(a=1)
    running = Running(world)
    await running.send()
    await running.send()
    assert (held(world), world.upstream.order) == ({"a": (1, 1)}, "a")
    world.clock.advance(0.12)
    gates[0].set()
    await settle()
    assert (held(world), world.upstream.order) == ({"a": (1, 0)}, "a a")
    world.clock.advance(1)
    gates[1].set()
    first, second = await running.result(0), await running.result(1)
    assert held(world) == {"a": (0, 0)}
    assert (first.attempts[0].queued_ms, second.attempts[0].queued_ms) == (0.0, 120.0)
    assert (second.attempts[0].started_ms, second.attempts[0].waited_ms) == (120.0, 0.0)
    records = {each.request_id: each.decision.reason for each in world.journal.records if each.decision}
    assert records[first.request_id] == "priority 1"
    assert records[second.request_id] == "priority 1, at its limit of 1; queued 120 ms for a slot of a"


async def test_slot_is_kept_until_the_end_of_the_stream() -> None:
    gate = asyncio.Event()
    world = World(a=[LateEnd(*EVENTS, gate=gate), Response(ANSWER)])
    world.limit(a=1)
    running = Running(world)
    await running.send(STREAM_BODY)
    await running.send()
    assert running.replies[0].has_begun
    assert held(world) == {"a": (1, 1)}
    gate.set()
    await running.result(1)
    assert held(world) == {"a": (0, 0)}


async def test_another_deployment_with_a_free_slot_is_called_first() -> None:
    responses, gates = late(1)
    world = World(resolved("a b"), a=responses, b=answers(2))
    world.limit(a=1, b=1)
    running = Running(world)
    await running.send()
    await running.send()
    exchange = await running.result(1)
    assert attempts(exchange) == [("b", "first", "ok")]
    assert exchange.decision is not None
    assert exchange.decision.reason == "priority 2; a: at its limit of 1; 1 more to try"
    gates[0].set()
    await running.result(0)


async def test_unlimited_deployment_is_called_instead_of_waiting() -> None:
    responses, gates = late(1)
    world = World(resolved("a b"), a=responses, b=answers(3))
    world.limit(a=1)
    running = Running(world)
    for _ in range(4):
        await running.send()
    assert [attempts(await running.result(number))[0][0] for number in (1, 2, 3)] == ["b", "b", "b"]
    gates[0].set()
    await running.result(0)


async def test_if_all_are_full_the_first_slot_of_any_is_taken_and_the_others_are_tried_after_it() -> None:
    responses, gates = late(1)
    others, other_gates = late(1)
    world = World(resolved("a b"), a=[*responses, Response(ANSWER)], b=[*others, errors.UpstreamUnavailable("down")])
    world.limit(a=1, b=1)
    running = Running(world)
    for _ in range(3):
        await running.send()
    assert held(world) == {"a": (1, 1), "b": (1, 1)}
    world.clock.advance(0.25)
    other_gates[0].set()
    await settle()
    gates[0].set()
    exchange = await running.result(2)
    assert attempts(exchange) == [("b", "first", "upstream_unavailable"), ("a", "next", "ok")]
    assert exchange.attempts[0].queued_ms == 250.0
    assert held(world) == {"a": (0, 0), "b": (0, 0)}


async def test_full_queue_is_an_overload_with_the_time_to_come_back() -> None:
    responses, gates = late(1)
    world = World(a=responses)
    world.limit(a=1, max_waiting=0)
    running = Running(world)
    await running.send()
    await running.send()
    exchange = await running.result(1)
    error = running.replies[1].error
    assert isinstance(error, errors.Overloaded)
    assert (error.message, error.status, error.retry_after_s) == ("a is at its limit of 1 requests.", 503, 1.0)
    assert attempts(exchange) == [("a", "first", "overloaded")]
    assert world.upstream.order == "a"
    assert (world.board.of("a").attempts, world.board.of("a").failures) == (1, 0)
    gates[0].set()
    await running.result(0)


async def test_without_a_slot_the_fallback_is_called() -> None:
    responses, gates = late(1)
    world = World(resolved("a", "f"), a=responses, f=answers(1))
    world.limit(a=1, max_waiting=0)
    running = Running(world)
    await running.send()
    await running.send()
    exchange = await running.result(1)
    assert attempts(exchange) == [("a", "first", "overloaded"), ("f", "fallback", "ok")]
    record = next(each for each in world.journal.records if each.request_id == exchange.request_id)
    assert record.decision is not None
    assert record.decision.reason == "fallback on f after a failed (overloaded)"
    gates[0].set()
    await running.result(0)


async def test_wait_ends_after_the_longest_wait_and_its_message_names_all_deployments() -> None:
    world = World(structs.replace(resolved("a b"), queue_wait_s=0.02), a=late(1)[0], b=late(1)[0])
    world.limit(a=1, b=1, max_wait_s=60)
    running = Running(world)
    for _ in range(3):
        await running.send()
    exchange = await running.result(2)
    assert exchange.error is not None
    assert (
        exchange.error.message == "a and b are at their limits of 1 and 1 requests and had no free slot within 0.02 s."
    )
    assert attempts(exchange) == [("a", "first", "overloaded")]
    assert held(world) == {"a": (1, 0), "b": (1, 0)}
    await cancel(running)


async def test_wait_ends_with_the_time_of_the_request() -> None:
    world = World(resolved("a", timeout_s=0.02), a=late(1)[0])
    world.limit(a=1)
    running = Running(world)
    world.attempts.board.of("a").slots.take("other", 0.0)  # type: ignore[union-attr]
    await running.send()
    exchange = await running.result(0)
    assert attempts(exchange) == [("a", "first", "overloaded")]


async def test_time_in_the_queue_is_taken_from_that_of_the_request_and_a_timeout_then_does_not_count() -> None:
    responses, gates = late(2)
    world = World(resolved("a", timeout_s=10.01, timeouts=Timeouts(total_s=10.0)), a=responses)
    world.limit(a=1)
    running = Running(world)
    await running.send()
    await running.send()
    world.clock.advance(10.0)
    gates[0].set()
    exchange = await running.result(1)
    assert attempts(exchange) == [("a", "first", "upstream_timeout")]
    assert world.board.of("a").failures == 0
    assert held(world) == {"a": (0, 0)}


async def cancel(running: Running) -> None:
    for task in running.tasks:
        task.cancel()
    await asyncio.wait(running.tasks)


async def test_client_that_leaves_the_queue_is_recorded_and_the_next_one_is_served() -> None:
    responses, gates = late(2)
    world = World(a=responses)
    world.limit(a=1)
    running = Running(world)
    for _ in range(3):
        await running.send()
    world.clock.advance(0.5)
    disconnect = running.sources[1].on_disconnect
    assert disconnect is not None
    disconnect()
    exchange = await running.result(1)
    assert attempts(exchange) == [("a", "first", "client_disconnected")]
    assert (exchange.attempts[0].queued_ms, exchange.status) == (500.0, 499)
    assert held(world) == {"a": (1, 1)}
    for gate in gates:
        gate.set()
    assert attempts(await running.result(2)) == [("a", "first", "ok")]


async def test_slot_that_is_granted_at_the_moment_of_a_cancellation_is_not_lost() -> None:
    responses, gates = late(3)
    world = World(a=responses)
    world.limit(a=1)
    running = Running(world)
    for _ in range(3):
        await running.send()
    slots = world.board.of("a").slots
    assert slots is not None
    gates[0].set()
    while slots.waiting == 2:
        await asyncio.sleep(0)
    running.tasks[1].cancel()  # it has been granted the slot, but has not run yet
    gates[2].set()
    gates[1].set()
    assert attempts(await running.result(2)) == [("a", "first", "ok")]
    assert held(world) == {"a": (0, 0)}


async def test_stopping_gateway_refuses_those_who_wait_and_completes_the_others() -> None:
    responses, gates = late(1)
    world = World(a=responses)
    world.limit(a=1)
    running = Running(world)
    await running.send()
    await running.send()
    world.board.close_queues()
    await settle()
    exchange = await running.result(1)
    assert exchange.error is not None
    assert (exchange.error.code, exchange.error.message) == ("overloaded", "The gateway is stopping.")
    gates[0].set()
    assert attempts(await running.result(0)) == [("a", "first", "ok")]


async def test_hedge_takes_a_slot_but_never_waits_for_one() -> None:
    policy = HedgingPolicy(after_s=0.01, max_share=1.0)
    model = structs.replace(resolved("a b"), hedging=policy)
    responses, gates = late(2)
    world = World(model, a=responses, b=[*late(1)[0], Response(ANSWER)])
    world.limit(b=1)
    slots = world.board.of("b").slots
    assert slots is not None
    slots.take("other", 0.0)
    running = Running(world)
    await running.send()
    await asyncio.sleep(0.05)
    gates[0].set()
    assert attempts(await running.result(0)) == [("a", "first", "ok")]
    slots.release("other", 0.0)
    world.upstream.answers["b"].pop(0)
    await running.send()
    exchange = await running.result(1)
    assert attempts(exchange) == [("a", "first", "hedge_lost"), ("b", "hedge", "ok")]
    assert held(world) == {"b": (0, 0)}


async def test_next_attempt_prefers_a_deployment_with_a_free_slot() -> None:
    world = World(resolved("a b c"), a=errors.UpstreamUnavailable("down"), b=answers(1), c=answers(1))
    world.limit(b=1)
    slots = world.board.of("b").slots
    assert slots is not None
    slots.take("other", 0.0)
    exchange = await world.serve()
    assert attempts(exchange) == [("a", "first", "upstream_unavailable"), ("c", "next", "ok")]


async def test_next_attempt_waits_for_its_slot_before_those_who_have_had_none() -> None:
    responses, gates = late(1)
    world = World(resolved("a b"), a=[errors.UpstreamUnavailable("down")], b=[*responses, *answers(2)])
    world.limit(b=1)
    slots = world.board.of("b").slots
    assert slots is not None
    slots.take("other", 0.0)
    other = world.board.of("a")
    other.slots = None
    running = Running(world)
    await running.send()
    assert held(world) == {"b": (1, 1)}
    slots.release("other", 0.0)
    gates[0].set()
    exchange = await running.result(0)
    assert attempts(exchange) == [("a", "first", "upstream_unavailable"), ("b", "next", "ok")]


async def test_failed_attempt_gives_back_its_slot_before_the_retry() -> None:
    world = World(resolved("a", retries=1), a=[errors.UpstreamUnavailable("down"), Response(ANSWER)])
    world.limit(a=1)
    exchange = await world.serve()
    assert attempts(exchange) == [("a", "first", "upstream_unavailable"), ("a", "retry", "ok")]
    assert held(world) == {"a": (0, 0)}


async def test_attempts_without_a_slot_count_for_max_attempts() -> None:
    model = structs.replace(resolved("a", "f"), max_attempts=1)
    world = World(model, a=late(1)[0], f=answers(1))
    world.limit(a=1, max_waiting=0)
    running = Running(world)
    await running.send()
    await running.send()
    assert attempts(await running.result(1)) == [("a", "first", "overloaded")]
    await cancel(running)


async def test_no_deployment_has_a_slot_and_all_are_recorded() -> None:
    world = World(resolved("a", "f"), a=late(1)[0], f=late(1)[0])
    world.limit(a=1, f=1, max_waiting=0)
    running = Running(world)
    for _ in range(3):
        await running.send()
    exchange = await running.result(2)
    assert attempts(exchange) == [("a", "first", "overloaded"), ("f", "fallback", "overloaded")]
    assert exchange.error is not None
    assert (exchange.error.code, exchange.error.message) == ("overloaded", "f is at its limit of 1 requests.")
    await cancel(running)


async def test_unavailable_deployment_is_not_used_because_it_has_free_slots() -> None:
    responses, gates = late(2)
    world = World(resolved("a b"), a=responses, b=answers(1))
    world.limit(a=1, b=1)
    world.board.of("b").defer(100.0, world.clock.monotonic_s())
    running = Running(world)
    await running.send()
    await running.send()
    assert (held(world), world.upstream.order) == ({"a": (1, 1), "b": (0, 0)}, "a")
    for gate in gates:
        gate.set()
    assert attempts(await running.result(1)) == [("a", "first", "ok")]


async def test_answer_of_the_gateway_itself_needs_no_free_slot() -> None:
    world = World(a=late(1)[0])
    world.limit(a=1, max_waiting=0)
    running = Running(world)
    await running.send()
    await running.send(endpoint="anthropic_count_tokens")
    assert attempts(await running.result(1)) == [("a", "first", "ok")]
    assert held(world) == {"a": (1, 0)}
    await cancel(running)
    assert held(world) == {"a": (0, 0)}
