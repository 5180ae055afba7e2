"""Mistakes of the first hours: what the gateway says about them, and that they harm nobody else."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.gateway.process import GatewayProcess, chat_request, until

FAKE: dict[str, Any] = {"vendor": "fake"}
# The address is not called: only the names of its models matter.
OPENAI: dict[str, Any] = {"vendor": "openai", "base_url": "http://127.0.0.1:9/v1", "credential": "env:A", "models": "*"}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    config = {
        "providers": {"fake": FAKE, "openai": OPENAI},
        "deployments": {"echo": {"provider": "fake", "model": "echo"}},
        "models": {"cached": {"deployments": ["echo"], "cache": "exact"}},
    }
    directory = tmp_path_factory.mktemp("first-hours")
    with GatewayProcess(config, directory, environment={"A": "sk-a"}) as running:
        yield running


def ask(gateway: GatewayProcess, model: str, **members: Any) -> httpx.Response:
    return httpx.post(f"{gateway.base_url}/chat/completions", json=chat_request("hello", model, **members), timeout=20)


@pytest.mark.parametrize("is_stream", [False, True])
def test_chat_with_an_embedding_model_does_not_take_it_away_from_others(
    gateway: GatewayProcess, is_stream: bool
) -> None:
    for _ in range(4):
        answer = ask(gateway, "fake/embed", stream=is_stream)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "unsupported_feature")
        assert "not a chat model" in answer.json()["error"]["message"]
    assert gateway.get("/api/v1/health").json()["services"]["circuits"] == []
    embedded = httpx.post(f"{gateway.base_url}/embeddings", json={"model": "fake/embed", "input": "a"}, timeout=20)
    assert embedded.headers["x-intellirouter-reason"] == "priority 1"


@pytest.mark.parametrize("asked", ["gpt-4o", "opnai/gpt-4o"])
def test_model_of_a_provider_is_found_by_its_own_name(gateway: GatewayProcess, asked: str) -> None:
    message = ask(gateway, asked).json()["error"]["message"]
    assert "Did you mean `openai/gpt-4o`?" in message


def test_list_of_requests_tells_hits_from_misses(gateway: GatewayProcess) -> None:
    for _ in range(2):
        assert ask(gateway, "cached").status_code == 200

    def caches() -> list[str]:
        page = gateway.get("/api/v1/requests", model="cached").json()
        return [each["cache"] for each in page["requests"]]

    assert until(lambda: found if len(found := caches()) == 2 else None, "both requests are listed") == ["hit", "miss"]
