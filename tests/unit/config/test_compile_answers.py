"""The settings of answers and of lists of models."""

import pytest


@pytest.mark.parametrize(("text", "is_requested"), [("", False), ("upstream", False), ("requested", True)])
def test_answers_name_the_upstreams_model_unless_configured(compile_text, text, is_requested):
    runtime = compile_text(f"answers: {{model_name: {text}}}\n" if text else "")
    assert runtime.answers.names_requested_model is is_requested


@pytest.mark.parametrize(("text", "interval_s"), [("", 3600), ("60", 60), ("null", None)])
def test_models_are_discovered_hourly_unless_configured(compile_text, text, interval_s):
    runtime = compile_text(f"catalog: {{discovery_interval_s: {text}}}\n" if text else "")
    assert runtime.discovery_interval_s == interval_s
