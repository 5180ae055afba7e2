"""The cost of an exchange: usage times price, in integer micro-USD."""

from intellirouter.core import Call, Deployment, Usage


def cost_of(deployment: Deployment, usage: Usage | None) -> tuple[int | None, str | None]:
    """Return the cost in micro-USD and the version of the price; (None, None) if usage or price is unknown."""
    if usage is None or deployment.price is None:
        return None, None
    return deployment.price.cost_microusd(usage), deployment.price.version


def estimated_usage(call: Call, content_events: int) -> Usage:
    """Estimate usage that the upstream has not reported, for example of an aborted stream: one token per event."""
    return Usage(input_tokens=call.estimated_input_tokens(), output_tokens=content_events, is_estimated=True)
