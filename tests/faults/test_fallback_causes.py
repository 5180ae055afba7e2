"""Fallbacks by cause, with a vendor that fails in each way: only the fallback for the cause answers."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from intellirouter.testing import MockVendor
from tests.support.gateway.process import GatewayProcess, chat_request
from tests.support.gateway.raw_http import RawConnection

TOO_LONG = {"status": 400, "code": "context_length_exceeded"}
UNSAFE = {"status": 400, "code": "content_policy_violation"}
FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "too-long": ({"kind": "error", **TOO_LONG}, "context_length"),
    "unsafe": ({"kind": "error", **UNSAFE}, "content_policy"),
    "silent": ({"kind": "hang"}, "timeout"),
    "limited": ({"kind": "rate_limit", "retry_after_s": 30}, "rate_limit"),
    "refused": ({"kind": "error", "status": 401}, "credential"),
    "down": ({"kind": "error", "status": 500}, "error"),
}
CAUSES = [cause for _, cause in FAULTS.values()]
PATHS = {
    "chat": ("/v1/chat/completions", chat_request("hi there")),
    "messages": ("/v1/messages", {"messages": [{"role": "user", "content": "hi there"}], "max_tokens": 50}),
    "responses": ("/v1/responses", {"input": "hi there"}),
    "ollama": ("/api/chat", {"messages": [{"role": "user", "content": "hi there"}]}),
}


def configuration(vendor: MockVendor) -> dict[str, Any]:
    short = {"first_token_s": 0.3, "idle_s": 0.3, "total_s": 5}
    deployments: dict[str, Any] = {
        cause: {"provider": "mock", "model": f"for-{cause}", "breaker": "off"} for cause in CAUSES
    }
    models: dict[str, Any] = {}
    for name in FAULTS:
        deployments[f"bad-{name}"] = {"provider": "mock", "model": f"bad-{name}", "timeouts": short, "breaker": "off"}
        fallbacks = [{"deployment": cause, "on": [cause]} for cause in CAUSES]
        models[name] = {"deployments": [f"bad-{name}"], "fallbacks": fallbacks}
    return {
        "defaults": {"retries": 0, "pool": {"max_wait_s": 0}},
        "providers": {"mock": {"vendor": "openai-compatible", "base_url": vendor.base_url}},
        "deployments": deployments,
        "models": models,
    }


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with MockVendor() as vendor:
        for name, (fault, _) in FAULTS.items():
            vendor.fault(match={"model": f"bad-{name}"}, **fault)
        with GatewayProcess(configuration(vendor), tmp_path_factory.mktemp("causes")) as running:
            yield running


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", FAULTS)
def test_only_the_fallback_for_the_cause_answers(gateway: GatewayProcess, name: str, path: str, stream: bool) -> None:
    url, body = PATHS[path]
    with RawConnection(gateway.port) as link:
        answer = link.post(json.dumps(body | {"model": name, "stream": stream}).encode(), url)
    assert answer.status == 200, answer.body
    cause = FAULTS[name][1]
    record = gateway.record(answer.headers["x-request-id"])
    attempts = [(each["deployment"], each["kind"]) for each in record["attempts"]]
    if name == "limited" and attempts[0][0] == cause:  # Retry-After of an earlier request still applies
        assert attempts == [(cause, "first")]
    else:
        assert attempts == [(f"bad-{name}", "first"), (cause, "fallback")]


def test_explain_names_the_causes(gateway: GatewayProcess) -> None:
    with RawConnection(gateway.port) as link:
        plan = link.post(json.dumps(chat_request(model="down")).encode(), "/api/v1/explain").json()["plan"]
    assert plan[0] == {"deployment": "bad-down", "kind": "pool", "tries": 1}
    assert plan[1] == {"deployment": "context_length", "kind": "fallback", "on": ["context_length"], "tries": 1}
