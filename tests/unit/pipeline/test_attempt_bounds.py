"""Whatever upstreams do, attempts, calls and time of a request stay within limits, and every attempt ends once."""

import asyncio
from typing import Any
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from intellirouter.catalog import ResolvedModel
from intellirouter.core import Attempt, HedgingPolicy, Price, Secret, Timeouts, Usage, errors
from intellirouter.pipeline import Attempts
from intellirouter.pipeline.attempt_outcomes import AttemptContext
from intellirouter.pipeline.costs import add_unused
from intellirouter.resilience import Backoff
from tests.support.pipeline import World, resolved
from tests.unit.pipeline.test_attempts import Rotator, begin

ERRORS = [
    errors.UpstreamUnavailable,
    errors.UpstreamTimeout,
    errors.UpstreamRateLimited,
    errors.UpstreamAuthFailed,
    errors.UpstreamDisconnected,
    errors.UpstreamMalformed,
    errors.UpstreamAnswerUnusable,
    errors.UpstreamRejected,
    errors.ModelLoading,
    errors.Overloaded,
    errors.UnsupportedFeature,
]
COST = 5
"""What an answer costs that cannot be used, in micro-USD."""
PRICE = Price(input=1_000_000, output=1_000_000)
SECRETS = (Secret("k-1"), Secret("k-2"), Secret("k-3"))
_real_sleep = asyncio.sleep


def stale() -> errors.UpstreamDisconnected:
    error = errors.UpstreamDisconnected("stale")
    error.is_stale_connection = True
    return error


faults = st.one_of(
    st.builds(lambda kind, wait: kind("no", retry_after_s=wait), st.sampled_from(ERRORS), st.none() | st.floats(0, 90)),
    st.builds(stale),
    st.just("hang"),
    st.just("cancel"),
    st.just("bug"),
    st.just("answer"),
)
likely = st.sampled_from([errors.UpstreamUnavailable, errors.UpstreamRateLimited, errors.UpstreamMalformed]).map(
    lambda kind: kind("no")
)
scripts = st.lists(st.tuples(st.one_of(likely, likely, likely, faults), st.floats(0, 20)), min_size=1, max_size=30)


class Faults:
    """Opens attempts with the faults of a script, which is repeated; the clock advances meanwhile."""

    def __init__(self, world: World, script: list[tuple[Any, float]], deadline_s: float, model: ResolvedModel) -> None:
        self.world, self.script, self.deadline_s = world, script, deadline_s
        self.is_hedged, self.max_cost = model.hedging is not None, model.max_cost_microusd
        self.started: list[Attempt] = []

    async def __call__(self, context: AttemptContext) -> str:
        now_s = self.world.clock.monotonic_s()
        assert now_s <= self.deadline_s, "no attempt begins after the deadline"
        paid, limit = context.exchange.unused_cost_microusd, self.max_cost
        assert not paid or limit is None or paid < limit, "no attempt begins after the limit of cost"
        assert context.attempt.outcome == "pending"
        assert context.health.in_flight == 1, "one attempt at a time on each deployment"
        fault, took_s = self.script[len(self.started) % len(self.script)]
        self.started.append(context.attempt)
        if self.is_hedged:
            await _real_sleep(0.002 if took_s > 10 else 0)
            now_s = self.world.clock.monotonic_s()
        total_s = context.deployment.timeouts.total_s
        left_s = self.deadline_s - now_s
        self.world.clock.advance(min(total_s, left_s, total_s if fault == "hang" else took_s))
        if fault == "hang":
            raise errors.UpstreamTimeout("slow") if total_s <= left_s else TimeoutError
        if fault == "cancel":
            raise asyncio.CancelledError
        if fault == "bug":
            raise ZeroDivisionError
        if isinstance(fault, errors.UpstreamMalformed):
            add_unused(context.exchange, context.deployment, Usage(output_tokens=COST))
        if isinstance(fault, errors.GatewayError):
            again: errors.GatewayError = type(fault)("no", retry_after_s=fault.retry_after_s)
            if isinstance(fault, errors.UpstreamDisconnected) and isinstance(again, errors.UpstreamDisconnected):
                again.is_stale_connection = fault.is_stale_connection
            raise again
        return "yes"


@settings(deadline=None)
@given(
    scripts,
    st.integers(1, 4),
    st.integers(0, 3),
    st.integers(0, 10),
    st.tuples(
        st.sampled_from([1, 2, 3, 16]),
        st.floats(0.5, 120),
        st.booleans(),
        st.booleans(),
        st.sampled_from([None, 1, COST, 2 * COST + 1]),
    ),
)
def test_attempts_calls_and_time_are_bounded(
    script: list[tuple[Any, float]],
    pool: int,
    others: int,
    retries: int,
    limits: tuple[int, float, bool, bool, int | None],
) -> None:
    max_attempts, timeout_s, is_last_resort, is_hedged, max_cost = limits
    hedging = HedgingPolicy(after_s=0.001, max_share=1.0) if is_hedged else None
    names = [f"d{number}" for number in range(pool + others)]
    model = resolved(
        " ".join(names[:pool]),
        " ".join(names[pool:]),
        retries=retries,
        timeout_s=timeout_s,
        timeouts=Timeouts(total_s=30.0),
        credentials=SECRETS,
        price=PRICE,
    )
    model = structs.replace(model, max_attempts=max_attempts, hedging=hedging, max_cost_microusd=max_cost)
    asyncio.run(check(script, model, is_last_resort=is_last_resort))


async def check(script: list[tuple[Any, float]], model: ResolvedModel, *, is_last_resort: bool) -> None:
    world = World()
    attempts = Attempts(
        board=world.board, backoff=Backoff(1.0, 8.0), clock=world.clock, rng=world.attempts.rng, credentials=Rotator(99)
    )
    exchange, request = begin(world, model)
    request = structs.replace(request, decision=structs.replace(request.decision, is_last_resort=is_last_resort))
    deadline_s = exchange.started_s + model.request_timeout_s
    opener = Faults(world, script, deadline_s, model)

    async def sleep(seconds: float) -> None:
        world.clock.advance(seconds)
        await _real_sleep(0)

    async def serve(context: AttemptContext, opened: str) -> None:
        assert opened == "yes"
        attempts.succeed(context)

    with patch("intellirouter.pipeline.attempts.asyncio.sleep", sleep):
        try:
            await attempts.run(exchange, request, opener, serve, lambda *_: None)
        except (errors.GatewayError, asyncio.CancelledError, ZeroDivisionError):
            assert "ok" not in [each.outcome for each in exchange.attempts]
    assert 1 <= len(exchange.attempts) <= model.max_attempts
    assert len(opener.started) == len(exchange.attempts), "one record for each call of an upstream"
    assert all(one is other for one, other in zip(opener.started, exchange.attempts, strict=True))
    assert world.clock.monotonic_s() <= deadline_s + 1e-6
    assert all(each.outcome != "pending" and each.ended_ms is not None for each in exchange.attempts)
    assert [each.outcome for each in exchange.attempts].count("ok") <= 1
    assert sum(each.kind == "hedge" for each in exchange.attempts) <= 1
    for name in model.by_name:
        health, own = world.board.of(name), [each for each in exchange.attempts if each.deployment == name]
        assert (health.in_flight, health.attempts) == (0, len(own))
        assert sum(each.kind == "credential" for each in own) < len(SECRETS)
