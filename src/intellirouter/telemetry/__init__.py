"""Observability: metrics, the live feed and logs. Everything happens after the last byte of a response.

Door: `Metrics`, `breaker_metrics`, `limit_metrics`, `redis_cache_metrics`, `semantic_cache_metrics`, `LiveFeed`,
`set_up_logging`, `is_writable`, `CONTENT_TYPE`.
"""

from intellirouter.telemetry.breakers import BreakerView, breaker_metrics
from intellirouter.telemetry.descriptors import is_writable
from intellirouter.telemetry.feed import LiveFeed
from intellirouter.telemetry.limits import LimitView, limit_metrics
from intellirouter.telemetry.logs import set_up_logging
from intellirouter.telemetry.metrics import CONTENT_TYPE, Metrics
from intellirouter.telemetry.redis_cache import RedisCacheView, redis_cache_metrics
from intellirouter.telemetry.semantic_cache import ModelPrecision, SemanticCacheView, semantic_cache_metrics

__all__ = [
    "CONTENT_TYPE",
    "BreakerView",
    "LimitView",
    "LiveFeed",
    "Metrics",
    "ModelPrecision",
    "RedisCacheView",
    "SemanticCacheView",
    "breaker_metrics",
    "is_writable",
    "limit_metrics",
    "redis_cache_metrics",
    "semantic_cache_metrics",
    "set_up_logging",
]
