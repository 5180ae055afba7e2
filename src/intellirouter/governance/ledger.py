"""What an exchange cost: usage × price, or unknown. Integer micro-USD throughout."""

from intellirouter.core import Call, Deployment, Usage, estimate_input_tokens


def cost_of(deployment: Deployment, usage: Usage | None) -> tuple[int | None, str | None]:
    """Return the cost in micro-USD and the price's version; (None, None) where usage or price is unknown."""
    if usage is None or deployment.price is None:
        return None, None
    return deployment.price.cost_microusd(usage), deployment.price.version


def estimated_usage(call: Call, content_events: int) -> Usage:
    """Stand in for usage that the upstream never reported (an aborted stream): bytes in, about a token an event out."""
    return Usage(input_tokens=estimate_input_tokens(call.body), output_tokens=content_events, is_estimated=True)
