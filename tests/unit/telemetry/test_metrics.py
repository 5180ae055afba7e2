"""Counters against prometheus's own parser."""

import re
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from intellirouter.core import AffinityUse, Attempt, ExchangeRecord, Usage
from intellirouter.telemetry import CONTENT_TYPE, Metrics

LABELS = ("model", "deployment", "outcome", "direction", "status", "le")


def record(**members: Any) -> ExchangeRecord:
    fixed = {"request_id": "r", "started_us": 0, "endpoint": "/v1/x", "tenant": "t", "status": 200, "duration_ms": 30.0}
    return ExchangeRecord(**{**fixed, "deployment": "d", **members})


def samples(metrics: Metrics) -> dict[str, float]:
    """Return every sample as `name{label=value,…}`."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(metrics.render().decode()):
        for sample in family.samples:
            labels = ",".join(f"{name}={sample.labels[name]}" for name in sorted(sample.labels, key=LABELS.index))
            key = f"{sample.name}{{{labels}}}" if labels else sample.name
            assert key not in found
            found[key] = sample.value
    return found


def counted(*records: ExchangeRecord, model: str = "m") -> Metrics:
    metrics = Metrics()
    for each in records:
        metrics.count(each, model)
    return metrics


PAIR = "model=m,deployment=d"


def test_requests_are_counted_by_model_deployment_and_status() -> None:
    metrics = counted(record(), record(), record(status=502, error_code="upstream_unavailable"))
    found = samples(metrics)
    assert found[f"intellirouter_requests_total{{{PAIR},status=200}}"] == 2
    assert found[f"intellirouter_requests_total{{{PAIR},status=502}}"] == 1
    assert (metrics.finished, metrics.failed) == (3, 1)


def test_tokens_and_cost_are_summed() -> None:
    usage = Usage(input_tokens=10, cache_read_tokens=5, output_tokens=3, reasoning_tokens=2)
    found = samples(counted(record(usage=usage, cost_microusd=7), record(usage=usage, cost_microusd=8), record()))
    assert found[f"intellirouter_tokens_total{{{PAIR},direction=input}}"] == 30
    assert found[f"intellirouter_tokens_total{{{PAIR},direction=output}}"] == 10
    assert found[f"intellirouter_cost_microusd_total{{{PAIR}}}"] == 15
    assert found[f"intellirouter_unpriced_total{{{PAIR}}}"] == 0


def test_degraded_requests_are_counted_by_model_and_step() -> None:
    metrics = counted(record(degraded="model small"), record(degraded="stale"), record(degraded="stale"), record())
    found = {
        (each.labels["model"], each.labels["step"]): each.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for each in family.samples
        if each.name == "intellirouter_degraded_total"
    }
    assert found == {("m", "model small"): 1, ("m", "stale"): 2}


def test_unknown_price_is_counted() -> None:
    found = samples(counted(record(usage=Usage(input_tokens=1))))
    assert found[f"intellirouter_unpriced_total{{{PAIR}}}"] == 1
    assert found[f"intellirouter_cost_microusd_total{{{PAIR}}}"] == 0


@pytest.mark.parametrize(("duration_ms", "bounds"), [(4.0, 0.005), (5.0, 0.005), (30.0, 0.05), (299_999.0, 300.0)])
def test_duration_is_counted_in_its_bucket(duration_ms: float, bounds: float) -> None:
    found = samples(counted(record(duration_ms=duration_ms, first_token_ms=duration_ms)))
    for name in ("intellirouter_request_duration_seconds", "intellirouter_first_token_seconds"):
        buckets = {
            float(key.rpartition("le=")[2].rstrip("}")): value
            for key, value in found.items()
            if key.startswith(f"{name}_bucket")
        }
        assert len(buckets) == 16
        assert all(value == (bound >= bounds) for bound, value in buckets.items())
        assert found[f"{name}_sum{{{PAIR}}}"] == pytest.approx(duration_ms / 1000)
        assert found[f"{name}_count{{{PAIR}}}"] == 1


def test_duration_beyond_all_buckets_is_counted() -> None:
    found = samples(counted(record(duration_ms=1e9)))
    assert found[f"intellirouter_request_duration_seconds_bucket{{{PAIR},le=+Inf}}"] == 1
    assert found[f"intellirouter_request_duration_seconds_bucket{{{PAIR},le=300.0}}"] == 0
    assert found[f"intellirouter_first_token_seconds_count{{{PAIR}}}"] == 0


def test_attempts_are_counted_by_outcome() -> None:
    attempts = tuple(
        Attempt(deployment=name, kind="first", started_ms=0.0, outcome=outcome)
        for name, outcome in (("a", "upstream_timeout"), ("a", "upstream_timeout"), ("b", "ok"))
    )
    found = samples(counted(record(attempts=attempts)))
    assert found["intellirouter_attempts_total{deployment=a,outcome=upstream_timeout}"] == 2
    assert found["intellirouter_attempts_total{deployment=b,outcome=ok}"] == 1


def test_continuations_are_counted_by_outcome() -> None:
    attempts = (
        Attempt(deployment="a", kind="first", started_ms=0.0, outcome="upstream_disconnected"),
        Attempt(deployment="b", kind="continuation", started_ms=0.0, outcome="upstream_timeout"),
        Attempt(deployment="c", kind="continuation", started_ms=0.0, outcome="ok"),
    )
    found = samples(counted(record(attempts=attempts), record()))
    assert {key: value for key, value in found.items() if key.startswith("intellirouter_continuations")} == {
        "intellirouter_continuations_total{outcome=upstream_timeout}": 1.0,
        "intellirouter_continuations_total{outcome=ok}": 1.0,
    }


def test_request_without_a_deployment_has_empty_labels() -> None:
    found = samples(counted(record(deployment=None, status=404), model=""))
    assert found["intellirouter_requests_total{model=,deployment=,status=404}"] == 1


def test_labels_of_any_text_are_escaped() -> None:
    found = samples(counted(record(), model='a"b\\c\nd'))
    assert any('model=a"b\\c\nd' in key for key in found)


def test_number_of_label_sets_is_limited_and_no_request_is_lost() -> None:
    metrics = Metrics()
    for number in range(5000):
        attempt = Attempt(deployment=f"d{number}", kind="first", started_ms=0.0, outcome="ok")
        metrics.count(record(attempts=(attempt,), deployment=f"d{number}"), f"m{number}")
    found = samples(metrics)
    requests = {key: value for key, value in found.items() if key.startswith("intellirouter_requests_total")}
    attempts = {key: value for key, value in found.items() if key.startswith("intellirouter_attempts_total")}
    assert len(requests) == len(attempts) == 2001
    assert sum(requests.values()) == sum(attempts.values()) == 5000
    assert requests["intellirouter_requests_total{model=(other),deployment=(other),status=200}"] == 3000
    assert attempts["intellirouter_attempts_total{deployment=(other),outcome=(other)}"] == 3000


def test_names_from_clients_are_counted_separately_up_to_a_limit() -> None:
    metrics = Metrics(is_configured=lambda name: name.startswith("own"))
    names = [f"chat/{number}" for number in range(3000)] + [f"own{number}" for number in range(300)] + [""]
    for name in (*names, *names):
        attempt = Attempt(deployment=name, kind="first", started_ms=0.0, outcome="ok")
        metrics.count(record(attempts=(attempt,), deployment=name), name)
    found = samples(metrics)
    for start in ("intellirouter_requests_total", "intellirouter_attempts_total"):
        counts = {key: value for key, value in found.items() if key.startswith(start)}
        assert sum(counts.values()) == 2 * len(names)
        assert len([key for key in counts if "own" in key]) == 300
        assert len([key for key in counts if "=chat/" in key]) == 100
        assert [value for key, value in counts.items() if "(other)" in key] == [5800]
    assert len(metrics.render()) < 2_000_000


def test_gauges_are_read_when_metrics_are_rendered() -> None:
    level = [1.0]
    metrics = Metrics({"intellirouter_a": ("A level.", lambda: level[0])})
    metrics.add_gauge("intellirouter_b", "Another.", lambda: 5)
    assert samples(metrics)["intellirouter_a"] == 1.0
    level[0] = 2.0
    found = samples(metrics)
    assert (found["intellirouter_a"], found["intellirouter_b"]) == (2.0, 5.0)


def test_rendering_does_not_change_the_counters() -> None:
    metrics = counted(record())
    assert metrics.render() == metrics.render()


def test_content_type_is_that_of_the_exposition() -> None:
    assert re.fullmatch(r"text/plain; version=0\.0\.4; charset=utf-8", CONTENT_TYPE)
    assert b"# TYPE intellirouter_requests_total counter" in counted(record()).render()


def test_what_the_cache_did_is_counted() -> None:
    hits = [record(cache="hit", saved_microusd=7, deployment=None), record(cache="joined", saved_microusd=None)]
    found = samples(counted(record(), record(cache="miss"), *hits, *hits))
    cache = {key: value for key, value in found.items() if key.startswith("intellirouter_cache")}
    assert cache == {
        "intellirouter_cache_requests_total{outcome=miss}": 1.0,
        "intellirouter_cache_requests_total{outcome=hit}": 2.0,
        "intellirouter_cache_requests_total{outcome=joined}": 2.0,
        "intellirouter_cache_saved_microusd_total": 14.0,
    }


def test_affinity_is_counted_by_outcome_with_the_loss() -> None:
    hit = AffinityUse(kind="session", outcome="hit", deployment="d")
    broken = AffinityUse(kind="prompt", outcome="broken", deployment="e", lost_microusd=30)
    found = samples(counted(record(), record(affinity=hit), record(affinity=hit), record(affinity=broken)))
    assert found[f"intellirouter_affinity_total{{{PAIR},outcome=hit}}"] == 2
    assert found[f"intellirouter_affinity_total{{{PAIR},outcome=broken}}"] == 1
    assert found[f"intellirouter_affinity_lost_microusd_total{{{PAIR}}}"] == 30
    assert not any("affinity" in name for name in samples(counted(record())))
