"""The configuration of the gateway and the vendor for client tests: one provider per upstream dialect."""

import hashlib
from pathlib import Path
from typing import Any

from intellirouter.testing import MockVendor

CREDENTIAL = "sk-upstream"
KEY = "sk-client-0123456789abcdef"
ADMIN_KEY = "sk-admin-0123456789abcdef"
MAGIC = (
    "dripping",
    "embed",
    "error-400",
    "error-429",
    "error-500",
    "error-503",
    "flaky",
    "gen-400",
    "hang",
    "drop",
    "no-such-model",
    "pausing",
    "slow-1500",
    "think",
    "tools",
)
"""Fake models; each is available as `via-X-NAME`."""

UPSTREAMS: dict[str, dict[str, str]] = {
    "via-openai": {"vendor": "openai-compatible", "base_url": "/v1"},
    "via-responses": {"vendor": "openai-compatible", "base_url": "/v1", "dialect": "openai_responses"},
    "via-anthropic": {"vendor": "anthropic", "base_url": ""},
    "via-gemini": {"vendor": "gemini", "base_url": "/v1beta"},
    "via-ollama": {"vendor": "ollama", "base_url": ""},
}
"""Providers by public model name; `base_url` is relative to MockVendor's address."""


PING_S = 0.3
"""After which silence of a stream the gateway sends a ping."""


def add_faults(vendor: MockVendor) -> None:
    """Make the model `dripping` slow, and `pausing` silent before each piece for longer than `PING_S`."""
    vendor.fault("slow_drip", match={"model": "dripping"}, delay_s=0.02)
    vendor.fault("slow_drip", match={"model": "pausing"}, delay_s=1.4, bytes=500)


def gateway_config(vendor: MockVendor, directory: Path) -> dict[str, Any]:
    """Write the credential into `directory` and return the configuration.

    The gateway does not retry, so that the retries of the clients are visible.
    """
    credential = directory / "credential"
    credential.write_text(CREDENTIAL)
    providers: dict[str, Any] = {}
    deployments: dict[str, Any] = {}
    models: dict[str, Any] = {}
    for name, provider in UPSTREAMS.items():
        providers[name] = {
            **provider,
            "base_url": vendor.url + provider["base_url"],
            "credentials": [f"file:{credential}"],
            "headers": {"x-upstream": name},
        }
        for suffix, model in [("", "mock-large"), *((f"-{magic}", magic) for magic in MAGIC)]:
            deployments[f"{name}{suffix}-deployment"] = {"provider": name, "model": model}
            models[name + suffix] = {"deployments": [f"{name}{suffix}-deployment"]}
    return {
        "defaults": {"retries": 0},
        "providers": providers,
        "deployments": deployments,
        "models": models,
        "keys": [
            {"key": _digest(KEY), "name": "client"},
            {"key": _digest(ADMIN_KEY), "name": "admin", "grants": ["admin"]},
        ],
        "auth": {"required": True},
        "server": {"first_ping_s": PING_S, "stream_ping_s": PING_S},
        "answers": {"model_name": "requested"},
    }


def _digest(key: str) -> str:
    return "sha256:" + hashlib.sha256(key.encode()).hexdigest()
