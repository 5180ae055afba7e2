"""Metrics of the semantic cache, made when the metrics are scraped."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct
from prometheus_client.core import GaugeMetricFamily, Metric

_NUMBERS: Final = {"verifying": 0, "serving": 1, "paused": 2}


class ModelPrecision(Struct, frozen=True):
    """How many answers to similar requests were right, for one model."""

    model: str
    state: str
    """`verifying`, `serving` or `paused`."""
    verified: int
    """How many verified answers count."""
    precision: float | None
    """The share of them that were right; None without any."""


class SemanticCacheView(Struct, frozen=True):
    """The size of the index of similar requests, and the precision of each model."""

    size_bytes: int
    entries: int
    models: Sequence[ModelPrecision]


def semantic_cache_metrics(view: SemanticCacheView) -> tuple[Metric, ...]:
    """Return the metrics; none if no model has used the semantic cache."""
    if not view.models:
        return ()
    size = GaugeMetricFamily(
        "intellirouter_semantic_cache_bytes", "Size of the texts and vectors of similar requests.", view.size_bytes
    )
    entries = GaugeMetricFamily("intellirouter_semantic_cache_entries", "Requests in that index.", view.entries)
    state = GaugeMetricFamily(
        "intellirouter_semantic_cache_state",
        "State of the semantic cache of each model: 0 verifying, 1 serving, 2 paused.",
        labels=["model"],
    )
    verified = GaugeMetricFamily(
        "intellirouter_semantic_cache_verified",
        "Answers to similar requests that were compared with those of the model, and that count.",
        labels=["model"],
    )
    precision = GaugeMetricFamily(
        "intellirouter_semantic_cache_precision", "Share of these answers that were right.", labels=["model"]
    )
    for each in view.models:
        state.add_metric([each.model], _NUMBERS[each.state])
        verified.add_metric([each.model], each.verified)
        if each.precision is not None:
            precision.add_metric([each.model], each.precision)
    return size, entries, state, verified, precision
