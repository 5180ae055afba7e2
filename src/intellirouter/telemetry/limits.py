"""Metrics of concurrency limits and queues, made when the metrics are scraped."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate

from msgspec import Struct
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric


class LimitView(Struct, frozen=True, kw_only=True):
    """The slots of one deployment. Counts are since the start."""

    deployment: str
    limit: int
    in_flight: int
    waiting: int
    waits: Sequence[int]
    """How many requests have waited, by bucket: one for each bound, and one for longer waits."""
    waits_sum_s: float
    refusals: Mapping[str, int]
    """How many requests have got no slot, by reason."""


def limit_metrics(views: Iterable[LimitView], bounds_s: Sequence[float]) -> tuple[Metric, ...]:
    """Return the metrics of deployments with a concurrency limit. `bounds_s` are those of the waits."""
    labels = ["deployment"]
    limit = GaugeMetricFamily(
        "intellirouter_deployment_concurrency_limit", "Maximum number of requests in flight.", labels=labels
    )
    in_flight = GaugeMetricFamily(
        "intellirouter_deployment_in_flight", "Requests in flight of deployments with a limit.", labels=labels
    )
    depth = GaugeMetricFamily(
        "intellirouter_deployment_queue_depth", "Requests that wait for a slot of the deployment.", labels=labels
    )
    waits = HistogramMetricFamily(
        "intellirouter_deployment_queue_wait_seconds",
        "How long requests have waited that got a slot in the end.",
        labels=labels,
    )
    refusals = CounterMetricFamily(
        "intellirouter_deployment_queue_rejections",
        "Requests that got no slot: queue_full, too_long (the wait would have been), timeout, stopping.",
        labels=[*labels, "reason"],
    )
    for view in views:
        name = [view.deployment]
        limit.add_metric(name, view.limit)
        in_flight.add_metric(name, view.in_flight)
        depth.add_metric(name, view.waiting)
        buckets = zip((*map(str, bounds_s), "+Inf"), map(float, accumulate(view.waits)), strict=True)
        waits.add_metric(name, list(buckets), view.waits_sum_s)
        for reason, count in view.refusals.items():
            refusals.add_metric([*name, reason], count)
    return limit, in_flight, depth, waits, refusals
