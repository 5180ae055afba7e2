"""Lists of models in every dialect: what wildcard providers offer, and only what the key may use."""

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from intellirouter.testing import MockVendor
from tests.support.gateway.fixtures import KEYS, digest
from tests.support.gateway.process import PROGRAM, GatewayProcess, chat_request, until

OFFERED = ["mock-large", "mock-small", "mock-embed"]
SCOPED = "sk-scoped-0123456789abcdef"
INTERVAL_S = 1


def providers(vendor: MockVendor, directory: Path) -> dict[str, Any]:
    credential = directory / "credential"
    credential.write_text("sk-upstream-0123456789")
    common: dict[str, Any] = {"credentials": [f"file:{credential}"], "models": "*"}
    return {
        "lab": {"vendor": "openai-compatible", "base_url": f"{vendor.url}/v1", **common},
        "claude": {"vendor": "anthropic", "base_url": vendor.url, **common},
        "gem": {"vendor": "gemini", "base_url": f"{vendor.url}/v1beta", **common},
        "llama": {"vendor": "ollama", "base_url": vendor.url, **common},
        "blind": {"vendor": "openai-compatible", "base_url": f"{vendor.url}/none", **common},
        "closed": {"vendor": "openai-compatible", "base_url": f"{vendor.url}/v1", "credentials": []},
    }


def config(vendor: MockVendor, directory: Path) -> dict[str, Any]:
    return {
        "providers": providers(vendor, directory),
        "deployments": {
            "large": {"provider": "closed", "model": "m", "context_tokens": 100_000, "capabilities": ["chat", "tools"]},
            "small": {"provider": "closed", "model": "n", "context_tokens": 8_000, "capabilities": ["chat"]},
        },
        "models": {"pool": {"deployments": ["large", "small"]}},
        "catalog": {"discovery_interval_s": INTERVAL_S},
        "keys": [
            {"key": digest(KEYS["admin"]), "name": "admin", "grants": ["admin"]},
            {"key": digest(SCOPED), "name": "scoped", "models": [f"lab/{OFFERED[0]}", "pool"]},
        ],
    }


@pytest.fixture(scope="module")
def vendor() -> Iterator[MockVendor]:
    with MockVendor() as vendor:
        yield vendor


@pytest.fixture(scope="module")
def gateway(vendor: MockVendor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    directory = tmp_path_factory.mktemp("lists")
    with GatewayProcess(config(vendor, directory), directory, admin_key=KEYS["admin"]) as gateway:
        wait_for_lists(gateway)
        yield gateway


def wait_for_lists(gateway: GatewayProcess) -> None:
    until(
        lambda: sum(each["state"] == "ok" for each in health(gateway)["model_lists"]) >= 4,
        "the lists are fetched",
        30,
    )


def get(gateway: GatewayProcess, path: str, key: str = KEYS["admin"], **headers: str) -> Any:
    sent = {"authorization": f"Bearer {key}", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return httpx.get(gateway.url + path, headers=sent).json()


def health(gateway: GatewayProcess) -> Any:
    return get(gateway, "/api/v1/health")


def names(gateway: GatewayProcess, key: str = KEYS["admin"]) -> dict[str, set[str]]:
    """Return the names in the list of each dialect."""
    gemini = get(gateway, "/v1beta/models?pageSize=1000", key)["models"]
    anthropic = get(gateway, "/v1/models?limit=1000", key, anthropic_version="2023-06-01")["data"]
    return {
        "openai": {each["id"] for each in get(gateway, "/v1/models", key)["data"]},
        "anthropic": {each["id"] for each in anthropic},
        "gemini": {each["name"].removeprefix("models/") for each in gemini},
        "ollama": {each["name"] for each in get(gateway, "/api/tags", key)["models"]},
    }


def test_every_dialect_lists_what_wildcards_reach(gateway: GatewayProcess) -> None:
    found = names(gateway)
    own = {"pool", "large", "small", "closed/m", "closed/n"}
    for dialect, listed in found.items():
        assert own <= listed, dialect
        assert {f"lab/{name}" for name in OFFERED} <= listed, dialect
        assert {name.partition("/")[0] for name in listed - own} == {"lab", "claude", "gem", "llama"}, dialect
    assert len(set(map(frozenset, found.values()))) == 1
    table = {each["name"] for each in get(gateway, "/api/v1/models")["models"]}
    assert found["openai"] <= table


def test_a_key_sees_only_what_it_may_use(gateway: GatewayProcess) -> None:
    for dialect, listed in names(gateway, SCOPED).items():
        assert listed == {"pool", f"lab/{OFFERED[0]}"}, dialect
    rows = {each["name"] for each in get(gateway, "/api/v1/models", SCOPED)["models"]}
    assert rows == {"pool", f"lab/{OFFERED[0]}", "lab/*"}
    for path in (f"/v1/models/lab/{OFFERED[1]}", f"/v1beta/models/lab/{OFFERED[1]}"):
        assert get(gateway, path, SCOPED)["error"]
        assert "error" not in get(gateway, path)


def test_a_single_model_can_be_retrieved_and_called(gateway: GatewayProcess) -> None:
    name = f"lab/{OFFERED[0]}"
    assert get(gateway, f"/v1/models/{name}")["owned_by"] == "lab"
    authorized = {"authorization": f"Bearer {KEYS['admin']}"}
    shown = httpx.post(f"{gateway.url}/api/show", json={"model": name}, headers=authorized)
    assert shown.status_code == 200
    called = httpx.post(f"{gateway.base_url}/chat/completions", json=chat_request("hi", "lab/echo"), headers=authorized)
    assert called.status_code == 200


def test_a_pool_has_what_every_member_has(gateway: GatewayProcess) -> None:
    assert get(gateway, "/v1beta/models/pool")["inputTokenLimit"] == 8_000
    assert get(gateway, "/v1/models/pool", anthropic_version="2023-06-01")["max_input_tokens"] == 8_000
    shown = httpx.post(
        f"{gateway.url}/api/show", json={"model": "pool"}, headers={"authorization": f"Bearer {KEYS['admin']}"}
    ).json()
    assert shown["capabilities"] == ["completion"]
    assert 8_000 in shown["model_info"].values()
    [row] = [each for each in get(gateway, "/api/v1/models")["models"] if each["name"] == "pool"]
    assert (row["context_tokens"], row["capabilities"]) == (8_000, ["chat"])
    assert {name: each["context_tokens"] for name, each in row["members"].items()} == {"large": 100_000, "small": 8_000}


def test_a_provider_without_a_list_is_a_warning(gateway: GatewayProcess) -> None:
    report = health(gateway)
    states = {each["name"]: each["state"] for each in report["model_lists"]}
    assert states == {"lab": "ok", "claude": "ok", "gem": "ok", "llama": "ok", "blind": "unavailable"}
    assert report["status"] == "healthy"
    expected = "providers.blind.models: The models of the provider are not listed. "
    assert [warning for warning in report["warnings"] if warning.startswith(expected)]
    command = [*PROGRAM, "health", "-v", "--url", gateway.url, "--api-key", KEYS["admin"]]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert "blind" in shown.stdout, shown.stderr


def test_a_slow_vendor_delays_nothing_and_a_reload_applies(vendor: MockVendor, tmp_path: Path) -> None:
    with MockVendor() as slow:
        slow.fault("hang")
        settings = config(vendor, tmp_path)
        settings["providers"]["slow"] = {**settings["providers"]["lab"], "base_url": f"{slow.url}/v1"}
        with GatewayProcess(settings, tmp_path, admin_key=KEYS["admin"]) as gateway:
            wait_for_lists(gateway)
            assert not any(name.startswith("slow/") for name in names(gateway)["openai"])
            slow.clear()
            del settings["providers"]["lab"]
            gateway.configure(settings)
            gateway.signal(signal.SIGHUP)
            until(lambda: not any(each.startswith("lab/") for each in names(gateway)["openai"]), "the list is dropped")
            assert "lab" not in {each["name"] for each in health(gateway)["model_lists"]}
