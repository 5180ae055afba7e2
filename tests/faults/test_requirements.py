"""The requirements of `requirements.py` that no other test covers, with a gateway process and failing upstreams."""

import ast
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from intellirouter.testing import MockVendor
from tests.faults.requirements import REQUIREMENTS
from tests.support.gateway.process import GatewayProcess, chat_request, until
from tests.support.gateway.raw_http import Answer, RawConnection

TEXT = "one two three four five six seven eight nine ten"
SHORT_S = 0.3
PATIENCE_S = 5.0
"""Shorter than all deadlines but the tested one, with a margin for a busy machine."""
OPEN_S = 1.0
SECONDS_OF_WORK = 0.5
"""How much processor time one request may take at most."""
BOTH = pytest.mark.parametrize("stream", [False, True])


@pytest.mark.parametrize("number", REQUIREMENTS)
def test_tests_of_requirements_exist(repo: Path, number: int) -> None:
    for test in REQUIREMENTS[number].tests:
        file, _, function = test.partition("::")
        tree = ast.parse((repo / file).read_text())
        functions = {each.name for each in tree.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert function in functions, f"{test} does not exist."


@pytest.fixture(scope="module")
def silent_port() -> Iterator[int]:
    """A port that accepts connections and never sends anything, so that a TLS handshake does not end."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        yield listener.getsockname()[1]


def configuration(vendor: MockVendor, silent_port: int) -> dict[str, Any]:
    long = {"connect_s": 5, "first_token_s": 10, "idle_s": 10, "total_s": 20}
    pairs = {"first_token": {"first_token_s": SHORT_S}, "idle": {"idle_s": SHORT_S}, "total": {"total_s": SHORT_S}}
    deployments: dict[str, Any] = {
        name: {"provider": "mock", "model": name, "timeouts": long}
        for name in ("good", "fails", "fails-too", "limited", "refusing", "storm-a", "storm-b", "sick", "fast-failing")
    }
    deployments |= {
        f"slow-{name}": {"provider": "mock", "model": f"slow-{name}", "timeouts": {**long, **short}}
        for name, short in pairs.items()
    }
    deployments["slow-connect"] = {"provider": "deaf", "model": "x", "timeouts": {**long, "connect_s": SHORT_S}}
    models: dict[str, Any] = {
        f"deadline-{name}": {"deployments": [f"slow-{name}", "good"]} for name in ("connect", *pairs)
    }
    for strategy in ("least_busy", "power_of_two"):
        models[strategy] = {"deployments": ["fast-failing", "good"], "strategy": strategy, "breaker": "off"}
    return {
        "defaults": {"retries": 0, "backoff": {"base_s": 0.01, "max_s": 0.05}, "breaker": {"open_s": OPEN_S}},
        "providers": {
            "mock": {"vendor": "openai-compatible", "base_url": vendor.base_url},
            "deaf": {"vendor": "openai-compatible", "base_url": f"https://127.0.0.1:{silent_port}/v1"},
        },
        "deployments": deployments,
        "models": {
            **models,
            "doomed": {"deployments": ["fails"], "fallbacks": ["fails-too"]},
            "limited-alone": {"deployments": ["limited"], "retries": 5},
            "rescued": {"deployments": ["fails"], "fallbacks": ["good"], "retries": 2},
            "limited-rescued": {"deployments": ["limited"], "fallbacks": ["good"], "retries": 2},
            "strict": {"deployments": ["refusing", "good"], "breaker": {"consecutive_failures": 1}},
            "storm": {"deployments": ["storm-a", "storm-b"], "retries": 1, "breaker": {"consecutive_failures": 1}},
            "clinic": {"deployments": ["sick", "good"], "breaker": {"consecutive_failures": 1}},
        },
        "logging": {"level": "error"},
    }


@pytest.fixture(scope="module")
def broken_vendor() -> Iterator[MockVendor]:
    with MockVendor() as vendor:
        yield vendor


@pytest.fixture(scope="module")
def router(
    broken_vendor: MockVendor, silent_port: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    config = configuration(broken_vendor, silent_port)
    with GatewayProcess(config, tmp_path_factory.mktemp("requirements")) as running:
        yield running


@pytest.fixture
def vendor(broken_vendor: MockVendor) -> MockVendor:
    broken_vendor.reset()
    broken_vendor.fault("error", match={"model": "fails"}, status=500)
    broken_vendor.fault("error", match={"model": "fails-too"}, status=503)
    return broken_vendor


def ask(router: GatewayProcess, model: str, *, stream: bool = False, **headers: str) -> Answer:
    with RawConnection(router.port, 30) as link:
        return link.post(json.dumps(chat_request(TEXT, model, stream=stream)).encode(), **headers)


def text_of(answer: Answer, *, stream: bool) -> str:
    assert answer.status == 200, answer.body
    if not stream:
        return str(answer.json()["choices"][0]["message"]["content"])
    *chunks, last = [part.removeprefix("data: ") for part in answer.body.decode().split("\n\n") if part]
    assert last == "[DONE]"
    return "".join(json.loads(chunk)["choices"][0]["delta"].get("content") or "" for chunk in chunks)


def attempts_of(router: GatewayProcess, answer: Answer) -> list[tuple[str, str]]:
    record = router.record(answer.headers["x-request-id"])
    return [(each["deployment"], each["outcome"]) for each in record["attempts"] if each["kind"] != "reconnect"]


def processor_s(router: GatewayProcess) -> float:
    user, system = Path(f"/proc/{router.process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / 100


def health_of(router: GatewayProcess, model: str, deployment: str) -> dict[str, Any]:
    models = router.get("/api/v1/models").json()["models"]
    row = next(each for each in models if each["name"] == model)
    return {**row["metrics"][deployment], **row["members"][deployment]}


@BOTH
def test_status_is_real_if_primary_and_fallback_fail_before_the_content(
    router: GatewayProcess, vendor: MockVendor, stream: bool
) -> None:
    answer = ask(router, "doomed", stream=stream)
    assert answer.status == 503
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["error"]["code"] == "upstream_unavailable"
    assert [name for name, _ in attempts_of(router, answer)] == ["fails", "fails-too"]


def test_rate_limit_within_a_stream_is_one_error_and_no_work(router: GatewayProcess, vendor: MockVendor) -> None:
    vendor.fault("error_in_stream", match={"model": "limited"}, after_events=3, code="rate_limit_exceeded")
    before_s = processor_s(router)
    answer = ask(router, "limited-alone", stream=True)
    time.sleep(SECONDS_OF_WORK)  # a loop would use the processor after the end of the stream, too
    assert processor_s(router) - before_s < SECONDS_OF_WORK
    assert answer.status == 200
    assert answer.body.count(b'"error"') == 1
    assert b"[DONE]" not in answer.body
    assert attempts_of(router, answer) == [("limited", "rate_limit_exceeded")]
    assert len(vendor.requests()) == 1


@pytest.mark.parametrize("model", ["rescued", "limited-rescued"])
def test_limits_of_a_request_hold_before_and_within_a_stream(
    router: GatewayProcess, vendor: MockVendor, model: str
) -> None:
    """`rescued` fails before the content, `limited-rescued` after it."""
    vendor.fault("error_in_stream", match={"model": "limited"}, after_events=3)
    limits = {"x-intellirouter-retries": "0", "x-intellirouter-fallbacks": "off"}
    answer = ask(router, model, stream=True, **limits)
    assert answer.body.count(b'"error"') == 1
    assert len(attempts_of(router, answer)) == 1
    assert len(vendor.requests()) == 1


@pytest.mark.parametrize(
    ("deadline", "stream"),
    [
        *((deadline, stream) for deadline in ("connect", "first_token", "total") for stream in (False, True)),
        ("idle", False),  # within a stream, it is a failure after the content
    ],
)
def test_each_deadline_leads_to_the_next_deployment(
    router: GatewayProcess, vendor: MockVendor, deadline: str, stream: bool
) -> None:
    vendor.fault("hang", match={"model": "slow-first_token"})
    vendor.fault("hang", match={"model": "slow-idle"}, after_events=0)
    vendor.fault("slow", match={"model": "slow-total"}, delay_s=30)
    started_s = time.monotonic()
    answer = ask(router, f"deadline-{deadline}", stream=stream)
    assert time.monotonic() - started_s < PATIENCE_S
    assert text_of(answer, stream=stream) == f"good: {TEXT}"
    code = "upstream_connect_timeout" if deadline == "connect" else "upstream_timeout"
    assert attempts_of(router, answer) == [(f"slow-{deadline}", code), ("good", "ok")]


@BOTH
def test_invalid_requests_do_not_open_the_circuit(router: GatewayProcess, vendor: MockVendor, stream: bool) -> None:
    vendor.fault("error", match={"model": "refusing"}, status=400, times=10)
    for _ in range(10):
        answer = ask(router, "strict", stream=stream)
        assert answer.status == 400
        assert [name for name, _ in attempts_of(router, answer)] == ["refusing"]
    health = health_of(router, "strict", "refusing")
    assert (health["failures"], health["circuit"]) == (0, "closed")
    assert text_of(ask(router, "strict", stream=stream), stream=stream) == f"refusing: {TEXT}"


@BOTH
def test_request_waits_for_the_earliest_recovery_if_all_circuits_are_open(
    router: GatewayProcess, vendor: MockVendor, stream: bool
) -> None:
    vendor.fault("error", match={"model": "storm-*"}, status=503)
    assert ask(router, "storm").status == 503
    assert {health_of(router, "storm", name)["circuit"] for name in ("storm-a", "storm-b")} == {"open"}
    recovery = threading.Timer(OPEN_S / 2, vendor.clear)
    recovery.start()
    try:
        answer = ask(router, "storm", stream=stream)
    finally:
        recovery.join()
    assert text_of(answer, stream=stream).endswith(TEXT)
    assert ask(router, "storm").headers["x-intellirouter-attempts"] == "1"


@pytest.mark.parametrize("strategy", ["least_busy", "power_of_two"])
def test_deployment_that_fails_fast_does_not_attract_traffic(
    router: GatewayProcess, vendor: MockVendor, strategy: str
) -> None:
    vendor.fault("error", match={"model": "fast-failing"}, status=500)
    vendor.fault("slow", match={"model": "good"}, delay_s=0.02)
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: ask(router, strategy), range(120)))
    assert {answer.status for answer in answers} == {200}
    failed = sum(each["model"] == "fast-failing" for each in vendor.requests())
    assert failed < len(answers) / 2  # without the errors in its score, it would get nearly all of them


def test_health_says_what_the_router_does(router: GatewayProcess, vendor: MockVendor) -> None:
    vendor.fault("error", match={"model": "sick"}, status=503)
    ask(router, "clinic")
    answer = ask(router, "clinic")
    assert attempts_of(router, answer) == [("good", "ok")]
    assert "sick: circuit open" in answer.headers["x-intellirouter-reason"]
    health = router.get("/api/v1/health").json()
    assert health["status"] == "degraded"
    assert ("sick", "open") in [(each["name"], each["state"]) for each in health["services"]["circuits"]]
    assert "circuit open" in health_of(router, "clinic", "sick")["unavailable"]
    assert 'intellirouter_breaker_state{deployment="sick"} 2.0' in router.get("/metrics").text
    vendor.clear()

    def served_by_sick() -> bool:
        return ask(router, "clinic").headers["x-intellirouter-deployment"] == "sick"

    until(served_by_sick, "the circuit closes again")
    listed = [each["name"] for each in router.get("/api/v1/health").json()["services"]["circuits"]]
    assert "sick" not in listed
    assert "unavailable" not in health_of(router, "clinic", "sick")
    assert 'intellirouter_breaker_state{deployment="sick"} 0.0' in router.get("/metrics").text


MAX_GROWTH_BYTES = 12 * 1024 * 1024
ROUND = 150
FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "error", "status": 500},
    {"kind": "drop", "at": "middle"},
    {"kind": "malformed", "how": "json"},
    {"kind": "error_in_stream", "after_events": 3},
    {"kind": "hang", "after_events": 3},
)


def test_memory_and_tasks_are_bounded_under_faults(router: GatewayProcess, vendor: MockVendor) -> None:
    """Complete answers, streams, and clients that leave, while an upstream fails in different ways."""
    run_round(router, vendor)
    run_round(router, vendor)
    rss_bytes = until(lambda: rss_when_idle(router), "nothing is in flight")
    for _ in range(6):
        run_round(router, vendor)
    assert until(lambda: rss_when_idle(router), "nothing is in flight") < rss_bytes + MAX_GROWTH_BYTES
    assert gauge(router, "intellirouter_tasks") < 10
    assert gauge(router, "intellirouter_waiting_for_connection") == 0
    connections = gauge(router, "intellirouter_upstream_connections")
    assert connections == gauge(router, "intellirouter_idle_upstream_connections")


def run_round(router: GatewayProcess, vendor: MockVendor) -> None:
    for fault in FAULTS:
        vendor.reset()
        vendor.fault(match={"model": "slow-idle"}, **fault)
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda number: one_client(router, number), range(ROUND // len(FAULTS))))


def one_client(router: GatewayProcess, number: int) -> None:
    with RawConnection(router.port) as link:
        body = json.dumps(chat_request(f"{TEXT} {number}", "deadline-idle", stream=number % 2 == 0)).encode()
        link.send_post(body)
        if number % 5:
            link.answer()


def rss_when_idle(router: GatewayProcess) -> int:
    """Return the memory of the process in bytes, or 0 while requests are in flight."""
    if gauge(router, "intellirouter_in_flight") > 0:
        return 0
    status = Path(f"/proc/{router.process.pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS:"))


def gauge(router: GatewayProcess, name: str) -> float:
    lines = router.get("/metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))
