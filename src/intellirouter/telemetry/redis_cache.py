"""Metrics of the Redis server that stores answers, made when the metrics are scraped."""

from collections.abc import Mapping

from msgspec import Struct
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily


class RedisCacheView(Struct, frozen=True, kw_only=True):
    """What has been asked of the server since it is used."""

    is_up: bool
    reads: Mapping[str, int]
    """By outcome."""
    writes: Mapping[str, int]
    """By outcome."""
    replies: int
    reply_seconds: float
    """How long `replies` have taken together."""


def redis_cache_metrics(view: RedisCacheView) -> tuple[Metric, ...]:
    up = GaugeMetricFamily(
        "intellirouter_cache_redis_up", "Whether the Redis server of the response cache is used.", float(view.is_up)
    )
    reads = CounterMetricFamily(
        "intellirouter_cache_redis_reads", "Answers looked up in Redis, by outcome.", labels=["outcome"]
    )
    writes = CounterMetricFamily(
        "intellirouter_cache_redis_writes", "Answers to be stored in Redis, by outcome.", labels=["outcome"]
    )
    for family, numbers in ((reads, view.reads), (writes, view.writes)):
        for outcome, number in numbers.items():
            family.add_metric([outcome], number)
    replies = SummaryMetricFamily(
        "intellirouter_cache_redis_reply_seconds",
        "How long Redis took to reply when answers were looked up.",
        count_value=view.replies,
        sum_value=view.reply_seconds,
    )
    return up, reads, writes, replies
