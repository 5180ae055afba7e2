"""The settings of the response cache: where it is on, and which of them have no effect."""

import pytest

from intellirouter.config import CacheSpec, SemanticSpec

FAKE = "providers: {p: {vendor: fake}}\ndeployments: {d: {provider: p, model: x}}\nmodels: {m: {deployments: [d]}}\n"


def test_cache_is_off_by_default(compile_text):
    cache = compile_text(FAKE).cache
    assert (cache.is_used, cache.default_mode, cache.applies("default", None)) == (False, "off", False)


@pytest.mark.parametrize(
    ("default", "tenant", "model", "applies"),
    [
        ("off", None, None, False),
        ("exact", None, None, True),
        ("off", "exact", None, True),
        ("off", None, "exact", True),
        ("exact", "off", None, False),
        ("exact", None, "off", False),
        ("exact", "off", "exact", False),
        ("exact", "exact", "off", False),
        ("off", "exact", "exact", True),
    ],
)
def test_models_and_tenants_override_the_default_and_off_wins(default, tenant, model, applies):
    settings = CacheSpec(default_mode=default, tenants={} if tenant is None else {"t": tenant})
    assert settings.applies("t", model) is applies
    assert settings.applies("other", model) is ((model or default) == "exact")


@pytest.mark.parametrize(
    "text",
    [
        "defaults: {cache: exact}\n" + FAKE,
        FAKE.replace("vendor: fake", "vendor: fake, cache: exact"),
        FAKE.replace("model: x", "model: x, cache: exact"),
        FAKE.replace("deployments: [d]", "deployments: [d], cache: exact"),
        FAKE + "tenants: {default: {cache: exact}}\n",
    ],
)
def test_cache_is_used_if_anything_turns_it_on(compile_text, text):
    assert compile_text(text).cache.is_used


def test_modes_of_models_deployments_and_providers(compile_text):
    runtime = compile_text(
        "providers: {p: {vendor: ollama, models: '*', cache: exact}, q: {vendor: fake}}\n"
        "deployments: {d: {provider: p, model: x}, e: {provider: p, model: y, cache: off},"
        " f: {provider: q, model: z}}\n"
        "models: {m: {deployments: [d]}, n: {deployments: [d, p/w], cache: exact}}\n"
    )
    assert {name: each.cache for name, each in runtime.deployments.items()} == {
        "d": "exact",
        "e": "off",
        "f": None,
        "p/w": "exact",
    }
    assert {name: each.cache for name, each in runtime.models.items()} == {"m": None, "n": "exact"}
    assert {name: each.cache for name, each in runtime.providers.items()} == {"p": "exact", "q": None}


def test_settings_are_compiled(compile_text):
    cache = compile_text(
        "defaults: {cache: exact}\ncache: {max_bytes: 8388608, max_entry_bytes: 4096, ttl_s: {chat: 60},"
        " tool_calls: true, stale_if_error_s: 5, join_window_s: 0, max_temperature: 0.5}\n" + FAKE
    ).cache
    assert (cache.max_bytes, cache.max_entry_bytes, cache.ttl_s["chat"], cache.ttl_s["embeddings"]) == (
        8388608,
        4096,
        60.0,
        86_400.0,
    )
    assert (cache.tool_calls, cache.stale_if_error_s, cache.join_window_s, cache.max_temperature) == (
        True,
        5.0,
        0.0,
        0.5,
    )


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("cache: {max_bytes: 8388608}\n", "cache: This section has no effect, because `cache` is off in the defaults"),
        (
            "defaults: {cache: exact}\ncache: {max_bytes: 1048576, max_entry_bytes: 524288}\n",
            "cache.max_entry_bytes: It is more than a quarter of cache.max_bytes, so 262144 is used instead.",
        ),
        (
            "defaults: {cache: semantic}\n",
            "defaults.cache: The cache mode `semantic` can only be set for models. `exact` is used instead.",
        ),
        (
            "tenants: {default: {cache: semantic}}\n",
            "tenants.default.cache: The cache mode `semantic` can only be set for models.",
        ),
        (
            "defaults: {cache: exact}\ncache: {semantic: {verify_share: 0.1}}\n",
            "cache.semantic: This section has no effect, because no model has `cache: semantic`.",
        ),
    ],
)
def test_settings_without_effect_are_reported(compile_text, text, warning):
    warnings = compile_text(text + FAKE).warnings
    assert any(each.startswith(warning) for each in warnings)


def test_settings_with_effect_are_not_reported(compile_text):
    assert compile_text("defaults: {cache: exact}\ncache: {max_bytes: 8388608}\n" + FAKE).warnings == ()


SEMANTIC = FAKE.replace("deployments: [d]", "deployments: [d], cache: semantic")


def test_semantic_is_used_for_models_that_have_it(compile_text, monkeypatch):
    monkeypatch.setattr("intellirouter.config.cache_settings.find_spec", lambda name: name)
    runtime = compile_text("cache: {semantic: {target_precision: 0.9, max_bytes: 2097152}}\n" + SEMANTIC)
    assert runtime.warnings == ()
    assert runtime.cache.semantic == SemanticSpec(target_precision=0.9, max_bytes=2_097_152)
    assert runtime.cache.uses_similar("t", "semantic")
    assert not runtime.cache.uses_similar("t", "exact")
    assert not runtime.cache.uses_similar("t", None)
    assert runtime.cache.applies("t", "semantic")


def test_semantic_without_its_packages_is_exact_and_a_warning_names_the_extra(compile_text, monkeypatch):
    monkeypatch.setattr("intellirouter.config.cache_settings.find_spec", lambda _: None)
    runtime = compile_text(SEMANTIC)
    assert runtime.warnings == (
        (
            "models.m.cache: The cache mode `semantic` needs packages that are not installed. `exact` is used instead. "
            "Install them with pip install 'intellirouter[semantic]'."
        ),
    )
    assert runtime.cache.applies("t", "semantic")
    assert not runtime.cache.uses_similar("t", "semantic")


def test_defaults_and_tenants_do_not_turn_semantic_on(compile_text):
    text = "defaults: {cache: semantic}\ntenants: {default: {cache: semantic}}\n"
    assert compile_text(text + FAKE).cache.semantic is None
