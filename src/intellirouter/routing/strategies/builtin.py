"""The built-in strategies: priority, round_robin, weighted, least_busy, power_of_two, latency, cost."""

import math
from collections.abc import Sequence
from typing import Final

from intellirouter.core import Deployment, Usage, format_usd
from intellirouter.routing.strategies.base import RoutingContext, Scored, StrategyRow
from intellirouter.routing.strategies.stickiness import (
    saves_cached_input,
    stays_among_equals,
    stays_among_weighted,
    tolerates_load,
)

_ASSUMED_OUTPUT_TOKENS: Final = 256


def priority(deployments: Sequence[Deployment], context: RoutingContext) -> list[Scored]:
    """In the configured order."""
    del context
    return [Scored(each, float(place), f"priority {place + 1}") for place, each in enumerate(deployments)]


def round_robin(deployments: Sequence[Deployment], context: RoutingContext) -> list[Scored]:
    """Each deployment in turn; the others follow in cyclic order."""
    count = len(deployments)
    return [
        Scored(each, float((place - context.turn) % count), f"turn {(place - context.turn) % count + 1} of {count}")
        for place, each in enumerate(deployments)
    ]


def weighted(deployments: Sequence[Deployment], context: RoutingContext) -> list[Scored]:
    """In random order. Weight 2 is first twice as often as weight 1 (Efraimidis-Spirakis sampling)."""
    total = sum(each.weight for each in deployments) or 1.0
    return [
        Scored(
            each,
            -math.log(1.0 - context.rng.random()) / each.weight if each.weight > 0 else math.inf,
            f"weight {each.weight:g} of {total:g}",
        )
        for each in deployments
    ]


def least_busy(deployments: Sequence[Deployment], context: RoutingContext) -> list[Scored]:
    """The fewest requests in flight per weight; ties are broken at random.

    The load is divided by the success rate. Otherwise a deployment that fails fast would look idle.
    """
    scored = []
    for each in deployments:
        health = context.health[each.name]
        load = (health.in_flight + 1) / (each.weight or 1e-9) / max(health.success_rate_at(context.now_s), 0.01)
        scored.append(Scored(each, load + context.rng.random() * 1e-6, f"{health.in_flight} in flight"))
    return scored


def power_of_two(deployments: Sequence[Deployment], context: RoutingContext) -> list[Scored]:
    """The better one of two random deployments: the lower product of latency and requests in flight, per weight.

    Several gateways that only see their own requests do not all choose the same deployment. One of the two is the one
    where the session is, if it is known. The product is divided by
    the success rate. A deployment that has not been measured is assumed to be as fast as the others on average. The
    others follow, the best one first.
    """
    is_stream = context.call.is_stream
    measured = {
        each.name: health.first_token_ms if is_stream else health.latency_ms
        for each in deployments
        if (health := context.health[each.name]).latency_ms is not None
    }
    known = [each for each in measured.values() if each is not None]
    usual_ms = sum(known) / len(known) if known else 1.0
    loads, reasons = [], []
    for each in deployments:
        health = context.health[each.name]
        latency_ms = measured.get(each.name) or usual_ms
        success_rate = max(health.success_rate_at(context.now_s), 0.01)
        loads.append(latency_ms * (health.in_flight + 1) / (each.weight or 1e-9) / success_rate)
        reasons.append(f"{health.in_flight} in flight, {latency_ms:.0f} ms, success rate {success_rate:.0%}")
    drawn = context.rng.sample(range(len(loads)), min(2, len(loads)))
    if context.affinity is not None and context.affinity.home in (names := [each.name for each in deployments]):
        home = names.index(context.affinity.home)
        drawn = drawn if home in drawn else [home, drawn[0]]
    worse = max([loads[number] for number in drawn], default=0.0)
    return [
        Scored(each, load, reason) if number in drawn else Scored(each, worse + load, f"{reason}, not drawn")
        for number, (each, load, reason) in enumerate(zip(deployments, loads, reasons, strict=True))
    ]


def latency(deployments: Sequence[Deployment], context: RoutingContext) -> list[Scored]:
    """The lowest recent latency (time to first token for streams), divided by the success rate.

    A deployment without a measurement is first, unless a request in flight already measures it, or the request would
    have to leave the deployment where its session is.
    """
    scored = []
    is_at_home = context.affinity is not None and bool(context.affinity.home)
    for each in deployments:
        health = context.health[each.name]
        measured = health.first_token_ms if context.call.is_stream else health.latency_ms
        if measured is None:
            is_last = is_at_home or health.in_flight > 0 or health.has_just_failed(context.now_s)
            scored.append(Scored(each, math.inf if is_last else 0.0, "not measured yet"))
        else:
            success_rate = health.success_rate_at(context.now_s)
            score = measured / max(success_rate, 0.01)
            scored.append(Scored(each, score, f"{measured:.0f} ms, success rate {success_rate:.0%}"))
    return scored


def cost(deployments: Sequence[Deployment], context: RoutingContext) -> list[Scored]:
    """The lowest estimated cost of this request; unknown prices are last."""
    output_tokens = context.call.max_output_tokens or _ASSUMED_OUTPUT_TOKENS
    usage = Usage(input_tokens=context.input_tokens, output_tokens=output_tokens)
    scored = []
    for each in deployments:
        if each.price is None:
            scored.append(Scored(each, math.inf, "price unknown"))
        else:
            estimate = each.price.cost_microusd(usage)
            scored.append(Scored(each, float(estimate), f"about ${format_usd(estimate)}"))
    return scored


STRATEGIES: Final = (
    StrategyRow(name="priority", score=priority, is_static=True),
    StrategyRow(name="round_robin", score=round_robin, stickiness=stays_among_equals),
    StrategyRow(name="weighted", score=weighted, stickiness=stays_among_weighted),
    StrategyRow(name="least_busy", score=least_busy, stickiness=tolerates_load),
    StrategyRow(name="power_of_two", score=power_of_two, stickiness=tolerates_load),
    StrategyRow(name="latency", score=latency, stickiness=tolerates_load),
    StrategyRow(name="cost", score=cost, stickiness=saves_cached_input),
)
