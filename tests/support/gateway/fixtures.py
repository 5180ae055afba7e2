"""The gateway and the vendor that most tests share. The gateway requires one of `KEYS`."""

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest

from intellirouter.testing import MockVendor
from tests.support.gateway.process import GatewayProcess

KEYS = {
    "admin": "sk-admin-0123456789abcdef",
    "ann": "sk-ann-0123456789abcdef01",
    "bob": "sk-bob-0123456789abcdef01",
    "narrow": "sk-narrow-0123456789abcdef",
    "late": "sk-late-0123456789abcdef0",
}
INPUT_USD, OUTPUT_USD = 1.5, 6.25
"""Prices of the deployment `priced` per million tokens."""
MAX_BODY_BYTES = 256 * 1024
BODY_TIMEOUT_S = 0.4


def digest(key: str) -> str:
    return "sha256:" + hashlib.sha256(key.encode()).hexdigest()


def key_rows() -> list[dict[str, Any]]:
    return [
        {"key": digest(KEYS["admin"]), "name": "admin", "grants": ["admin"]},
        {"key": digest(KEYS["ann"]), "name": "ann", "tenant": "north"},
        {"key": digest(KEYS["bob"]), "name": "bob", "tenant": "south"},
        {"key": digest(KEYS["narrow"]), "name": "narrow", "models": ["fake/*"]},
        {"key": digest(KEYS["late"]), "name": "late", "expires": "2020-01-01T00:00:00"},
    ]


def base_config(vendor: MockVendor) -> dict[str, Any]:
    """Return a configuration with every kind of model name and short timeouts."""
    return {
        "server": {"max_body_bytes": MAX_BODY_BYTES, "body_timeout_s": BODY_TIMEOUT_S},
        "defaults": {"retries": 1, "backoff": {"base_s": 0.01, "max_s": 0.05}, "pool": {"max_wait_s": 0}},
        "providers": {
            "mock": {"vendor": "openai-compatible", "base_url": vendor.base_url, "models": "*"},
            "fake": {"vendor": "fake"},
        },
        "deployments": {
            "priced": {
                "provider": "mock",
                "model": "priced-upstream",
                "price": {"input_per_1m_usd": INPUT_USD, "output_per_1m_usd": OUTPUT_USD},
            },
            "plain": {"provider": "mock", "model": "plain-upstream"},
            "failing": {"provider": "fake", "model": "error-503", "breaker": "off"},
        },
        "models": {
            "assistant": {"deployments": ["priced"], "fallbacks": ["plain"]},
            "team/deep/name": {"deployments": ["plain"]},
            "limited": {"deployments": ["failing"], "fallbacks": ["plain"]},
        },
        "tenants": {"north": {}, "south": {}},
        "keys": key_rows(),
        "auth": {"required": True},
        "logging": {"level": "debug"},
    }


@pytest.fixture(scope="session")
def vendor() -> Iterator[MockVendor]:
    with MockVendor() as running:
        yield running


@pytest.fixture(scope="session")
def gateway(vendor: MockVendor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """A shared gateway. A test that adds a fault to the vendor must limit it to its own model name."""
    directory = tmp_path_factory.mktemp("gateway")
    with GatewayProcess(base_config(vendor), directory, admin_key=KEYS["admin"]) as running:
        yield running
