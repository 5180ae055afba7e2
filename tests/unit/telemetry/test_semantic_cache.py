"""Metrics of the semantic cache: its size, and the measured precision of each model."""

from intellirouter.telemetry import Metrics, ModelPrecision, SemanticCacheView, semantic_cache_metrics


def rendered(view: SemanticCacheView) -> list[str]:
    metrics = Metrics()
    metrics.add_source(lambda: semantic_cache_metrics(view))
    return [line for line in metrics.render().decode().splitlines() if "semantic" in line and line[0] != "#"]


def test_state_precision_and_size() -> None:
    models = [
        ModelPrecision("a", "serving", 60, 0.95),
        ModelPrecision("b", "verifying", 0, None),
        ModelPrecision("c", "paused", 0, None),
    ]
    assert rendered(SemanticCacheView(4096, 3, models)) == [
        "intellirouter_semantic_cache_bytes 4096.0",
        "intellirouter_semantic_cache_entries 3.0",
        'intellirouter_semantic_cache_state{model="a"} 1.0',
        'intellirouter_semantic_cache_state{model="b"} 0.0',
        'intellirouter_semantic_cache_state{model="c"} 2.0',
        'intellirouter_semantic_cache_verified{model="a"} 60.0',
        'intellirouter_semantic_cache_verified{model="b"} 0.0',
        'intellirouter_semantic_cache_verified{model="c"} 0.0',
        'intellirouter_semantic_cache_precision{model="a"} 0.95',
    ]


def test_nothing_if_no_model_uses_it() -> None:
    assert rendered(SemanticCacheView(0, 0, [])) == []
