"""Whatever upstreams do, a ladder stays within the limits of the request, and the client gets one answer or error."""

import asyncio
from typing import Any
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from intellirouter.core import DegradationStep, Deployment, Price, Timeouts, UpstreamRequest, errors
from tests.support.ladders import refuse, shorten, stale, to_model, with_ladder
from tests.support.pipeline import ANSWER, EVENTS, Response, World, resolved
from tests.unit.pipeline.test_costs import JSON_REQUEST

STREAM_REQUEST = JSON_REQUEST.replace(b'"model"', b'"stream":true,"model"')
TOO_LONG = b'{"error":{"message":"too long","code":"context_length_exceeded","type":"invalid_request_error"}}'
PRICE = Price(input=1_000_000, output=1_000_000)
POOLS = {"m": "a b", "small": "c d", "tiny": "e"}
_real_sleep = asyncio.sleep

faults = st.sampled_from(["down", "slow", "limited", "too long", "invalid", "not json", "cut", "answer"])
scripts = st.lists(st.tuples(faults, st.floats(0, 20)), min_size=1, max_size=30)
steps = st.lists(st.sampled_from(["small", "tiny", "shorten", "small, shorten", "stale"]), max_size=5)


class Scripted:
    """Sends the answers of a script, which is repeated; the clock advances meanwhile."""

    def __init__(self, world: World, script: list[tuple[str, float]], is_stream: bool) -> None:
        self.world, self.script, self.is_stream = world, script, is_stream
        self.calls: list[str] = []

    async def send(self, deployment: Deployment, request: UpstreamRequest) -> Response:
        del request
        fault, took_s = self.script[len(self.calls) % len(self.script)]
        self.calls.append(deployment.name)
        await _real_sleep(0)
        self.world.clock.advance(took_s)
        if fault in {"down", "slow", "limited"}:
            kinds = {
                "down": errors.UpstreamUnavailable,
                "slow": errors.UpstreamTimeout,
                "limited": errors.UpstreamRateLimited,
            }
            raise kinds[fault](fault, retry_after_s=took_s if fault == "limited" else None)
        if fault == "too long":
            return Response(TOO_LONG, status=400)
        if fault == "invalid":
            return Response(b'{"error":{"message":"wrong"}}', status=400)
        good = fault == "answer"
        if not self.is_stream:
            return Response(ANSWER.replace(b'"hi"', b'"{}"') if good else ANSWER)
        events = [each.replace(b'"h"', b'"{"').replace(b'"i"', b'"}"') for each in EVENTS]
        return Response(*(events if good else events[:2]))


@settings(deadline=None)
@given(
    scripts,
    steps,
    st.booleans(),
    st.booleans(),
    st.tuples(st.sampled_from([1, 2, 4, 16]), st.floats(0.5, 90), st.sampled_from([None, 1, 11])),
)
def test_ladder_stays_within_the_limits(
    script: list[tuple[str, float]],
    ladder: list[str],
    is_refused: bool,
    is_stream: bool,
    limits: tuple[int, float, int | None],
) -> None:
    asyncio.run(check(script, [*ladder, *(["refuse"] if is_refused else [])], is_stream=is_stream, limits=limits))


async def check(
    script: list[tuple[str, float]], ladder: list[str], *, is_stream: bool, limits: tuple[int, float, int | None]
) -> None:
    max_attempts, timeout_s, max_cost = limits
    models = {
        name: structs.replace(
            resolved(pool, retries=1, timeouts=Timeouts(total_s=30.0), price=PRICE, timeout_s=timeout_s),
            model=name,
            max_attempts=max_attempts,
            max_cost_microusd=max_cost,
        )
        for name, pool in POOLS.items()
    }
    kinds: dict[str, Any] = {
        "shorten": shorten(10),
        "stale": stale(60.0),
        "refuse": refuse(is_answer=True),
        "small": to_model(models["small"]),
        "tiny": (DegradationStep(model="tiny"), models["tiny"]),
        "small, shorten": to_model(models["small"], 10),
    }
    world = World(with_ladder(models["m"], *[kinds[each] for each in ladder]))
    upstream = Scripted(world, script, is_stream)
    world.upstream.send = upstream.send  # type: ignore[method-assign]

    async def sleep(seconds: float) -> None:
        world.clock.advance(seconds)
        await _real_sleep(0)

    with patch("intellirouter.pipeline.attempts.asyncio.sleep", sleep):
        await world.serve(STREAM_REQUEST if is_stream else JSON_REQUEST)
    record = world.record
    assert 1 <= len(record.attempts) <= max_attempts
    assert [each.deployment for each in record.attempts] == upstream.calls
    assert all(each.started_ms <= timeout_s * 1000 + 1 for each in record.attempts)
    assert all(each.outcome != "pending" for each in record.attempts)
    assert sum(each.kind == "first" for each in record.attempts) == 1
    labels = [each if each in {"shorten", "stale", "refuse"} else f"model {each}" for each in ladder]
    assert [each.step for each in record.degradation] == labels[: len(record.degradation)], "one after the other"
    assert [each.outcome for each in record.degradation].count("taken") == (record.degraded is not None)
    assert all(each.reason for each in record.degradation if each.outcome != "taken")
    sent = [event for event in world.events if event.startswith(("complete", "end", "fail"))]
    assert len(sent) == 1, "one answer, or one error"
    assert world.events.count("begin") <= 1
    is_failed = record.error_code is not None
    assert sent[0].startswith("fail") == is_failed
    assert all(world.board.of(name).in_flight == 0 for pool in POOLS.values() for name in pool.split())
    paid = sum(each.outcome == "upstream_malformed" for each in record.attempts)
    if not is_stream and max_cost is not None:
        assert (paid - 1) * 5 < max_cost
