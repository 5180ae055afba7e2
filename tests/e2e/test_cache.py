"""The response cache of a real gateway, in every dialect, streamed or not."""

import json
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from intellirouter.testing import MockVendor
from tests.support.gateway.fixtures import KEYS, key_rows
from tests.support.gateway.process import GatewayProcess, chat_request, until
from tests.support.translation.world import BOTH, CLIENTS, CREDENTIAL, UPSTREAMS, World, config

PRICE = {"input_per_1m_usd": 100, "output_per_1m_usd": 100}
STREAMED = pytest.mark.parametrize("stream", BOTH)


class Vendor:
    """An OpenAI-compatible server that counts its calls, and can be held or broken."""

    def __init__(self) -> None:
        self.calls = 0
        self.aborted = 0
        self.is_down = False
        self.constant: str | None = None
        """What all answers say; None: each one says its number."""
        self.gate = threading.Event()
        self.gate.set()
        vendor = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                vendor.calls += 1
                if vendor.is_down:
                    self.send(503, b'{"error":{"message":"down"}}')
                elif body.get("stream"):
                    self.stream(vendor.calls)
                else:
                    vendor.gate.wait(10)
                    self.send(200, json.dumps(answer(vendor.calls, vendor.constant)).encode())

            def send(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def stream(self, call: int) -> None:
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.send_header("connection", "close")
                self.end_headers()
                self.close_connection = True
                try:
                    self.event({"role": "assistant", "content": vendor.constant or f"call {call}"})
                    vendor.gate.wait(10)
                    for number in range(40):
                        self.event({"content": f" {number * 7919} words, then {number**3} more." * 2})
                    self.event({}, "stop")
                    self.wfile.write(b"data: [DONE]\n\n")
                except OSError:
                    vendor.aborted += 1

            def event(self, delta: dict[str, Any], finish: str | None = None) -> None:
                choice = {"index": 0, "delta": delta, "finish_reason": finish}
                chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
                self.wfile.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
                self.wfile.flush()

            def log_message(self, *args: Any) -> None:
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def stop(self) -> None:
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()


def answer(call: int, text: str | None = None) -> dict[str, Any]:
    message = {"role": "assistant", "content": text or f"call {call}"}
    return {
        "id": f"c{call}",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    }


@pytest.fixture(scope="module")
def vendor() -> Iterator[Vendor]:
    found = Vendor()
    yield found
    found.stop()


def settings(vendor: Vendor, **cache: Any) -> dict[str, Any]:
    return {
        "defaults": {"cache": "exact", "retries": 0, "backoff": {"base_s": 0.01, "max_s": 0.05}},
        "cache": {"stale_if_error_s": 600, **cache},
        "providers": {"p": {"vendor": "openai-compatible", "base_url": vendor.url, "credentials": [], "models": "*"}},
        "deployments": {"priced": {"provider": "p", "model": "up", "price": PRICE}},
        "models": {"m": {"deployments": ["priced"]}, "uncached": {"deployments": ["priced"], "cache": "off"}},
        "tenants": {"north": {}, "south": {}},
        "keys": key_rows(),
        "auth": {"required": True},
        "logging": {"level": "error"},
    }


@pytest.fixture(scope="module")
def gateway(vendor: Vendor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with GatewayProcess(settings(vendor), tmp_path_factory.mktemp("cache"), admin_key=KEYS["admin"]) as process:
        yield process


@pytest.fixture
def calls(vendor: Vendor) -> int:
    """How many calls the vendor has had before the test."""
    vendor.gate.set()
    vendor.is_down = False
    return vendor.calls


def post(
    gateway: GatewayProcess, text: str, key: str = "ann", headers: dict[str, str] | None = None, **members: Any
) -> httpx.Response:
    body = chat_request(text, **{"model": "m", **members})
    sent = {"authorization": f"Bearer {KEYS[key]}", **(headers or {})}
    return httpx.post(f"{gateway.url}/v1/chat/completions", json=body, headers=sent, timeout=20)


def status_of(answer: httpx.Response) -> str:
    return answer.headers["x-intellirouter-cache"]


@STREAMED
def test_hit_has_the_bytes_and_its_record_the_savings(
    gateway: GatewayProcess, vendor: Vendor, calls: int, stream: bool
) -> None:
    first, second = (post(gateway, f"hit {stream}", stream=stream) for _ in range(2))
    assert (status_of(first), status_of(second), vendor.calls - calls) == ("miss", "hit", 1)
    assert second.content == first.content
    assert second.headers["content-type"] == first.headers["content-type"]
    assert int(second.headers["age"]) < 20
    assert "age" not in first.headers
    miss, hit = (gateway.record(each.headers["x-request-id"]) for each in (first, second))
    assert (hit["cache"], hit["cache_source"]) == ("hit", first.headers["x-request-id"])
    assert (hit["cost_microusd"], hit["saved_microusd"]) == (0, miss["cost_microusd"])
    assert miss["cost_microusd"] > 0
    assert hit["finish_reason"] == "stop"


def test_tenants_are_apart_and_keys_of_a_tenant_are_not(gateway: GatewayProcess, vendor: Vendor, calls: int) -> None:
    assert [status_of(post(gateway, "apart", key)) for key in ("ann", "bob", "admin")] == ["miss"] * 3
    assert [status_of(post(gateway, "apart", key)) for key in ("ann", "bob", "admin")] == ["hit"] * 3
    assert vendor.calls - calls == 3


def test_model_without_cache(gateway: GatewayProcess, vendor: Vendor, calls: int) -> None:
    assert [status_of(post(gateway, "off", model="uncached")) for _ in range(2)] == ["off"] * 2
    assert vendor.calls - calls == 2


@pytest.mark.parametrize(
    ("directive", "status"),
    [("no-store", "bypass"), ("no-cache", "bypass"), ("max-age=0", "miss"), ("max-age=60", "hit")],
)
def test_request_controls(gateway: GatewayProcess, directive: str, status: str, calls: int) -> None:
    del calls
    post(gateway, f"controls {directive}")
    time.sleep(0.01)
    assert status_of(post(gateway, f"controls {directive}", headers={"cache-control": directive})) == status


def test_only_if_cached(gateway: GatewayProcess, vendor: Vendor, calls: int) -> None:
    wanted = {"cache-control": "only-if-cached"}
    missing = post(gateway, "only", headers=wanted)
    assert (missing.status_code, missing.json()["error"]["code"]) == (504, "not_cached")
    post(gateway, "only")
    assert status_of(post(gateway, "only", headers=wanted)) == "hit"
    assert vendor.calls - calls == 1


def test_idempotency_key(gateway: GatewayProcess, vendor: Vendor, calls: int) -> None:
    key = {"idempotency-key": "order-17"}
    first, second = (post(gateway, "once", headers=key) for _ in range(2))
    assert (status_of(first), status_of(second), second.content) == ("miss", "hit", first.content)
    assert "x-intellirouter-dropped" not in second.headers
    other = post(gateway, "another", headers=key)
    assert (other.status_code, other.json()["error"]["code"]) == (422, "idempotency_key_reused")
    uncached = post(gateway, "once", headers=key, model="uncached")
    assert uncached.headers["x-intellirouter-dropped"] == "idempotency-key;how=dropped"
    assert vendor.calls - calls == 2


@STREAMED
def test_fifty_identical_requests_are_one_call(
    gateway: GatewayProcess, vendor: Vendor, calls: int, stream: bool
) -> None:
    vendor.gate.clear()
    with ThreadPoolExecutor(50) as pool:
        sent = [pool.submit(post, gateway, f"fifty {stream}", stream=stream) for _ in range(50)]
        until(lambda: vendor.calls > calls, "the call")
        time.sleep(0.5)
        vendor.gate.set()
        answers = [each.result() for each in sent]
    assert vendor.calls - calls == 1
    assert len({each.content for each in answers}) == 1
    statuses = sorted(map(status_of, answers))
    assert statuses.count("miss") == 1
    assert set(statuses) <= {"miss", "joined", "hit"}
    assert statuses.count("joined") > 1


@STREAMED
def test_client_of_the_leader_leaves(gateway: GatewayProcess, vendor: Vendor, calls: int, stream: bool) -> None:
    text = f"leaves {stream}"
    vendor.gate.clear()
    leader = open_chat(gateway, text, stream=stream)
    until(lambda: vendor.calls > calls, "the call of the leader")
    with ThreadPoolExecutor(1) as pool:
        follower = pool.submit(post, gateway, text, stream=stream)
        time.sleep(0.5)
        leader.close()
        time.sleep(0.2)
        vendor.gate.set()
        answer = follower.result()
    assert (answer.status_code, status_of(answer), vendor.calls - calls) == (200, "joined", 1)
    assert b"call" in answer.content
    if stream:
        assert answer.content.endswith(b"data: [DONE]\n\n")
    record = gateway.record(gateway.record(answer.headers["x-request-id"])["cache_source"])
    assert (record["status"], record["error_code"]) == (499, "client_disconnected")
    assert status_of(post(gateway, text, stream=stream)) == "hit"


def test_call_ends_when_all_clients_have_left(gateway: GatewayProcess, vendor: Vendor, calls: int) -> None:
    aborted = vendor.aborted
    vendor.gate.clear()
    clients = [open_chat(gateway, "all leave", stream=True)]
    until(lambda: vendor.calls > calls, "the call of the leader")
    clients.append(open_chat(gateway, "all leave", stream=True))
    time.sleep(0.3)
    for each in clients:
        each.close()
    time.sleep(0.3)
    vendor.gate.set()
    until(lambda: vendor.aborted > aborted, "the end of the call")
    assert vendor.calls - calls == 1


def test_slow_follower_does_not_slow_the_leader(gateway: GatewayProcess, vendor: Vendor, calls: int) -> None:
    vendor.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        leader = pool.submit(post, gateway, "slow", stream=True)
        until(lambda: vendor.calls > calls, "the call of the leader")
        slow = open_chat(gateway, "slow", stream=True)
        time.sleep(0.3)
        vendor.gate.set()
        answer = leader.result(5)
    assert answer.content.endswith(b"data: [DONE]\n\n")
    slow.settimeout(5)
    received = b""
    while not received.endswith(b"0\r\n\r\n"):
        received += slow.recv(65536)
    slow.close()
    assert b"x-intellirouter-cache: joined" in received
    assert vendor.calls - calls == 1


@STREAMED
def test_stale_answer_after_an_error_and_after_a_restart(
    vendor: Vendor, tmp_path: Path, calls: int, stream: bool
) -> None:
    text = f"stale {stream}"
    with GatewayProcess(settings(vendor, ttl_s={"chat": 0.2}), tmp_path, admin_key=KEYS["admin"]) as gateway:
        first = post(gateway, text, stream=stream)
        time.sleep(0.3)
        vendor.is_down = True
        stale = post(gateway, text, stream=stream)
        assert (stale.status_code, status_of(stale), stale.content) == (200, "stale", first.content)
        record = gateway.record(stale.headers["x-request-id"])
        assert (record["cache"], record["cost_microusd"]) == ("stale", 0)
        assert "down" in record["cache_reason"]
        assert [each["outcome"] for each in record["attempts"]] != ["ok"]
        metrics = httpx.get(f"{gateway.url}/metrics", headers={"authorization": f"Bearer {KEYS['admin']}"}).text
        assert 'intellirouter_cache_requests_total{outcome="stale"} 1.0' in metrics
        assert "intellirouter_cache_entries 1.0" in metrics
    with GatewayProcess(settings(vendor), tmp_path, admin_key=KEYS["admin"]) as gateway:
        assert post(gateway, text, stream=stream).status_code == 503, "the memory is empty after a restart"
    assert vendor.calls - calls == 3


def test_reload_that_changes_a_deployment_uses_no_older_answer(vendor: Vendor, tmp_path: Path, calls: int) -> None:
    config = settings(vendor)
    config["logging"]["level"] = "info"
    with GatewayProcess(config, tmp_path, admin_key=KEYS["admin"]) as gateway:
        post(gateway, "reload")
        config["deployments"]["priced"]["price"] = {"input_per_1m_usd": 1, "output_per_1m_usd": 1}
        reload(gateway, config)
        assert status_of(post(gateway, "reload")) == "hit"
        config["deployments"]["priced"]["model"] = "newer"
        reload(gateway, config)
        assert status_of(post(gateway, "reload")) == "miss"
    assert vendor.calls - calls == 2


def reload(gateway: GatewayProcess, config: dict[str, Any]) -> None:
    before = gateway.stderr().count("The configuration was reloaded")
    gateway.configure(config)
    gateway.signal(signal.SIGHUP)
    until(lambda: gateway.stderr().count("The configuration was reloaded") > before, "the configuration is reloaded")


def open_chat(gateway: GatewayProcess, text: str, *, stream: bool) -> socket.socket:
    """Send a request, and return its connection without reading the answer."""
    url = httpx.URL(gateway.url)
    body = json.dumps(chat_request(text, model="m", stream=stream)).encode()
    connection = socket.create_connection((url.host, url.port or 80))
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: {url.host}\r\nauthorization: Bearer {KEYS['ann']}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    connection.sendall(head.encode() + body)
    return connection


@pytest.fixture(scope="module")
def translating(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway with a cache, in front of every kind of upstream."""
    directory = tmp_path_factory.mktemp("translating")
    with MockVendor(api_key=CREDENTIAL) as mock:
        chosen = config(mock, directory)
        chosen["defaults"]["cache"] = "exact"
        with GatewayProcess(chosen, directory, admin_key=KEYS["admin"]) as process:
            world = World(process, mock)
            yield world
            world.http.close()


@STREAMED
@pytest.mark.parametrize("client", CLIENTS)
def test_every_dialect_recalls_its_own_bytes(translating: World, client: str, stream: bool) -> None:
    for upstream in UPSTREAMS:
        first = translating.ask(client, upstream, stream=stream)
        second = translating.ask(client, upstream, stream=stream)
        assert second.headers["x-intellirouter-cache"] == "hit", (client, upstream)
        assert second.body == first.body, (client, upstream)
        assert second.headers.get("x-intellirouter-dropped") == first.headers.get("x-intellirouter-dropped")


def test_answers_of_other_operations_are_recalled(translating: World) -> None:
    for path, body in (
        ("/v1/embeddings", {"model": "openai", "input": "x"}),
        ("/v1/responses", {"model": "openai", "input": "x", "store": False}),
        ("/v1/messages/count_tokens", {"model": "anthropic", "messages": [{"role": "user", "content": "x"}]}),
    ):
        first, second = (translating.call(path, body) for _ in range(2))
        assert second.status_code == 200, second.text
        assert (status_of(second), second.content) == ("hit", first.content), path
