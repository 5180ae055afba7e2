"""Price lists: checked, installed next to the database, and used after a reload. Configured prices take precedence."""

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from intellirouter.testing import MockVendor
from tests.support.gateway.process import PROGRAM, GatewayProcess, chat_request, until

STATED = {"input_per_1m_usd": 1.5, "output_per_1m_usd": 6.25}


def listed(input_usd: float, context_tokens: int) -> list[dict[str, Any]]:
    """Return a list in the format of genai-prices with one OpenAI model."""
    model = {
        "id": "brand-new",
        "match": {"starts_with": "brand-new"},
        "context_window": context_tokens,
        "prices": {"input_mtok": input_usd, "output_mtok": 8},
    }
    return [{"id": "openai", "name": "OpenAI", "api_pattern": "openai", "models": [model]}]


def configured(vendor: MockVendor, **more: Any) -> dict[str, Any]:
    provider = {"vendor": "openai", "base_url": vendor.base_url, "credentials": [], "models": "*"}
    deployments = {
        "fresh": {"provider": "openai", "model": "brand-new-1"},
        "stated": {"provider": "openai", "model": "brand-new-1", "price": STATED, "context_tokens": 99},
    }
    return {"providers": {"openai": provider}, "deployments": deployments, **more}


def refresh(gateway: GatewayProcess, document: Any, *options: str) -> subprocess.CompletedProcess[str]:
    file = gateway.directory / "newer.json"
    file.write_text(json.dumps(document))
    asked = [*PROGRAM, "catalog", "refresh", str(file), "--config", str(gateway.config_file), "--format", "json"]
    return subprocess.run([*asked, *options], capture_output=True, text=True, cwd=gateway.directory, timeout=30)


def known(gateway: GatewayProcess, name: str) -> tuple[str | None, int | None]:
    """Return input price and context length of a deployment according to the control plane."""
    rows = {row["name"]: row for row in gateway.get("/api/v1/models").json()["models"]}
    price = rows[name]["price"]
    return None if price is None else price["input_per_1m_usd"], rows[name]["context_tokens"]


def cost_of(gateway: GatewayProcess, model: str) -> tuple[str, dict[str, Any]]:
    answer = httpx.post(f"{gateway.base_url}/chat/completions", json=chat_request(model=model), timeout=10)
    assert answer.status_code == 200
    return answer.headers["x-intellirouter-cost-usd"], gateway.record(answer.headers["x-request-id"])


def test_refreshed_price_list_is_used_after_a_reload(vendor: MockVendor, tmp_path: Path) -> None:
    with GatewayProcess(configured(vendor), tmp_path) as gateway:
        assert cost_of(gateway, "fresh")[0] == "unknown"
        assert known(gateway, "fresh") == (None, None)

        refused = refresh(gateway, {"not": "a list"})
        assert refused.returncode == 1
        assert "not a valid price list" in refused.stderr
        checked = refresh(gateway, listed(2, 5000), "--check")
        assert (checked.returncode, json.loads(checked.stdout)["installed"]) == (0, None)
        assert not list(tmp_path.glob("*.catalog.json"))

        done = refresh(gateway, listed(2, 5000))
        assert done.returncode == 0, done.stderr
        printed = json.loads(done.stdout)
        assert printed["added"] == ["openai/brand-new"]
        assert Path(printed["installed"]) == gateway.database.with_suffix(".catalog.json")
        assert known(gateway, "fresh") == (None, None)  # not before the reload
        gateway.signal(signal.SIGHUP)
        until(lambda: known(gateway, "fresh") == ("2.000000", 5000), "the new list is used")

        cost, record = cost_of(gateway, "fresh")
        usage = record["usage"]
        assert record["cost_microusd"] == 2 * usage["input_tokens"] + 8 * usage["output_tokens"] > 0
        assert cost == record["cost_usd"]
        assert record["price_version"] == printed["version"]
        assert known(gateway, "stated") == ("1.500000", 99)
        assert cost_of(gateway, "stated")[1]["price_version"] == "config"
        assert cost_of(gateway, "openai/brand-new-2")[1]["price_version"] == printed["version"]
        assert cost_of(gateway, "openai/gpt-4o")[0] == "unknown"  # the list in use does not have it


def test_reload_with_an_invalid_price_list_changes_nothing(vendor: MockVendor, tmp_path: Path) -> None:
    file = tmp_path / "prices.json"
    file.write_text(json.dumps(listed(3, 700)))
    with GatewayProcess(configured(vendor, catalog={"file": str(file)}), tmp_path) as gateway:
        assert known(gateway, "fresh") == ("3.000000", 700)
        file.write_text("[]")
        gateway.signal(signal.SIGHUP)
        until(lambda: "was not reloaded. catalog.file" in gateway.stderr(), "the reload is rejected")
        assert known(gateway, "fresh") == ("3.000000", 700)
        file.write_text(json.dumps(listed(4, 800)))
        gateway.signal(signal.SIGHUP)
        until(lambda: known(gateway, "fresh") == ("4.000000", 800), "the corrected list is used")
        refused = refresh(gateway, listed(5, 900))
        assert refused.returncode == 1
        assert "catalog.file" in refused.stderr


@pytest.mark.parametrize("content", [None, "[]", "nonsense"])
def test_gateway_does_not_start_with_an_invalid_price_list(
    vendor: MockVendor, tmp_path: Path, content: str | None
) -> None:
    file = tmp_path / "prices.json"
    if content is not None:
        file.write_text(content)
    config = tmp_path / "config.yaml"
    config.write_text(json.dumps(configured(vendor, catalog={"file": str(file)})))
    asked = [*PROGRAM, "serve", "--config", str(config), "--port", "0"]
    done = subprocess.run(asked, capture_output=True, text=True, cwd=tmp_path, timeout=30)
    assert done.returncode == 3
    assert "catalog.file" in done.stderr
    assert "catalog refresh --check" in done.stderr
