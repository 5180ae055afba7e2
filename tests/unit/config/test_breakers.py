"""Settings of circuit breakers and pools: the nearest one applies, `off` disables, and conflicts are reported."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from intellirouter.config import ConfigError, Runtime
from intellirouter.config.compile import compile_config
from intellirouter.config.load import load_config
from intellirouter.core import BreakerPolicy, PoolPolicy
from intellirouter.providers import VENDORS

FAKE: dict[str, Any] = {"provider": "fake", "model": "echo"}


def compiled(tmp_path: Path, environ: dict[str, str] | None = None, **sections: Any) -> Runtime:
    path = tmp_path / "intellirouter.yaml"
    path.write_text(yaml.safe_dump({"providers": {"fake": {"vendor": "fake"}}, **sections}))
    loaded = load_config(path, environ=environ or {})
    return compile_config(loaded.config, vendors=VENDORS, strategies=["priority"], environ={}, origins=loaded.origins)


def test_defaults_are_three_failures_in_a_row_and_ten_seconds(tmp_path: Path) -> None:
    runtime = compiled(tmp_path, deployments={"a": FAKE}, models={"m": {"deployments": ["a"]}})
    assert runtime.deployments["a"].breaker == runtime.default_breaker == BreakerPolicy()
    assert (runtime.default_breaker.consecutive_failures, runtime.default_breaker.open_s) == (3, 10.0)
    assert runtime.models["m"].pool == runtime.default_pool == PoolPolicy()


def test_nearest_setting_applies_member_by_member(tmp_path: Path) -> None:
    runtime = compiled(
        tmp_path,
        defaults={"breaker": {"open_s": 4, "error_rate": 0.4}, "pool": {"max_wait_s": 3, "outlier_gap": 0.2}},
        deployments={"a": {**FAKE, "breaker": {"open_s": 7}}, "b": FAKE, "c": FAKE},
        models={
            "m": {"deployments": ["a"], "fallbacks": ["b"], "breaker": {"open_s": 5, "consecutive_failures": 9}},
            "n": {"deployments": ["c", "fake/ok"], "pool": {"max_wait_s": 0}},
        },
    )
    found = {
        name: (each.breaker.open_s, each.breaker.consecutive_failures) for name, each in runtime.deployments.items()
    }
    assert found == {"a": (7.0, 9), "b": (5.0, 9), "c": (4.0, 3), "fake/ok": (4.0, 3)}
    assert {each.breaker.error_rate for each in runtime.deployments.values()} == {0.4}
    assert (runtime.models["m"].pool.max_wait_s, runtime.models["n"].pool.max_wait_s) == (3.0, 0.0)
    assert {each.pool.outlier_gap for each in runtime.models.values()} == {0.2}


@pytest.mark.parametrize("off", ["off", False, "OFF", {"enabled": False}])
@pytest.mark.parametrize("where", ["defaults", "models", "deployments"])
def test_off_disables_it_at_every_level_and_on_enables_it_again(tmp_path: Path, off: Any, where: str) -> None:
    sections: dict[str, Any] = {
        "defaults": {},
        "models": {"m": {"deployments": ["a"]}},
        "deployments": {"a": {**FAKE}, "b": {**FAKE, "breaker": True}},
    }
    section = sections[where]
    section = {"defaults": section, "models": section.get("m"), "deployments": section.get("a")}[where]
    section["breaker"] = off
    runtime = compiled(tmp_path, **sections)
    assert not runtime.deployments["a"].breaker.is_enabled
    assert runtime.deployments["b"].breaker.is_enabled


def test_environment_can_disable_it(tmp_path: Path) -> None:
    runtime = compiled(tmp_path, {"INTELLIR_DEFAULTS__BREAKER": "off"}, deployments={"a": FAKE})
    assert not runtime.deployments["a"].breaker.is_enabled
    runtime = compiled(tmp_path, {"INTELLIR_DEPLOYMENTS__A__BREAKER__OPEN_S": "2"}, deployments={"a": FAKE})
    assert runtime.deployments["a"].breaker.open_s == 2.0


def test_settings_that_another_one_overrides_are_reported(tmp_path: Path) -> None:
    runtime = compiled(
        tmp_path,
        deployments={"c": {**FAKE, "breaker": {"max_open_s": 5}}},
        models={
            "n": {"deployments": ["c"], "breaker": "off"},
            "o": {"deployments": ["c"], "breaker": {"open_s": 2}},
            "p": {"deployments": ["c"], "breaker": {"enabled": False}},
        },
    )
    assert not runtime.deployments["c"].breaker.is_enabled
    assert runtime.warnings == (
        "deployments.c.breaker.open_s: It is longer than max_open_s of the circuit breaker, which is used instead.",
        (
            "models.o.breaker: The deployment `c` has one circuit breaker, to which the settings of the model `n` "
            "apply. Set it for the deployment instead."
        ),
    )


@pytest.mark.parametrize(
    ("breaker", "message"),
    [
        ("never", "The value must be a mapping of settings."),
        ({"error_rate": 1.5}, "at most 1, not 1.5"),
        ({"open": 3}, "Did you mean `open_s`?"),
        ({"half_open_probes": 0}, "at least 1"),
    ],
)
def test_invalid_settings_are_rejected(tmp_path: Path, breaker: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compiled(tmp_path, deployments={"a": {**FAKE, "breaker": breaker}})
    assert message in str(caught.value)
