"""Settings of concurrency limits and queues: the nearest one applies, and what has no effect is reported."""

from pathlib import Path
from typing import Any

import pytest

from intellirouter.config import ConfigError, Runtime
from intellirouter.core import ConcurrencyPolicy, QueuePolicy, SlotPolicy
from tests.unit.config.test_breakers import FAKE, compiled

LOCAL = {"provider": "here", "artifact": "bundled:smollm2-135m"}
HOST = {"fake": {"vendor": "fake"}, "here": {"vendor": "host"}}


def limits(runtime: Runtime) -> dict[str, ConcurrencyPolicy | None]:
    return {name: each.slots and each.slots.concurrency for name, each in runtime.deployments.items()}


def test_there_is_no_limit_by_default(tmp_path: Path) -> None:
    runtime = compiled(tmp_path, deployments={"a": FAKE}, models={"m": {"deployments": ["a", "fake/ok"]}})
    assert limits(runtime) == {"a": None, "fake/ok": None}
    assert (runtime.default_slots, runtime.models["m"].queue_wait_s, runtime.warnings) == (None, None, ())


def test_nearest_setting_applies_member_by_member(tmp_path: Path) -> None:
    runtime = compiled(
        tmp_path,
        defaults={"concurrency": {"adaptive": True, "max": 50, "min": 2}, "queue": {"max": 9, "max_wait_s": 3}},
        deployments={
            "a": {**FAKE, "concurrency": {"max": 8, "adaptive": False}, "queue": {"max": 1}},
            "b": {**FAKE, "concurrency": {"tolerance": 2}},
            "c": {**FAKE, "concurrency": "off"},
        },
        models={"m": {"deployments": ["a", "fake/ok"], "queue": {"max_wait_s": 0.5}}},
    )
    adaptive = ConcurrencyPolicy(adaptive=True, max=50, min=2)
    assert runtime.deployments["a"].slots == SlotPolicy(
        concurrency=ConcurrencyPolicy(max=8, min=2), queue=QueuePolicy(max=1, max_wait_s=3)
    )
    assert runtime.deployments["b"].slots == SlotPolicy(
        concurrency=ConcurrencyPolicy(adaptive=True, max=50, min=2, tolerance=2), queue=QueuePolicy(max=9, max_wait_s=3)
    )
    assert runtime.deployments["c"].slots is None
    assert runtime.default_slots == runtime.deployments["fake/ok"].slots
    assert runtime.default_slots == SlotPolicy(concurrency=adaptive, queue=QueuePolicy(max=9, max_wait_s=3))
    assert runtime.models["m"].queue_wait_s == 0.5
    assert runtime.warnings == ()


@pytest.mark.parametrize("off", ["off", False, {"enabled": False}])
def test_off_removes_the_limit_and_on_brings_it_back(tmp_path: Path, off: Any) -> None:
    runtime = compiled(
        tmp_path,
        defaults={"concurrency": {"max": 5, "enabled": False}},
        deployments={"a": {**FAKE, "concurrency": {"max": 7}}, "b": {**FAKE, "concurrency": "on"}},
    )
    assert [each and each.max for each in limits(runtime).values()] == [None, 5]
    runtime = compiled(
        tmp_path, defaults={"concurrency": {"max": 5}}, deployments={"a": {**FAKE, "concurrency": off}, "b": FAKE}
    )
    assert [each and each.max for each in limits(runtime).values()] == [None, 5]


def test_environment_can_set_it(tmp_path: Path) -> None:
    environ = {"INTELLIR_DEPLOYMENTS__A__CONCURRENCY__MAX": "3", "INTELLIR_DEFAULTS__QUEUE__MAX": "4"}
    runtime = compiled(tmp_path, environ, deployments={"a": FAKE})
    assert runtime.deployments["a"].slots == SlotPolicy(concurrency=ConcurrencyPolicy(max=3), queue=QueuePolicy(max=4))


def test_local_model_gets_no_more_requests_than_it_has_slots(tmp_path: Path) -> None:
    runtime = compiled(
        tmp_path,
        providers=HOST,
        host={"slots": 2},
        deployments={
            "fixed": {**LOCAL, "concurrency": {"max": 8}},
            "small": {**LOCAL, "concurrency": {"max": 1}},
            "adaptive": {**LOCAL, "concurrency": {"adaptive": True}},
            "free": LOCAL,
            "a": {**FAKE, "concurrency": {"max": 8}},
        },
    )
    assert {name: each and each.max for name, each in limits(runtime).items()} == {
        "fixed": 2,
        "small": 1,
        "adaptive": 2,
        "free": None,
        "a": 8,
    }
    [warning] = runtime.warnings
    assert warning == (
        "deployments.fixed.concurrency.max: A local model processes host.slots requests at a time, so 2 is used."
    )


def test_settings_without_effect_are_reported(tmp_path: Path) -> None:
    runtime = compiled(
        tmp_path,
        defaults={"concurrency": {"initial": 3}, "queue": {"max": 3}},
        deployments={
            "a": {**FAKE, "concurrency": {"enabled": True}},
            "b": {**FAKE, "queue": {"max": 3}},
            "c": {**FAKE, "concurrency": {"adaptive": True, "min": 9, "max": 4}},
        },
    )
    assert runtime.warnings == (
        "defaults.concurrency.initial: This setting has no effect, because the limit is not adaptive.",
        "deployments.a.concurrency: There is no limit, because neither max nor adaptive is set.",
        "deployments.b.queue: This setting has no effect, because there is no concurrency limit.",
        "deployments.c.concurrency.min: It is larger than max, which is used instead.",
    )
    runtime = compiled(
        tmp_path,
        defaults={"queue": {"max": 3}},
        deployments={"a": FAKE},
        models={"m": {"deployments": ["a"], "queue": {"max_wait_s": 1}}},
    )
    assert runtime.warnings == (
        "defaults.queue: This setting has no effect, because there is no concurrency limit.",
        "models.m.queue: This setting has no effect, because there is no concurrency limit.",
    )


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ("concurrency", {"max": 0}),
        ("concurrency", {"tolerance": 0.9}),
        ("concurrency", 8),
        ("queue", {"max": -1}),
        ("queue", {"max_wait_s": 3601}),
        ("queue", {"min": 1}),
    ],
)
def test_impossible_values_are_problems(tmp_path: Path, where: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"deployments.a.{where}"):
        compiled(tmp_path, deployments={"a": {**FAKE, where: value}})


def test_priority_of_a_key_overrides_that_of_its_tenant(tmp_path: Path) -> None:
    def key(digit: str, **members: Any) -> dict[str, Any]:
        return {"key": f"sha256:{digit * 64}", **members}

    runtime = compiled(
        tmp_path,
        tenants={"jobs": {"priority": "batch"}, "people": {}},
        keys=[
            key("a", tenant="jobs"),
            key("b", tenant="jobs", priority="interactive"),
            key("c", tenant="people"),
            key("d", priority="batch"),
        ],
    )
    assert [each.priority for each in runtime.keys] == ["batch", "interactive", "normal", "batch"]
