"""How much the strategies want a session to stay where it was served last, each in the unit of its own scores.

All functions take the scores without affinity and a context with `affinity`.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from intellirouter.core import Deployment, format_usd, rendezvous_order, weighted_rendezvous_order
from intellirouter.routing.strategies.base import Affinity, RoutingContext, Scored

_ALWAYS_ACCEPTED: Final = 4
"""So many requests in flight are never too many for a session to stay, even if the other deployments are idle."""
_TIE: Final = 1.0 - 1e-5
"""A session stays if others are as good, also where equal loads are put in a random order."""


def stays_among_equals(scored: list[Scored], context: RoutingContext) -> list[Scored]:
    """For strategies that only spread requests evenly: the session stays, and a new one is placed by its hash."""
    loads = {each.deployment.name: float(context.health[each.deployment.name].in_flight) for each in scored}
    order = rendezvous_order(_affinity_of(context).key, loads)
    return _in_order(scored, order, loads, context)


def stays_among_weighted(scored: list[Scored], context: RoutingContext) -> list[Scored]:
    """The same for strategies that spread requests by weight."""
    weights = {each.deployment.name: each.deployment.weight for each in scored}
    largest = max(weights.values(), default=0.0) or 1.0
    loads = {
        name: context.health[name].in_flight * largest / weight if weight > 0 else math.inf
        for name, weight in weights.items()
    }
    order = weighted_rendezvous_order(_affinity_of(context).key, weights)
    return _in_order(scored, order, loads, context)


def saves_cached_input(scored: list[Scored], context: RoutingContext) -> list[Scored]:
    """For scores in micro-USD: where the session is, the input that is probably cached costs less."""
    affinity = _affinity_of(context)

    def at_home(home: Scored) -> Scored:
        saved = cached_input_microusd(home.deployment, affinity.cached_tokens)
        note = f"{served_by(affinity)}, saves about ${format_usd(saved)}" if saved else served_by(affinity)
        return Scored(home.deployment, home.score - saved, f"{home.reason}, {note}")

    return _with_home(scored, affinity, at_home)


def tolerates_load(scored: list[Scored], context: RoutingContext) -> list[Scored]:
    """For scores that are loads or latencies: where the session is, they count as proportionally lower."""
    affinity = _affinity_of(context)

    def at_home(home: Scored) -> Scored:
        score = home.score / (1.0 + affinity.max_extra_load) * _TIE
        return Scored(home.deployment, score, f"{home.reason}, {served_by(affinity)}")

    return _with_home(scored, affinity, at_home)


def cached_input_microusd(deployment: Deployment, tokens: int) -> int:
    """Return in micro-USD how much less input costs if it is read from the cache; 0 if the price is unknown."""
    price = deployment.price
    if price is None or price.cache_read is None:
        return 0
    return max(0, (price.input - price.cache_read) * tokens) // 1_000_000


def served_by(affinity: Affinity) -> str:
    """Return why a request stays: `session affinity: served by a 42 s ago`."""
    return f"{affinity.kind} affinity: served by {affinity.home} {affinity.age_s:.0f} s ago"


def _affinity_of(context: RoutingContext) -> Affinity:
    if context.affinity is None:
        raise ValueError("The request has no affinity.")
    return context.affinity


def _in_order(
    scored: list[Scored], order: Sequence[str], loads: dict[str, float], context: RoutingContext
) -> list[Scored]:
    """Return the deployments with their place as the score: where the session is, then by hash, then the busy ones."""
    affinity = _affinity_of(context)
    places = {name: place for place, name in enumerate(order)}
    result = []
    for each in scored:
        name = each.deployment.name
        if name == affinity.home:
            place, reason = -1, served_by(affinity)
        else:
            place = places[name]
            reason = f"place {place + 1} by the hash of the {affinity.kind}"
        if loads[name] > _ALWAYS_ACCEPTED and _is_busy(name, loads, affinity):
            place, reason = place + len(order) + 1, f"{reason}, but busy: {context.health[name].in_flight} in flight"
        result.append(Scored(each.deployment, float(place), reason))
    return result


def _is_busy(name: str, loads: Mapping[str, float], affinity: Affinity) -> bool:
    """Return whether a deployment has much more load than the others on average, so that it gets no more sessions."""
    others = [each for other, each in loads.items() if other != name and math.isfinite(each)]
    usual = sum(others) / len(others) if others else math.inf
    return loads[name] + 1.0 > (1.0 + affinity.max_extra_load) * (usual + 1.0)


def _with_home(scored: list[Scored], affinity: Affinity, at_home: Callable[[Scored], Scored]) -> list[Scored]:
    return [at_home(each) if each.deployment.name == affinity.home else each for each in scored]
