"""Settings that only a restart can change keep the values of the start, and so does what depends on them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from intellirouter.config import Runtime
from intellirouter.roles import check
from intellirouter.roles.generation import Generations, SharedParts

Configure = Callable[..., Runtime]


@pytest.fixture
def configure(tmp_path: Path) -> Configure:
    def compiled(**sections: dict[str, Any]) -> Runtime:
        path = tmp_path / "config.yaml"
        path.write_text(json.dumps({"providers": {"fake": {"vendor": "fake"}}, **sections}))
        return check(path)

    return compiled


def generations(started_with: Runtime) -> Generations:
    return Generations(started_with, cast("SharedParts", None))  # nothing is built


def test_settings_that_need_a_restart_keep_the_values_of_the_start(configure: Configure) -> None:
    started = configure(server={"port": 9001}, host={"cache_dir": "/old"}, store={"url": "sqlite:///old.db"})
    changed = configure(
        server={"port": 9002, "drain_s": 7},
        host={"cache_dir": "/new", "run_dir": "/run/new", "threads": 3},
        store={"url": "sqlite:///new.db"},
    )
    effective = generations(started).effective(changed)
    assert (effective.server.port, effective.host.cache_dir, effective.host.run_dir) == (9001, "/old", None)
    assert effective.store == started.store
    assert (effective.server.drain_s, effective.host.threads) == (7, 3)
    assert generations(started).pending_restart(changed) == ("server.port", "host.cache_dir", "host.run_dir", "store")
    assert generations(started).pending_restart(started) == ()


@pytest.mark.parametrize(("old", "new", "is_required"), [("0.0.0.0", "127.0.0.1", True), ("127.0.0.1", "::", False)])
def test_a_new_address_does_not_change_whether_keys_are_required(
    configure: Configure, old: str, new: str, *, is_required: bool
) -> None:
    started, changed = configure(server={"host": old}), configure(server={"host": new})
    assert started.is_auth_required is is_required
    assert generations(started).effective(changed).is_auth_required is is_required


def test_keys_that_a_reload_adds_are_required(configure: Configure) -> None:
    changed = configure(keys=[{"key": "sha256:" + "0" * 64}])
    assert generations(configure()).effective(changed).is_auth_required is True


def test_required_keys_can_be_configured_with_a_reload(configure: Configure) -> None:
    changed = configure(auth={"required": True})
    assert generations(configure()).effective(changed).is_auth_required is True
