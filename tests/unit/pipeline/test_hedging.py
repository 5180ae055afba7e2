"""Hedged requests in the attempt loop: who wins, what is recorded, and that both attempts end."""

import asyncio
from typing import Any

import pytest
from msgspec import structs

from intellirouter.catalog import ResolvedModel
from intellirouter.core import HedgingPolicy, Price, errors, reason_of
from intellirouter.pipeline.attempt_outcomes import AttemptContext
from tests.support.pipeline import ANSWER, BODY, EVENTS, STREAM_BODY, Response, World, resolved
from tests.unit.pipeline.test_attempts import DOWN, begin, kinds

ALWAYS = HedgingPolicy(after_s=0.01, max_share=1.0)


def hedged(pool: str = "a b", policy: HedgingPolicy = ALWAYS, **members: Any) -> ResolvedModel:
    return structs.replace(resolved(pool, **members), hedging=policy)


class Upstreams:
    """Opens attempts: for each deployment a list of pairs of a time in seconds and a value or an error."""

    def __init__(self, **outcomes: Any) -> None:
        self.outcomes = {name: list(each) if isinstance(each, list) else [each] for name, each in outcomes.items()}
        self.canceled: list[str] = []
        self.discarded: list[tuple[str, str]] = []

    async def __call__(self, context: AttemptContext) -> str:
        name = context.deployment.name
        after_s, outcome = self.outcomes[name].pop(0)
        try:
            await asyncio.sleep(after_s)
        except asyncio.CancelledError:
            self.canceled.append(name)
            if outcome == "too late to cancel":
                return "late"
            raise
        if isinstance(outcome, BaseException):
            raise outcome
        return str(outcome)

    def discard(self, context: AttemptContext, opened: str) -> None:
        self.discarded.append((context.deployment.name, opened))


async def race(world: World, model: ResolvedModel, upstreams: Upstreams) -> tuple[Any, AttemptContext, str]:
    exchange, request = begin(world, model)
    async with asyncio.timeout(5):
        context, value = await world.attempts.open(exchange, request, upstreams, upstreams.discard)
    return exchange, context, value


def in_flight(world: World) -> list[int]:
    return [world.board.of(name).in_flight for name in "ab"]


async def test_fast_answer_is_not_hedged() -> None:
    world, upstreams = World(), Upstreams(a=(0, "yes"))
    exchange, _, value = await race(world, hedged(), upstreams)
    assert (value, kinds(exchange)) == ("yes", [("a", "first", "pending")])


async def test_second_attempt_wins_and_the_first_is_canceled() -> None:
    world, upstreams = World(), Upstreams(a=(9, "slow"), b=(0, "yes"))
    exchange, context, value = await race(world, hedged(), upstreams)
    assert (value, context.deployment.name, exchange.deployment.name) == ("yes", "b", "b")
    assert kinds(exchange) == [("a", "first", "hedge_lost"), ("b", "hedge", "pending")]
    assert upstreams.canceled == ["a"]
    assert in_flight(world) == [0, 1]
    assert (world.board.of("a").failures, world.board.of("a").is_suspect) == (0, False)
    _, request = begin(world, hedged())
    assert reason_of(request.decision, exchange.attempts).startswith("hedge on b, as a had not begun after ")


async def test_first_attempt_wins_and_the_second_is_canceled() -> None:
    world, upstreams = World(), Upstreams(a=(0.05, "yes"), b=(9, "slow"))
    exchange, context, value = await race(world, hedged(), upstreams)
    assert (value, context.deployment.name, exchange.deployment.name) == ("yes", "a", "a")
    assert kinds(exchange) == [("a", "first", "pending"), ("b", "hedge", "hedge_lost")]
    assert upstreams.canceled == ["b"]
    assert in_flight(world) == [1, 0]
    _, request = begin(world, hedged())
    assert reason_of(request.decision, exchange.attempts).startswith("first; the hedge on b after ")


async def test_failure_of_one_leaves_the_other_running() -> None:
    world, upstreams = World(), Upstreams(a=(0.03, DOWN), b=(0.06, "yes"))
    exchange, _, value = await race(world, hedged(), upstreams)
    assert (value, kinds(exchange)) == ("yes", [("a", "first", "upstream_unavailable"), ("b", "hedge", "pending")])
    world, upstreams = World(), Upstreams(a=(0.06, "yes"), b=(0, DOWN))
    exchange, _, value = await race(world, hedged(), upstreams)
    assert (value, kinds(exchange)) == ("yes", [("a", "first", "pending"), ("b", "hedge", "upstream_unavailable")])
    assert world.board.of("b").failures == 1


async def test_timeout_of_a_hedge_that_had_little_time_does_not_count() -> None:
    world, upstreams = World(), Upstreams(a=(0.08, "yes"), b=(0.01, errors.UpstreamTimeout("slow")))
    exchange, _, _ = await race(world, hedged(timeout_s=60.0), upstreams)
    assert [outcome for _, _, outcome in kinds(exchange)] == ["pending", "upstream_timeout"]
    assert world.board.of("b").failures == 0


async def test_if_both_fail_the_hedged_deployment_counts_as_tried() -> None:
    world, upstreams = World(), Upstreams(a=(0.03, DOWN), b=(0.03, DOWN), c=(0, "yes"))
    exchange, _, value = await race(world, hedged("a b c"), upstreams)
    assert value == "yes"
    assert [name for name, _, _ in kinds(exchange)] == ["a", "b", "c"]


async def test_refused_request_ends_the_race() -> None:
    world, upstreams = World(), Upstreams(a=(0.03, errors.InvalidRequest("no")), b=(9, "slow"))
    exchange, request = begin(world, hedged())
    with pytest.raises(errors.InvalidRequest):
        await world.attempts.open(exchange, request, upstreams, upstreams.discard)
    assert kinds(exchange) == [("a", "first", "invalid_request"), ("b", "hedge", "hedge_lost")]
    assert in_flight(world) == [0, 0]


async def test_what_the_loser_has_opened_is_discarded() -> None:
    world, upstreams = World(), Upstreams(a=(9, "too late to cancel"), b=(0, "yes"))
    await race(world, hedged(), upstreams)
    assert upstreams.discarded == [("a", "late")]


async def test_disconnected_client_cancels_both() -> None:
    world, upstreams = World(), Upstreams(a=(9, "slow"), b=(9, "slow"))
    exchange, request = begin(world, hedged())
    task = asyncio.create_task(world.attempts.open(exchange, request, upstreams, upstreams.discard))
    while len(exchange.attempts) < 2:
        await asyncio.sleep(0.005)
    exchange.is_client_disconnected = True
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [outcome for _, _, outcome in kinds(exchange)] == ["client_disconnected"] * 2
    assert sorted(upstreams.canceled) == ["a", "b"]
    assert in_flight(world) == [0, 0]


async def test_bug_in_one_attempt_ends_both() -> None:
    world, upstreams = World(), Upstreams(a=(9, "slow"), b=(0, ZeroDivisionError()))
    exchange, request = begin(world, hedged())
    with pytest.raises(ZeroDivisionError):
        await world.attempts.open(exchange, request, upstreams, upstreams.discard)
    assert [outcome for _, _, outcome in kinds(exchange)] == ["internal_error"] * 2
    assert in_flight(world) == [0, 0]


async def test_open_circuit_is_not_hedged_to() -> None:
    world, upstreams = World(), Upstreams(a=(0.04, "yes"))
    for _ in range(3):
        health = world.board.of("b")
        health.fail(health.begin(world.clock.monotonic_s()), "x", world.clock.monotonic_s())
    exchange, _, value = await race(world, hedged(), upstreams)
    assert (value, len(exchange.attempts)) == ("yes", 1)


@pytest.mark.parametrize(
    "model",
    [
        hedged("a"),
        structs.replace(hedged(), max_attempts=1),
        hedged(policy=HedgingPolicy(after_s=0.01, max_share=0.5)),
        hedged(policy=HedgingPolicy()),
    ],
    ids=["no other deployment", "limit of attempts", "share", "nothing learned yet"],
)
async def test_requests_that_are_not_hedged(model: ResolvedModel) -> None:
    world, upstreams = World(), Upstreams(a=(0.04, "yes"))
    exchange, _, value = await race(world, model, upstreams)
    assert (value, kinds(exchange)) == ("yes", [("a", "first", "pending")])


async def test_delay_is_learned() -> None:
    world, model = World(), hedged(policy=HedgingPolicy(max_share=1.0))
    for _ in range(20):
        await race(world, model, Upstreams(a=(0, "yes")))
    exchange, context, _ = await race(world, model, Upstreams(a=(9, "slow"), b=(0, "yes")))
    assert context.deployment.name == "b"
    assert kinds(exchange)[0] == ("a", "first", "hedge_lost")


@pytest.mark.parametrize("is_stream", [False, True])
async def test_cost_of_an_answer_that_is_not_used_is_added(is_stream: bool) -> None:
    """Both upstreams have begun to answer in the same turn of the event loop."""
    chunks = EVENTS if is_stream else (ANSWER,)
    model = hedged(price=Price(input=1_000_000, output=1_000_000, version="test"))
    world = World(model, a=Response(*chunks), b=Response(*chunks))
    world.upstream.gate = gate = asyncio.Event()
    serving = asyncio.create_task(world.serve(STREAM_BODY if is_stream else BODY))
    while len(world.upstream.sent) < 2:
        await asyncio.sleep(0.005)
    gate.set()
    await serving
    record = world.record
    assert sorted(each.outcome for each in record.attempts) == ["hedge_lost", "ok"]
    assert record.usage is not None
    alone = 5
    assert record.cost_microusd is not None
    assert record.cost_microusd > alone
    assert in_flight(world) == [0, 0]
