import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intellirouter.config import ConfigError, effective_settings, load_config


def test_flags_override_environment_over_file_over_discovered(load):
    options = {
        "discovered": {"server": {"host": "a", "port": 1, "workers": 1}, "logging": {"level": "error"}},
        "environ": {"INTELLIR_SERVER__HOST": "c", "INTELLIR_LOGGING__LEVEL": "debug"},
        "overrides": {"server.host": "d", "server.port": None},
    }
    loaded = load("server: {host: b, port: 2}\n", **options)
    assert (loaded.config.server.host, loaded.config.server.port, loaded.config.logging.level) == ("d", 2, "debug")
    assert loaded.origins["server.host"] == "flag --host"
    assert loaded.origins["server.port"].endswith("config.yaml:1")
    assert loaded.origins["logging.level"] == "env INTELLIR_LOGGING__LEVEL"
    assert loaded.origins["server.workers"] == "discovered"
    assert loaded.origins["server.drain_s"] == "default"


def test_override_takes_typed_values_and_text(load):
    text = "models: {gpt-4.1: {deployments: [x]}}\nkeys: [{key: 'env:K'}]\n"
    overrides = {
        'models."gpt-4.1".deployments': ["y"],
        "server.port": "9000",
        "keys[0].name": "me",
        "auth.required": False,
    }
    loaded = load(text, overrides=overrides)
    assert loaded.config.models["gpt-4.1"].deployments == ["y"]
    assert loaded.config.server.port == 9000
    assert loaded.config.keys[0].name == "me"
    assert loaded.config.auth.required is False
    assert loaded.origins["keys[0].name"] == "flag --set keys[0].name"


def test_unknown_override_is_an_error(problems_of):
    (problem,) = problems_of("", overrides={"server.prot": 1})
    assert problem.hint == "Did you mean `port`?"


def test_invalid_override_is_an_error_with_its_flag(problems_of):
    (problem,) = problems_of("", overrides={"server.port": 99999})
    assert problem.origin == "flag --port"


def test_without_a_file_there_are_defaults():
    loaded = load_config(environ={})
    assert loaded.path is None
    assert loaded.config.server.host == "127.0.0.1"


def test_process_environment_is_the_default(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("INTELLIR_SERVER__PORT", "9123")
    assert load_config().config.server.port == 9123


def test_list_replaces_list(load):
    loaded = load("models: {m: {deployments: [a, b, c]}}", environ={"INTELLIR_MODELS__M__DEPLOYMENTS": "d"})
    assert loaded.config.models["m"].deployments == ["d"]
    assert loaded.origins["models.m.deployments"] == "env INTELLIR_MODELS__M__DEPLOYMENTS"


def test_every_setting_has_an_origin(load):
    loaded = load("providers: {a: {vendor: x, headers: {x-b: c}}}\nkeys: [{key: 'env:K'}]\n")
    assert {item.path for item in effective_settings(loaded)} == set(loaded.origins)
    assert loaded.origins["providers.a.headers.x-b"].endswith(":1")
    assert loaded.origins["keys[0].tenant"] == "default"


def test_effective_settings_have_no_passwords_and_no_origin_unless_requested(load):
    loaded = load("shared_state: redis://me:hunter2@h:6379/0\nproviders: {a: {vendor: x, credential: 'env:A'}}\n")
    shown = {item.path: item for item in effective_settings(loaded, with_origin=False)}
    assert shown["shared_state"].value == "redis://me:***@h:6379/0"
    assert shown["providers.a.credential"] == ("providers.a.credential", "env:A", "", "")


def test_error_lists_every_problem_with_path_hint_and_origin(load):
    with pytest.raises(ConfigError) as caught:
        load("server:\n  prot: 1\n  workers: x\n")
    text = str(caught.value)
    assert "2 problems" in text
    assert "server.prot: Unknown setting `prot`. Did you mean `port`? [file " in text
    assert "config.yaml:2]" in text


SETTINGS = {
    "server.port": st.integers(0, 65535),
    "server.host": st.sampled_from(["127.0.0.1", "localhost", "::1", "10.0.0.1", "no", "123"]),
    "server.body_timeout_s": st.floats(0.5, 600).map(lambda number: round(number, 3)),
    "auth.required": st.booleans(),
    "defaults.retries": st.integers(0, 10),
    "defaults.timeouts.idle_s": st.integers(1, 600).map(float),
    "logging.level": st.sampled_from(["debug", "info", "error"]),
    "store.url": st.sampled_from(["sqlite:///a.db", "sqlite:////b/c.db"]),
    "providers.lab.vendor": st.sampled_from(["openai", "fake"]),
    "models.m.deployments": st.lists(st.sampled_from(["a", "b", "c/d"]), min_size=1),
}
LAYER = st.fixed_dictionaries({}, optional=SETTINGS)


def as_tree(flat: dict) -> dict:
    tree: dict = {}
    for path, value in flat.items():
        *parents, last = path.split(".")
        node = tree
        for step in parents:
            node = node.setdefault(step, {})
        node[last] = value
    return tree


@given(discovered=LAYER, file=LAYER, env=LAYER, flags=LAYER)
def test_later_layer_wins_and_origins_are_right(tmp_path_factory, discovered, file, env, flags):
    path: Path = tmp_path_factory.getbasetemp() / "layers.yaml"
    path.write_text(json.dumps(as_tree(file)), "utf-8")
    names = {setting: "INTELLIR_" + setting.upper().replace(".", "__") for setting in env}
    environ = {names[setting]: value if isinstance(value, str) else json.dumps(value) for setting, value in env.items()}
    loaded = load_config(path, environ=environ, overrides=flags, discovered=as_tree(discovered))
    shown = {item.path: item for item in effective_settings(loaded)}
    for setting in {*discovered, *file, *env, *flags}:
        value, origin = next(
            (layer[setting], origin)
            for layer, origin in (
                (flags, "flag"),
                (env, f"env {names.get(setting)}"),
                (file, f"file {path}:1"),
                (discovered, "discovered"),
            )
            if setting in layer
        )
        assert shown[setting].value == value
        assert shown[setting].origin.startswith(origin)
    untouched = {item.path for item in shown.values() if item.origin == "default"}
    assert not untouched & {*discovered, *file, *env, *flags}
