"""Stopping and reloading: requests in flight finish within limits; an invalid configuration changes nothing."""

import json
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from intellirouter.testing import MockVendor
from tests.support.gateway.process import GatewayProcess, chat_request, until
from tests.support.gateway.raw_http import RawConnection

DRIP_S = 0.08


@pytest.fixture
def exits() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def config(vendor: MockVendor, **server: Any) -> dict[str, Any]:
    return {
        "server": server,
        "providers": {
            "mock": {"vendor": "openai-compatible", "base_url": vendor.base_url, "models": "*"},
            "fake": {"vendor": "fake", "models": "*"},
        },
        "models": {"first": {"deployments": ["fake/echo"]}},
    }


def begin(gateway: GatewayProcess, model: str, *, stream: bool, exits: ExitStack) -> RawConnection:
    link = exits.enter_context(RawConnection(gateway.port))
    link.send_post(json.dumps(chat_request("one two three four five six seven", model, stream=stream)).encode())
    return link


def arrived(vendor: MockVendor, model: str) -> list[dict[str, Any]]:
    return [seen for seen in vendor.requests() if seen["model"] == model]


def is_refused(gateway: GatewayProcess) -> bool:
    try:
        socket.create_connection(("127.0.0.1", gateway.port), 2).close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.parametrize(("number", "stream"), [(signal.SIGTERM, False), (signal.SIGINT, True)])
def test_requests_in_flight_finish_and_new_connections_are_refused(
    vendor: MockVendor, tmp_path: Path, exits: ExitStack, number: signal.Signals, stream: bool
) -> None:
    name = f"drain-{number.name}-{stream}".lower()
    kind = {"kind": "slow_drip", "delay_s": DRIP_S} if stream else {"kind": "slow", "delay_s": 8 * DRIP_S}
    vendor.fault(match={"model": name}, **kind)
    with GatewayProcess(config(vendor), tmp_path) as gateway:
        idle = exits.enter_context(RawConnection(gateway.port))
        assert idle.post(json.dumps(chat_request()).encode()).status == 200
        link = begin(gateway, f"mock/{name}", stream=stream, exits=exits)
        until(lambda: arrived(vendor, name), "the vendor has the request")
        gateway.signal(number)
        until(lambda: "Stopping: waiting up to 30 s for 1 request in flight." in gateway.stderr(), "the stop is logged")
        until(lambda: is_refused(gateway), "new connections are refused")
        assert idle.rest() == b""  # idle connections are closed
        answer = link.answer()
        assert answer.status == 200
        assert answer.body.endswith(b"data: [DONE]\n\n" if stream else b"}")
        assert gateway.wait() == 0
        assert gateway.stderr().endswith("Stopped.\n")
        gateway.start()
        record = gateway.record(answer.headers["x-request-id"])
    assert record["status"] == 200
    assert "error_code" not in record


@pytest.mark.parametrize("numbers", [(signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGINT)])
def test_second_signal_stops_at_once(
    vendor: MockVendor, tmp_path: Path, exits: ExitStack, numbers: tuple[signal.Signals, signal.Signals]
) -> None:
    vendor.fault("hang", match={"model": "drain-twice"})
    with GatewayProcess(config(vendor, drain_s=30), tmp_path) as gateway:
        link = begin(gateway, "mock/drain-twice", stream=False, exits=exits)
        until(lambda: arrived(vendor, "drain-twice"), "the vendor has the request")
        gateway.signal(numbers[0])
        until(lambda: is_refused(gateway), "the gateway is stopping")
        gateway.signal(numbers[1])
        started_s = time.monotonic()
        assert link.answer().status == 503
        assert gateway.wait() == 0
        assert time.monotonic() - started_s < 10


def test_live_feed_does_not_delay_the_stop(vendor: MockVendor, tmp_path: Path, exits: ExitStack) -> None:
    with GatewayProcess(config(vendor, drain_s=60), tmp_path) as gateway:
        feed = exits.enter_context(RawConnection(gateway.port))
        feed.send(b"GET /api/v1/requests/tail HTTP/1.1\r\nhost: x\r\n\r\n")
        assert feed.head()[0] == 200
        assert feed.chunk().startswith(b":")
        gateway.signal(signal.SIGTERM)
        assert feed.chunk() == b""
        assert gateway.wait() == 0


def test_drain_time_is_limited(vendor: MockVendor, tmp_path: Path, exits: ExitStack) -> None:
    vendor.fault("hang", match={"model": "drain-whole"})
    vendor.fault("hang", match={"model": "drain-stream"}, after_events=4)
    with GatewayProcess(config(vendor, drain_s=1), tmp_path) as gateway:
        whole = begin(gateway, "mock/drain-whole", stream=False, exits=exits)
        stream = begin(gateway, "mock/drain-stream", stream=True, exits=exits)
        until(lambda: arrived(vendor, "drain-whole"), "the vendor has the request")
        assert stream.head()[0] == 200
        started_s = time.monotonic()
        gateway.signal(signal.SIGTERM)
        *_, last = iter(stream.chunk, b"")
        assert json.loads(last.removeprefix(b"data: "))["error"]["code"] == "overloaded"
        answer = whole.answer()
        assert (answer.status, answer.json()["error"]["code"]) == (503, "overloaded")
        assert gateway.wait() == 0
        assert 0.5 < time.monotonic() - started_s < 10
        gateway.start()
        for name in ("drain-whole", "drain-stream"):
            (row,) = gateway.get("/api/v1/requests", model=f"mock/{name}").json()["requests"]
            record = gateway.record(row["request_id"])
            assert record["error_code"] == "overloaded"
            assert ("usage" in record) is (name == "drain-stream")


def test_reload_applies_to_new_requests_and_not_to_those_in_flight(
    vendor: MockVendor, tmp_path: Path, exits: ExitStack
) -> None:
    vendor.fault("slow", match={"model": "reload-whole"}, delay_s=8 * DRIP_S)
    vendor.fault("slow_drip", match={"model": "reload-stream"}, delay_s=DRIP_S)
    names = {"reload-whole": False, "reload-stream": True}
    before = config(vendor)
    fake = {"vendor": "fake", "models": "*"}
    after = {**before, "models": {"second": {"deployments": ["fake/echo"]}}, "providers": {"fake": fake}}
    with GatewayProcess(before, tmp_path) as gateway:
        links = {name: begin(gateway, f"mock/{name}", stream=stream, exits=exits) for name, stream in names.items()}
        idle = exits.enter_context(RawConnection(gateway.port))
        assert idle.post(json.dumps(chat_request(model="first")).encode()).status == 200
        until(lambda: all(arrived(vendor, name) for name in names), "the vendor has the requests")
        gateway.configure(after)
        gateway.signal(signal.SIGHUP)
        until(lambda: "second" in gateway.get("/v1/models").text, "the new models are listed")
        for model, status in (("second", 200), ("first", 404), ("mock/reload-whole", 404)):
            assert idle.post(json.dumps(chat_request(model=model)).encode()).status == status
        for name, stream in names.items():
            answer = links[name].answer()
            assert answer.status == 200
            assert f"{name}: one two three" in text_of(answer.body, stream=stream)
            assert gateway.record(answer.headers["x-request-id"])["deployment"] == f"mock/{name}"
        assert "The configuration was reloaded" in gateway.stderr()


def text_of(body: bytes, *, stream: bool) -> str:
    if not stream:
        return str(json.loads(body)["choices"][0]["message"]["content"])
    chunks = [part.removeprefix("data: ") for part in body.decode().split("\n\n") if part.startswith("data: {")]
    return "".join(json.loads(chunk)["choices"][0]["delta"].get("content") or "" for chunk in chunks)


BAD_FILES = {
    "{": "YAML",
    '{"modles": {}}': "Did you mean `models`?",
    '{"models": {"x": {"deployments": ["nowhere"]}}}': "nowhere",
    '{"server": {"port": "http"}}': "server.port",
    "": "The file does not exist.",
}


def test_invalid_reload_changes_nothing_and_is_logged(vendor: MockVendor, tmp_path: Path) -> None:
    with GatewayProcess(config(vendor), tmp_path) as gateway, RawConnection(gateway.port) as link:
        for count, (text, problem) in enumerate(BAD_FILES.items(), start=1):
            if text:
                gateway.config_file.write_text(text)
            else:
                gateway.config_file.unlink()
            gateway.signal(signal.SIGHUP)
            until(lambda count=count: gateway.stderr().count("was not reloaded") == count, "the error is logged")
            assert problem in gateway.stderr().rpartition("was not reloaded")[2]
            assert link.post(json.dumps(chat_request(model="first")).encode()).status == 200


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("300.1.1.1", "300.1.1.1 is not an IP address or a known host name"),
        ("192.0.2.1", "this machine does not have the address 192.0.2.1"),
    ],
)
def test_address_that_is_not_available_is_reported_with_its_cause(
    vendor: MockVendor, tmp_path: Path, host: str, reason: str
) -> None:
    gateway = GatewayProcess(config(vendor, host=host, port=8080), tmp_path)
    with pytest.raises(AssertionError, match=f"Cannot listen on {host}:8080: {reason}"):
        gateway.start()
    assert "Set --host to an address of this machine" in gateway.stderr()


def test_port_in_use_is_reported_without_a_traceback(vendor: MockVendor, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        gateway = GatewayProcess(config(vendor, port=taken.getsockname()[1]), tmp_path)
        with pytest.raises(AssertionError, match="another program uses this address"):
            gateway.start()
    assert "Traceback" not in gateway.stderr()


def respond(gateway: GatewayProcess, request: dict[str, Any]) -> httpx.Response:
    return httpx.post(f"{gateway.base_url}/responses", json=request, timeout=20)


def test_background_response_is_completed_before_the_gateway_stops(vendor: MockVendor, tmp_path: Path) -> None:
    with GatewayProcess(config(vendor, drain_s=20), tmp_path) as gateway:
        request = {"model": "fake/slow-1500", "input": "hello", "background": True}
        path = f"/v1/responses/{respond(gateway, request).json()['id']}"
        gateway.signal(signal.SIGTERM)
        assert gateway.wait() == 0
        gateway.start()
        assert gateway.get(path).json()["status"] == "completed"


def test_background_response_that_outlasts_the_drain_has_failed(vendor: MockVendor, tmp_path: Path) -> None:
    with GatewayProcess(config(vendor, drain_s=1), tmp_path) as gateway:
        request = {"model": "fake/slow-60000", "input": "hello", "background": True}
        answer = respond(gateway, request)
        path = f"/v1/responses/{answer.json()['id']}"
        gateway.signal(signal.SIGTERM)
        assert gateway.wait() == 0
        gateway.start()
        stored = gateway.get(path).json()
        assert (stored["status"], stored["error"]["message"]) == (
            "failed",
            "The gateway was stopped before the response was complete.",
        )
        record = gateway.record(answer.headers["x-request-id"])
        assert (record["status"], record["error_code"]) == (503, "overloaded")
