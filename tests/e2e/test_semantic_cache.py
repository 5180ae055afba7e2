"""The semantic cache of a real gateway, with the table that the extra installs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("wordllama", reason="the extra `semantic` is not installed")

from tests.e2e.test_cache import STREAMED, Vendor, post, reload, settings, status_of
from tests.support.gateway.fixtures import KEYS
from tests.support.gateway.process import GatewayProcess

QUESTION = "How do I reverse a list in Python?"
REWRITES = (
    "Hi, how do I reverse a list in Python?",
    "How do I reverse a list in Python? Thanks!",
    "In Python, how do I reverse a list?",
)
LAST = "Hello! How can I reverse a list in Python? Thank you!"


@pytest.fixture(scope="module")
def vendor() -> Iterator[Vendor]:
    found = Vendor()
    yield found
    found.stop()


def configured(vendor: Vendor) -> dict[str, Any]:
    """Return settings with which three right answers are enough, and none that is served is verified."""
    config = settings(vendor, semantic={"target_precision": 0.5, "verify_share": 0.0001})
    config["defaults"]["cache"] = "off"
    config["models"]["m"]["cache"] = "semantic"
    config["models"]["exact"] = {"deployments": ["priced"], "cache": "exact"}
    config["logging"]["level"] = "info"
    return config


def metrics(gateway: GatewayProcess) -> str:
    return httpx.get(f"{gateway.url}/metrics", headers={"authorization": f"Bearer {KEYS['admin']}"}).text


@STREAMED
def test_similar_requests_are_verified_and_then_served(vendor: Vendor, tmp_path: Path, stream: bool) -> None:
    before = vendor.calls
    vendor.constant = "Call reversed() or use a slice."
    with GatewayProcess(configured(vendor), tmp_path, admin_key=KEYS["admin"]) as gateway:
        asked = [post(gateway, text, stream=stream) for text in (QUESTION, *REWRITES)]
        assert [status_of(each) for each in asked] == ["miss"] * 4
        assert 'intellirouter_semantic_cache_state{model="m"} 1.0' in metrics(gateway)
        assert "The semantic cache of the model 'm' is on" in gateway.stderr()
        similar = post(gateway, LAST, stream=stream)
        assert (status_of(similar), vendor.calls - before) == ("similar", 4)
        assert similar.content in {each.content for each in asked}
        assert int(similar.headers["age"]) < 20
        record = gateway.record(similar.headers["x-request-id"])
        assert (record["cache"], record["cost_microusd"]) == ("similar", 0)
        assert record["saved_microusd"] > 0 or stream
        assert record["cache_similarity"] == pytest.approx(1.0)
        assert record["cache_source"] in {each.headers["x-request-id"] for each in asked}
        assert status_of(post(gateway, "How do I reverse a tuple in Python?", stream=stream)) == "miss"
        assert status_of(post(gateway, LAST, "bob", stream=stream)) == "miss", "another tenant"
        assert status_of(post(gateway, LAST, stream=stream, model="exact")) == "miss"
        reload(gateway, configured(vendor))
        assert status_of(post(gateway, f"{LAST} ", stream=stream)) == "similar", "a reload keeps what was measured"
    with GatewayProcess(configured(vendor), tmp_path, admin_key=KEYS["admin"]) as gateway:
        assert status_of(post(gateway, LAST, stream=stream)) == "miss", "the memory is empty after a restart"
        assert 'intellirouter_semantic_cache_state{model="m"} 0.0' in metrics(gateway)


def test_different_answers_turn_it_off(vendor: Vendor, tmp_path: Path) -> None:
    vendor.constant = None
    with GatewayProcess(configured(vendor), tmp_path, admin_key=KEYS["admin"]) as gateway:
        for text in (QUESTION, *REWRITES):
            assert status_of(post(gateway, text)) == "miss"
        assert 'intellirouter_semantic_cache_state{model="m"} 2.0' in metrics(gateway)
        assert status_of(post(gateway, LAST)) == "miss"
        assert "The semantic cache of the model 'm' is off for 600 s" in gateway.stderr()
