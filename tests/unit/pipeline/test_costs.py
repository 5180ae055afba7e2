"""What attempts cost whose answers cannot be used, and the limit of that cost."""

import json
from typing import Any

import pytest
from msgspec import structs

from intellirouter.catalog import ResolvedModel
from intellirouter.core import AttemptControl, Price, RequestContext, Usage, errors
from tests.support.ladders import refuse, to_model, with_ladder
from tests.support.pipeline import ANSWER, Response, World, resolved

PRICE = Price(input=1_000_000, output=1_000_000, version="test")
"""One micro-USD per token."""
JSON_REQUEST = json.dumps(
    {"model": "m", "messages": [{"role": "user", "content": "x"}], "response_format": {"type": "json_object"}}
).encode()
GOOD = ANSWER.replace(b'"hi"', b'"{}"')
"""5 micro-USD."""


def priced(pool: str, max_cost: int | None = None, **members: Any) -> ResolvedModel:
    return structs.replace(resolved(pool, price=PRICE, **members), max_cost_microusd=max_cost)


def bad() -> Response:
    """An answer that is not JSON and costs 5 micro-USD."""
    return Response(ANSWER)


async def test_answer_that_is_not_usable_is_paid_for() -> None:
    world = World(priced("a b"), a=bad(), b=Response(GOOD))
    await world.serve(JSON_REQUEST)
    record = world.record
    assert [each.outcome for each in record.attempts] == ["upstream_malformed", "ok"]
    assert (record.cost_microusd, record.usage) == (10, Usage(input_tokens=3, output_tokens=2))


async def test_request_without_a_usable_answer_has_the_cost_of_its_attempts() -> None:
    world = World(priced("a b"), a=bad(), b=bad())
    await world.serve(JSON_REQUEST)
    record = world.record
    assert record.error_code == "upstream_malformed"
    assert (record.cost_microusd, record.usage) == (10, Usage(input_tokens=6, output_tokens=4))
    assert record.price_version == "test"


async def test_cost_without_a_price_is_unknown() -> None:
    world = World(resolved("a"), a=bad())
    await world.serve(JSON_REQUEST)
    assert (world.record.cost_microusd, world.record.usage) == (None, Usage(input_tokens=3, output_tokens=2))


async def test_usage_that_was_not_reported_is_estimated() -> None:
    unreported = json.loads(ANSWER)
    del unreported["usage"]
    unreported["choices"][0]["message"]["content"] = "word " * 40
    world = World(priced("a"), a=Response(json.dumps(unreported).encode()))
    await world.serve(JSON_REQUEST)
    usage = world.record.usage
    assert usage is not None
    assert (usage.is_estimated, usage.output_tokens) == (True, 50)
    assert world.record.cost_microusd == usage.total_tokens


@pytest.mark.parametrize(
    "answer",
    [
        Response(b"<html>busy</html>"),
        Response(b'{"error":{"message":"overloaded","type":"server_error"}}'),
        Response(b"{}"),
        errors.UpstreamUnavailable("down"),
    ],
)
async def test_failure_without_text_of_a_model_costs_nothing(answer: Any) -> None:
    world = World(priced("a"), a=answer)
    await world.serve(JSON_REQUEST)
    assert (world.record.usage, world.record.cost_microusd) == (None, None)


@pytest.mark.parametrize(
    ("max_cost", "attempts"), [(None, 4), (100, 4), (16, 4), (15, 3), (11, 3), (10, 2), (6, 2), (5, 1), (1, 1)]
)
async def test_no_attempt_follows_when_the_earlier_ones_have_cost_too_much(max_cost: int | None, attempts: int) -> None:
    world = World(priced("a b", max_cost, retries=1), a=[bad(), bad()], b=[bad(), bad()])
    await world.serve(JSON_REQUEST)
    assert len(world.record.attempts) == attempts
    assert world.record.cost_microusd == attempts * 5
    assert world.reply.error is not None
    note = (
        f"No further attempt was made, because the attempts have cost 0.{attempts * 5:06d} USD, and the limit is "
        f"0.{max_cost or 0:06d} USD (max_cost_usd)."
    )
    assert world.reply.error.message.endswith(note) == (attempts * 5 >= (max_cost or 1000))


async def test_failures_that_cost_nothing_are_not_limited() -> None:
    world = World(priced("a b", 1), a=errors.UpstreamUnavailable("down"), b=Response(GOOD))
    await world.serve(JSON_REQUEST)
    assert (world.reply.error, world.record.cost_microusd) == (None, 5)


async def test_client_can_lower_the_limit() -> None:
    world = World(priced("a b", 100), a=bad(), b=Response(GOOD))
    exchange = await world.serve(JSON_REQUEST, context=RequestContext(control=AttemptControl(max_cost_microusd=4)))
    assert len(world.record.attempts) == 1
    assert exchange.decision is not None
    assert exchange.decision.restriction == "limited by the request: cost 0.000004 USD"


async def test_limit_beyond_the_configured_one_is_clamped() -> None:
    world = World(priced("a b", 4), a=bad(), b=Response(GOOD))
    await world.serve(JSON_REQUEST, context=RequestContext(control=AttemptControl(max_cost_microusd=9)))
    assert len(world.record.attempts) == 1
    assert world.record.dropped == ('x-intellirouter-max-cost-usd;how=clamped;as="0.000004"',)


async def test_steps_of_a_ladder_do_not_call_models_beyond_the_limit() -> None:
    model = with_ladder(priced("a", 5), to_model(priced("s")), refuse())
    world = World(model, a=bad(), s=Response(GOOD))
    await world.serve(JSON_REQUEST)
    assert world.upstream.order == "a"
    skipped, _ = world.record.degradation
    assert "(max_cost_usd)" in skipped.reason
    assert world.record.cost_microusd == 5


async def test_refusal_as_an_answer_has_the_cost_of_the_attempts() -> None:
    repeated = ANSWER.replace(b'"hi"', b'"%s"' % (b"one two three " * 2000))
    world = World(with_ladder(priced("a"), refuse(is_answer=True)), a=Response(repeated))
    await world.serve()
    record = world.record
    assert (record.degraded, record.status, record.deployment) == ("refuse", 200, None)
    assert (record.cost_microusd, record.usage) == (5, Usage(input_tokens=3, output_tokens=2))


TOOLS = [{"name": "f", "input_schema": {"type": "object"}}]
CALL = (
    b'data: {"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":"["}}]}}]}\n\n',
    b'data: {"choices":[{"delta":{},"finish_reason":"tool_calls"}]}\n\n',
    b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\ndata: [DONE]\n\n',
)


async def test_stream_whose_tool_call_is_held_back_and_invalid_is_paid_for() -> None:
    body = {"model": "m", "stream": True, "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
    world = World(priced("a", timeouts=resolved("a").pool[0].timeouts), a=Response(*CALL))
    await world.serve(json.dumps(body | {"tools": TOOLS}).encode(), endpoint="anthropic_messages")
    assert world.record.error_code == "upstream_malformed"
    assert world.record.usage is not None
    assert world.record.cost_microusd == world.record.usage.total_tokens > 0
