"""Metrics of circuit breakers, made when the metrics are scraped."""

from collections.abc import Iterable
from typing import Final

from msgspec import Struct
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from intellirouter.core import BreakerState

_NUMBERS: Final[dict[BreakerState, int]] = {"closed": 0, "half_open": 1, "open": 2}


class BreakerView(Struct, frozen=True):
    """The state of one circuit breaker, and how often it has changed since the start."""

    deployment: str
    state: BreakerState
    openings: int
    probes: int
    closings: int


def breaker_metrics(views: Iterable[BreakerView]) -> tuple[Metric, ...]:
    """Return the metrics of circuit breakers that have ever opened."""
    labels = ["deployment"]
    state = GaugeMetricFamily(
        "intellirouter_breaker_state",
        "State of the circuit breaker of each deployment whose circuit has ever opened: 0 closed, 1 half-open, 2 open.",
        labels=labels,
    )
    changes = CounterMetricFamily(
        "intellirouter_breaker_transitions",
        "How often a circuit breaker has opened, has let a probe through (half_open), and has closed.",
        labels=[*labels, "to"],
    )
    for view in views:
        state.add_metric([view.deployment], _NUMBERS[view.state])
        for to, count in (("open", view.openings), ("half_open", view.probes), ("closed", view.closings)):
            changes.add_metric([view.deployment, to], count)
    return state, changes
