"""What a request has cost and used so far: the answer, and attempts whose answers could not be used."""

from intellirouter.catalog import ResolvedModel
from intellirouter.core import Deployment, Usage
from intellirouter.governance import cache_saving_of, cost_of
from intellirouter.pipeline.exchange import Exchange
from intellirouter.resilience import Spent


def add_unused(exchange: Exchange, deployment: Deployment, usage: Usage) -> None:
    """Add what an attempt has used and cost whose answer is not used."""
    exchange.unused_usage = usage if exchange.unused_usage is None else exchange.unused_usage.plus(usage)
    cost, version = cost_of(deployment, usage)
    exchange.unused_cost_microusd += cost or 0
    exchange.price_version = exchange.price_version or version


def add_continued(exchange: Exchange, deployment: Deployment, usage: Usage) -> None:
    """Add what an attempt has used and cost whose stream another attempt continues."""
    earlier = exchange.continued_usage
    exchange.continued_usage = usage if earlier is None else earlier.plus(usage)
    exchange.usage = None
    cost, version = cost_of(deployment, usage)
    exchange.unused_cost_microusd += cost or 0
    exchange.prompt_cache_saved_microusd += cache_saving_of(deployment, usage)
    exchange.price_version = exchange.price_version or version


def spent(exchange: Exchange, resolved: ResolvedModel, now_s: float) -> Spent:
    """Return what a request has used of the limits of its model."""
    return Spent(
        attempts=len(exchange.attempts),
        max_attempts=resolved.max_attempts,
        left_s=exchange.started_s + resolved.request_timeout_s - now_s,
        cost_microusd=exchange.unused_cost_microusd,
        max_cost_microusd=resolved.max_cost_microusd,
    )


def note_cost(exchange: Exchange) -> None:
    """Note the cost of all attempts in the exchange, at its end."""
    deployment, usage, unused = exchange.deployment, exchange.usage, exchange.unused_usage
    if deployment is not None and usage is not None:
        exchange.cost_microusd, exchange.price_version = cost_of(deployment, usage)
        exchange.prompt_cache_saved_microusd += cache_saving_of(deployment, usage)
    continued = exchange.continued_usage
    if unused is None and continued is None:
        return
    if continued is not None:
        exchange.usage = continued if usage is None else continued.plus(usage)
    elif usage is None:
        exchange.usage = unused
    if usage is None:
        exchange.cost_microusd = None if exchange.price_version is None else exchange.unused_cost_microusd
    elif exchange.cost_microusd is not None:
        exchange.cost_microusd += exchange.unused_cost_microusd
