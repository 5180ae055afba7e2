"""The configuration of the gateway: one model for each kind of load, each with deployments at all vendors."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from intellirouter.testing import MockVendor

UPSTREAM_MODEL: Final = "mock-large"
"""All deployments answer with this name, so it does not matter which one has answered."""
PLAIN, HEDGED, CACHED, SLOW, LINES = MODELS = ("plain", "hedged", "cached", "slow", "lines")
SLOW_MODEL: Final = "mock-slow"
"""The vendors send its streams slowly, so that clients have time to leave."""
CACHE_BYTES: Final = 1024 * 1024
"""So small that it is full after some minutes."""


def configuration(vendors: Sequence[MockVendor], work_dir: Path) -> dict[str, Any]:
    """Return the configuration. Each vendor has another dialect."""
    openai, anthropic, gemini = vendors
    credential = work_dir / "credential"
    credential.write_text("sk-bench-0123456789", encoding="utf-8")
    credentials = [f"file:{credential}"]
    providers = {
        "openai": {"vendor": "openai-compatible", "base_url": openai.base_url},
        "anthropic": {"vendor": "anthropic", "base_url": anthropic.url, "credentials": credentials},
        "gemini": {"vendor": "gemini", "base_url": f"{gemini.url}/v1beta", "credentials": credentials},
    }
    deployments: dict[str, Any] = {}
    models: dict[str, Any] = {}
    for model in MODELS:
        upstream = SLOW_MODEL if model == SLOW else UPSTREAM_MODEL
        own = {f"{model}-{name}": {"provider": name, "model": upstream} for name in providers}
        deployments |= own
        models[model] = {"deployments": list(own), "strategy": "round_robin"}
    models[HEDGED] |= {"hedging": {"after": 0.05, "max_share": 1}}
    models[CACHED] |= {"cache": "exact"}
    return {
        "defaults": {
            "retries": 2,
            "backoff": {"base_s": 0.05, "max_s": 0.5},
            "timeouts": {"connect_s": 1, "first_token_s": 1, "idle_s": 1, "total_s": 10},
        },
        "cache": {"max_bytes": CACHE_BYTES},
        "providers": providers,
        "deployments": deployments,
        "models": models,
        "logging": {"level": "error"},
    }
