"""Metrics of affinity, made when the metrics are scraped."""

from collections.abc import Iterable, Mapping

from msgspec import Struct
from prometheus_client.core import CounterMetricFamily, Metric


class AffinityView(Struct, frozen=True):
    """What affinity has done for the requests of a model that a deployment has served."""

    model: str
    deployment: str
    outcomes: Mapping[str, int]
    lost_microusd: int


def affinity_metrics(views: Iterable[AffinityView]) -> tuple[Metric, ...]:
    labels = ["model", "deployment"]
    requests = CounterMetricFamily(
        "intellirouter_affinity",
        "Requests of sessions: served where the session was served last (hit), elsewhere (broken), or new.",
        labels=[*labels, "outcome"],
    )
    lost = CounterMetricFamily(
        "intellirouter_affinity_lost_microusd",
        "About what it has cost to process input again that was cached elsewhere, in micro-USD.",
        labels=labels,
    )
    for view in views:
        for outcome, number in view.outcomes.items():
            requests.add_metric([view.model, view.deployment, outcome], number)
        if view.lost_microusd:
            lost.add_metric([view.model, view.deployment], view.lost_microusd)
    return requests, lost
