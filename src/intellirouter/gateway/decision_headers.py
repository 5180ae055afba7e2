"""The decision headers of a response: which deployment answered, why, after how many attempts, and at what cost."""

from functools import lru_cache
from typing import Final

from intellirouter.core import Degradation, format_usd
from intellirouter.pipeline import CacheUse, Exchange, Headers

_CACHE_OFF: Final = (b"x-intellirouter-cache", b"off")
_MAX_CACHED: Final = 512
"""How many values are remembered. Those of usual decisions repeat; reasons that contain a time do not."""
Lines = tuple[tuple[bytes, bytes], ...]


def decision_headers(exchange: Exchange) -> Headers:
    """Return the headers that are known so far. The first one is `x-request-id`."""
    headers = [(b"x-request-id", exchange.request_id.encode())]
    decision, cache = exchange.decision, exchange.cache
    if cache is not None:
        headers += _cached(cache)
    elif exchange.answered_by is not None and not exchange.is_handed_over:
        headers.append((b"x-intellirouter-cache", header_value(exchange.answered_by)))
    if exchange.losses or exchange.ignored:
        losses = (*exchange.ignored, *exchange.losses)
        headers.append((b"x-intellirouter-dropped", header_value(", ".join(map(str, losses)))))
    if exchange.degradation is not None:
        headers += _degraded(exchange.degradation, exchange)
    if decision is None:
        if cache is not None and cache.source is not None:
            headers.append((b"x-intellirouter-cost-usd", format_usd(0).encode()))
        return headers
    if (deployment := exchange.deployment) is not None:
        headers += _routed(deployment.name, exchange.model or "", deployment.upstream_model)
    reason, attempts = exchange.reason(decision), len(exchange.attempts)
    headers += (_decided if cache is None else _decided_with_cache)(decision.strategy, reason, attempts)
    if exchange.usage is not None:
        cost = b"unknown" if exchange.cost_microusd is None else format_usd(exchange.cost_microusd).encode()
        headers.append((b"x-intellirouter-cost-usd", cost))
    return headers


def _cached(cache: CacheUse) -> Headers:
    """Return the headers of a request to which the cache applies."""
    headers = [(b"x-intellirouter-cache", cache.status.encode())]
    if cache.age_s is not None:
        headers.append((b"age", b"%d" % cache.age_s))
    return headers


def _degraded(degradation: Degradation, exchange: Exchange) -> Headers:
    """Return the headers of a request that a step of the degradation ladder has answered."""
    if degradation.step is None:
        return []
    headers = [(b"x-intellirouter-degraded", header_value(degradation.step))]
    if exchange.decision is None:  # no deployment could be called
        headers.append((b"x-intellirouter-reason", header_value(degradation.reason(None, exchange.attempts))))
    return headers


def early_headers(exchange: Exchange) -> Headers:
    """Return the headers of a stream that begins before it is known which deployment answers."""
    headers = [(b"x-request-id", exchange.request_id.encode())]
    if exchange.ignored:
        headers.append((b"x-intellirouter-dropped", header_value(", ".join(map(str, exchange.ignored)))))
    return headers


def late_headers(exchange: Exchange) -> bytes:
    """Return what `early_headers` lacks as a comment of an event stream."""
    lines = [b": %b: %b\n" % pair for pair in decision_headers(exchange)[1:]]
    return b"".join(lines) + b"\n" if lines else b""


@lru_cache(maxsize=_MAX_CACHED)
def _routed(deployment: str, model: str, upstream_model: str) -> Lines:
    return (
        (b"x-intellirouter-deployment", header_value(deployment)),
        (b"x-intellirouter-model", header_value(model)),
        (b"x-intellirouter-upstream-model", header_value(upstream_model)),
    )


@lru_cache(maxsize=_MAX_CACHED)
def _decided(strategy: str, reason: str, attempts: int) -> Lines:
    return (
        (b"x-intellirouter-strategy", header_value(strategy)),
        (b"x-intellirouter-reason", header_value(reason)),
        (b"x-intellirouter-attempts", b"%d" % attempts),
        _CACHE_OFF,
    )


def _decided_with_cache(strategy: str, reason: str, attempts: int) -> Lines:
    """Return the headers of a request whose headers tell what the cache did."""
    return _decided(strategy, reason, attempts)[:-1]


@lru_cache(maxsize=_MAX_CACHED)
def header_value(text: str) -> bytes:
    """Return the text as a header value. Characters outside printable ASCII become `?`."""
    if text.isascii() and text.isprintable():
        return text.encode("ascii")
    return bytes(ord(char) if 0x20 <= ord(char) < 0x7F else 0x3F for char in text)
