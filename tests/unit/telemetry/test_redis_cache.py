"""Metrics of the Redis server that stores answers."""

from intellirouter.telemetry import Metrics, RedisCacheView, redis_cache_metrics


def test_reads_writes_and_replies() -> None:
    view = RedisCacheView(
        is_up=True,
        reads={"found": 3, "missing": 1},
        writes={"stored": 2, "dropped": 0},
        replies=4,
        reply_seconds=0.5,
    )
    metrics = Metrics()
    metrics.add_source(lambda: redis_cache_metrics(view))
    lines = [line for line in metrics.render().decode().splitlines() if "redis" in line and line[0] != "#"]
    assert lines == [
        "intellirouter_cache_redis_up 1.0",
        'intellirouter_cache_redis_reads_total{outcome="found"} 3.0',
        'intellirouter_cache_redis_reads_total{outcome="missing"} 1.0',
        'intellirouter_cache_redis_writes_total{outcome="stored"} 2.0',
        'intellirouter_cache_redis_writes_total{outcome="dropped"} 0.0',
        "intellirouter_cache_redis_reply_seconds_count 4.0",
        "intellirouter_cache_redis_reply_seconds_sum 0.5",
    ]
