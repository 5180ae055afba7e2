"""Faults with every strategy: a failure before the first content is not visible to the client."""

import itertools
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from intellirouter.testing import MockVendor
from tests.support.gateway.process import GatewayProcess, chat_request
from tests.support.gateway.raw_http import Answer, RawConnection

STRATEGIES = ("priority", "round_robin", "weighted", "least_busy", "power_of_two", "latency", "cost")
SHORT_S = 0.3
"""Timeouts of the failing deployments."""
FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "error": ({"kind": "error", "status": 500}, "upstream_unavailable"),
    "unavailable": ({"kind": "error", "status": 503}, "upstream_unavailable"),
    "limited": ({"kind": "rate_limit", "retry_after_s": 30}, "rate_limit_exceeded"),
    "quota": ({"kind": "error", "status": 429, "code": "insufficient_quota"}, "insufficient_quota"),
    "credential": ({"kind": "error", "status": 401}, "upstream_authentication_failed"),
    "silent": ({"kind": "hang"}, "upstream_timeout"),
    "cut-before-headers": ({"kind": "drop"}, "upstream_disconnected"),
    "reset-before-headers": ({"kind": "reset"}, "upstream_disconnected"),
    "cut-before-content": ({"kind": "drop", "at": "body", "after_bytes": 10}, "upstream_disconnected"),
    "no-json": ({"kind": "malformed", "how": "json"}, "upstream_malformed"),
    "html": ({"kind": "malformed", "how": "html"}, "upstream_malformed"),
    "empty": ({"kind": "malformed", "how": "empty"}, "upstream_malformed"),
    "endless-headers": ({"kind": "huge", "what": "headers", "size_mib": 0.2}, "upstream_malformed"),
    "error-in-200": ({"kind": "error_in_200"}, "upstream_unavailable"),
}
STATUS = {
    "upstream_unavailable": {502, 503},
    "rate_limit_exceeded": {429},
    "insufficient_quota": {429},
    "upstream_authentication_failed": {502},
    "upstream_timeout": {504},
    "upstream_disconnected": {502},
    "upstream_malformed": {502},
}
LATE_FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "cut-in-content": ({"kind": "drop", "at": "events", "after_events": 3}, "upstream_disconnected"),
    "reset-in-content": ({"kind": "reset", "at": "events", "after_events": 3}, "upstream_disconnected"),
    "silent-in-content": ({"kind": "hang", "after_events": 3}, "upstream_timeout"),
    "error-in-content": ({"kind": "error_in_stream", "after_events": 2}, "upstream_unavailable"),
    "no-finish": ({"kind": "malformed", "how": "no_finish_reason"}, ""),
}
GOOD_TIMEOUTS = {"first_token_s": 10, "idle_s": 10, "total_s": 20}
BAD_TIMEOUTS = {"connect_s": 1, "first_token_s": SHORT_S, "idle_s": SHORT_S, "total_s": 5}


def two_deployments(name: str, fault: str) -> dict[str, Any]:
    """A failing and a working deployment. Every strategy prefers the failing one until it has seen failures."""
    cheap, dear = {"input_per_1m_usd": 0, "output_per_1m_usd": 0}, {"input_per_1m_usd": 1, "output_per_1m_usd": 1}
    bad = {"model": f"bad-{fault}", "weight": 1_000_000, "price": cheap, "timeouts": BAD_TIMEOUTS}
    good = {"model": "good", "weight": 0.001, "price": dear, "timeouts": GOOD_TIMEOUTS}
    return {f"{name}-bad": {"provider": "mock", **bad}, f"{name}-good": {"provider": "mock", **good}}


def case(*parts: object) -> str:
    return "-".join(str(part) for part in parts).lower()


def configuration(vendor: MockVendor) -> dict[str, Any]:
    deployments: dict[str, Any] = {}
    models: dict[str, Any] = {}
    for strategy, fault, stream in itertools.product(STRATEGIES, FAULTS, (False, True)):
        name = case(strategy, fault, stream)
        pair = two_deployments(name, fault)
        deployments |= pair
        models[name] = {"deployments": list(pair), "strategy": strategy}
    for fault, stream in itertools.product(FAULTS, (False, True)):
        pair = two_deployments(case("all", fault, stream), fault)
        deployments |= pair
        models[case("all", fault, stream)] = {"deployments": list(pair)[:1], "retries": 1}
        models[case("rescued", fault, stream)] = {
            "deployments": list(pair)[:1],
            "fallbacks": list(pair)[1:],
            "retries": 0,
        }
    for fault in LATE_FAULTS:
        pair = two_deployments(case("late", fault), fault)
        deployments |= pair
        models[case("late", fault)] = {"deployments": list(pair)}
    mixed = [case("all", fault, False) + "-bad" for fault in ("error", "no-json")]
    models["mixed"] = {"deployments": mixed, "retries": 0}
    for how in ("announce", "idle", "next_request"):
        deployments[f"closing-{how}"] = {"provider": "mock", "model": f"closing-{how}"}
    deployments["slow-start"] = {"provider": "mock", "model": "slow-start"}
    return {
        "defaults": {"retries": 1, "backoff": {"base_s": 0.01, "max_s": 0.05}},
        "providers": {"mock": {"vendor": "openai-compatible", "base_url": vendor.base_url}},
        "deployments": deployments,
        "models": models,
    }


@pytest.fixture(scope="module")
def broken_vendor() -> Iterator[MockVendor]:
    with MockVendor() as vendor:
        for name, (fault, _) in (FAULTS | LATE_FAULTS).items():
            vendor.fault(match={"model": f"bad-{name}"}, **fault)
        for how in ("announce", "idle", "next_request"):
            vendor.fault("close_after", match={"model": f"closing-{how}"}, how=how)
        vendor.fault("slow_first_token", match={"model": "slow-start"}, delay_s=0.5)
        yield vendor


@pytest.fixture(scope="module")
def router(broken_vendor: MockVendor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with GatewayProcess(configuration(broken_vendor), tmp_path_factory.mktemp("failover")) as running:
        yield running


@pytest.fixture
def link(router: GatewayProcess) -> Iterator[RawConnection]:
    with RawConnection(router.port) as connection:
        yield connection


def post(link: RawConnection, model: str, *, stream: bool) -> Answer:
    return link.post(json.dumps(chat_request("hi there", model, stream=stream)).encode())


def events(answer: Answer) -> list[str]:
    """Return the data of each event of a stream."""
    assert answer.headers["content-type"].startswith("text/event-stream")
    return [part.removeprefix("data: ") for part in answer.body.decode().split("\n\n") if part]


def text_of(answer: Answer, *, stream: bool) -> str:
    if not stream:
        return str(answer.json()["choices"][0]["message"]["content"])
    *chunks, last = events(answer)
    assert last == "[DONE]"
    return "".join(json.loads(chunk)["choices"][0]["delta"].get("content") or "" for chunk in chunks)


def outcomes(record: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return the attempts, but not the repetition on a new connection: it depends on whether one was pooled."""
    attempts = [each for each in record["attempts"] if each["kind"] != "reconnect"]
    assert len(record["attempts"]) - len(attempts) <= 1
    return [(each["deployment"], each["kind"], each["outcome"]) for each in attempts]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_failure_before_the_first_content_is_not_visible(
    router: GatewayProcess, link: RawConnection, strategy: str, fault: str, stream: bool
) -> None:
    name = case(strategy, fault, stream)
    answer = post(link, name, stream=stream)
    assert answer.status == 200
    assert text_of(answer, stream=stream) == "good: hi there"
    assert answer.headers["x-intellirouter-deployment"] == f"{name}-good"
    assert answer.headers["x-intellirouter-strategy"] == strategy
    record = router.record(answer.headers["x-request-id"])
    assert answer.headers["x-intellirouter-attempts"] == str(len(record["attempts"]))
    assert outcomes(record) == [(f"{name}-bad", "first", FAULTS[fault][1]), (f"{name}-good", "next", "ok")]
    assert record["usage"]["input_tokens"] > 0
    assert "error_code" not in record


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", FAULTS)
def test_configured_fallback_answers(router: GatewayProcess, link: RawConnection, fault: str, stream: bool) -> None:
    answer = post(link, case("rescued", fault, stream), stream=stream)
    assert text_of(answer, stream=stream) == "good: hi there"
    (_, _, first), (_, kind, second) = outcomes(router.record(answer.headers["x-request-id"]))
    assert (first, kind, second) == (FAULTS[fault][1], "fallback", "ok")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", FAULTS)
def test_error_is_returned_if_all_attempts_fail(
    router: GatewayProcess, link: RawConnection, fault: str, stream: bool
) -> None:
    code = FAULTS[fault][1]
    started_s = time.monotonic()
    answer = post(link, case("all", fault, stream), stream=stream)
    assert time.monotonic() - started_s < BAD_TIMEOUTS["total_s"]
    assert answer.status in STATUS[code]
    assert answer.json()["error"]["code"] == code
    assert answer.headers["content-type"] == "application/json"
    assert ("retry-after" in answer.headers) is (fault == "limited")
    record = router.record(answer.headers["x-request-id"])
    assert (record["status"], record["error_code"]) == (answer.status, code)
    assert "usage" not in record
    is_worth_a_retry = fault not in {"quota", "credential", "limited"}
    assert [outcome for *_, outcome in outcomes(record)] == [code] * (2 if is_worth_a_retry else 1)


@pytest.mark.parametrize("stream", [False, True])
def test_different_failures_are_combined(link: RawConnection, stream: bool) -> None:
    answer = post(link, "mixed", stream=stream)
    error = answer.json()["error"]
    assert (answer.status, error["code"]) == (502, "all_attempts_failed")
    assert "all-error-false-bad" in error["message"]
    assert "all-no-json-false-bad" in error["message"]


@pytest.mark.parametrize("fault", [name for name, (_, code) in LATE_FAULTS.items() if code])
def test_failure_after_the_first_content_ends_the_stream_with_one_error(
    router: GatewayProcess, link: RawConnection, fault: str
) -> None:
    answer = post(link, case("late", fault), stream=True)
    assert answer.status == 200
    *content, last = events(answer)
    assert "error" in json.loads(last)
    assert content
    assert all("error" not in json.loads(chunk) for chunk in content)
    assert b"[DONE]" not in answer.body
    record = router.record(answer.headers["x-request-id"])
    assert (record["status"], record["error_code"]) == (200, LATE_FAULTS[fault][1])
    assert outcomes(record) == [(case("late", fault) + "-bad", "first", LATE_FAULTS[fault][1])]
    assert record["usage"]["is_estimated"] is True
    assert record["usage"]["output_tokens"] > 0
    assert link.post(b"{}").status == 400  # the connection still works


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("how", ["announce", "idle", "next_request"])
def test_closed_keep_alive_connections_are_not_visible(link: RawConnection, how: str, stream: bool) -> None:
    for _ in range(4):
        answer = post(link, f"closing-{how}", stream=stream)
        assert text_of(answer, stream=stream) == f"closing-{how}: hi there"


def test_no_header_is_sent_before_the_first_content(link: RawConnection) -> None:
    started_s = time.monotonic()
    link.send_post(json.dumps(chat_request(model="slow-start", stream=True)).encode())
    assert link.more()
    assert time.monotonic() - started_s >= 0.5  # the vendor sent its headers at once
    assert text_of(link.answer(), stream=True) == "slow-start: hello"
