"""Streams whose upstream is silent for longer than the timeout of a proxy: the client gets all of the answer.

nginx closes a connection on which the gateway sends nothing for `proxy_read_timeout`. Here that is 2 s instead of 60 s,
and the intervals of the pings are as much shorter.
"""

import json
import signal
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from msgspec import Struct

from intellirouter.testing import MockVendor
from tests.support.gateway.fixtures import KEYS
from tests.support.gateway.nginx import NGINX, free_port, running_nginx
from tests.support.gateway.process import GatewayProcess, chat_request, until
from tests.support.gateway.raw_http import RawConnection
from tests.support.translation.world import CLIENTS, CREDENTIAL, Answer, World, config

PROXY_TIMEOUT_S = 2
SILENCE_S = 3.2
TIMEOUTS = {"first_token_s": 30, "idle_s": 30, "total_s": 120}
PINGS = {"first_ping_s": 0.4, "stream_ping_s": 0.4}
PAIRS = (
    ("chat", "openai"),
    ("chat", "anthropic"),
    ("completions", "openai"),
    ("responses", "responses"),
    ("responses", "anthropic"),
    ("messages", "anthropic"),
    ("messages", "openai"),
    ("gemini", "gemini"),
    ("gemini", "openai"),
    ("gemini_array", "gemini"),
    ("gemini_array", "anthropic"),
    ("ollama", "ollama"),
    ("ollama", "bedrock"),
    ("generate", "openai"),
)
COMMENT_CLIENTS = frozenset({"chat", "completions", "responses", "messages"})
PIECES = 3
"""In how many pieces the vendor sends a stream, with a silence before each."""


def pinging_config(vendor: MockVendor, directory: Path, **server: Any) -> dict[str, Any]:
    found = config(vendor, directory)
    for provider in found["providers"].values():
        provider["timeouts"] = TIMEOUTS
    found["server"] = {**PINGS, **server}
    return found


class Proxied(Struct):
    gateway: World
    proxy: World
    """The same gateway behind nginx."""


@pytest.fixture(scope="module")
def vendor() -> Iterator[MockVendor]:
    with MockVendor(api_key=CREDENTIAL) as running:
        yield running


@pytest.fixture(scope="module")
def proxied(vendor: MockVendor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    if NGINX is None:
        pytest.skip("nginx is not installed. On Debian, `make setup` fetches it.")
    directory, port = tmp_path_factory.mktemp("keep-alive"), free_port()
    with GatewayProcess(pinging_config(vendor, directory), directory, admin_key=KEYS["admin"]) as gateway:
        block = f"""server {{
            listen 127.0.0.1:{port};
            location / {{
                proxy_pass http://127.0.0.1:{gateway.port};
                proxy_http_version 1.1;
                proxy_read_timeout {PROXY_TIMEOUT_S}s;
            }}
        }}"""
        with running_nginx(tmp_path_factory.mktemp("nginx"), block, port):
            direct, behind = World(gateway, vendor), World(gateway, vendor)
            behind.http = httpx.Client(timeout=90, base_url=f"http://127.0.0.1:{port}")
            yield Proxied(direct, behind)
            direct.http.close()
            behind.http.close()


@pytest.fixture(scope="module")
def answers(proxied: Proxied, vendor: MockVendor) -> Iterator[dict[tuple[str, str], Future[Answer]]]:
    """The answers of all pairs, which are asked at once, because each of them takes long."""
    with ThreadPoolExecutor(len(PAIRS)) as pool:
        found: dict[tuple[str, str], Future[Answer]] = {}
        for client, upstream in PAIRS:
            name = f"mute-{client.replace('_', '-')}-{upstream}"
            size = len(proxied.gateway.ask(client, f"{upstream}/{name}", text="one two", stream=True).body)
            vendor.fault("slow_drip", match={"model": name}, delay_s=SILENCE_S, bytes=size // PIECES + 50)
            asked = pool.submit(proxied.proxy.ask, client, f"{upstream}/{name}", text="one two", stream=True)
            found[client, upstream] = asked
        yield found


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_silent_stream_arrives_completely_behind_a_proxy(
    answers: dict[tuple[str, str], Future[Answer]], proxied: Proxied, client: str, upstream: str
) -> None:
    answer = answers[client, upstream].result(timeout=90)
    assert answer.status == 200
    assert answer.parsed.is_complete, answer.body
    assert "one two" in answer.parsed.text
    assert "x-intellirouter-deployment" not in answer.headers
    record = proxied.gateway.record(answer)
    assert record["status"] == 200
    assert not record.get("error")
    assert record["usage"]["output_tokens"] > 0
    assert record["first_token_ms"] >= SILENCE_S * 1000


@pytest.fixture(scope="module")
def world(vendor: MockVendor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """For each client, `lonely-CLIENT` never answers in time, and `helped-CLIENT` has a fallback."""
    directory = tmp_path_factory.mktemp("direct")
    settings = pinging_config(vendor, directory)
    for client in CLIENTS:
        for kind, fallbacks in (("lonely", []), ("helped", ["openai-priced"])):
            name = f"{kind}-{client}"
            entry = {"provider": "anthropic", "model": "silent", "timeouts": {"first_token_s": 1.8}}
            settings["deployments"][f"{name}-silent"] = entry
            settings["models"][name] = {"deployments": [f"{name}-silent"], "fallbacks": fallbacks}
    vendor.fault("hang", match={"model": "silent"})
    with GatewayProcess(settings, directory, admin_key=KEYS["admin"]) as gateway:
        world = World(gateway, vendor)
        yield world
        world.http.close()


@pytest.mark.parametrize("client", sorted(CLIENTS))
def test_failover_after_a_ping_is_invisible(world: World, client: str) -> None:
    answer = world.ask(client, f"helped-{client}", text="one two", stream=True)
    assert answer.status == 200
    assert "x-intellirouter-deployment" not in answer.headers
    assert answer.parsed.is_complete, answer.body
    assert "one two" in answer.parsed.text
    record = world.record(answer)
    assert [each["outcome"] for each in record["attempts"]] == ["upstream_timeout", "ok"]
    assert record["deployment"] == "openai-priced"
    if client in COMMENT_CLIENTS:
        assert b"\n: x-intellirouter-deployment: openai-priced\n" in answer.body
        assert b"\n: x-intellirouter-attempts: 2\n" in answer.body


@pytest.mark.parametrize("client", sorted(CLIENTS))
def test_failure_after_a_ping_is_one_error_of_the_dialect(world: World, client: str) -> None:
    answer = world.ask(client, f"lonely-{client}", stream=True)
    assert answer.status == 200
    assert "1.8 s" in (answer.parsed.error or "")
    assert not answer.parsed.is_complete
    record = world.record(answer)
    assert (record["status"], record["error_code"]) == (200, "upstream_timeout")


def test_whole_answer_is_not_pinged(world: World) -> None:
    assert world.ask("chat", "lonely-chat").status == 504


def test_sdk_raises_the_error_of_a_stream_that_fails_after_a_ping(world: World) -> None:
    with openai.OpenAI(base_url=world.gateway.base_url, api_key=KEYS["ann"], max_retries=0) as client:
        hello: list[Any] = [{"role": "user", "content": "hi"}]
        stream = client.chat.completions.create(model="lonely-chat", messages=hello, stream=True)
        with pytest.raises(openai.APIError, match=r"1\.8 s"):
            list(stream)


def test_client_that_disconnects_after_a_ping_is_noticed(world: World) -> None:
    vendor = world.vendor
    vendor.fault("hang", match={"model": "silent-abort"})
    with RawConnection(world.gateway.port) as link:
        body = json.dumps(chat_request(model="openai/silent-abort", stream=True)).encode()
        link.send_post(body, authorization=f"Bearer {KEYS['ann']}")
        status, headers = link.head()
        assert status == 200
        assert link.chunk() == b": ping\n\n"
    seen = [each for each in vendor.requests() if each["model"] == "silent-abort"]
    assert len(seen) == 1
    until(
        lambda: [each for each in vendor.requests() if each["model"] == "silent-abort" and each["is_aborted"]],
        "the vendor sees the abort",
        2.0,
    )
    record = world.gateway.record(headers["x-request-id"])
    assert (record["status"], record["error_code"]) == (499, "client_disconnected")


def test_drain_ends_a_stream_that_has_only_been_pinged(vendor: MockVendor, tmp_path: Path) -> None:
    settings = pinging_config(vendor, tmp_path, drain_s=1.0)
    vendor.fault("hang", match={"model": "silent-drain"})
    with GatewayProcess(settings, tmp_path) as gateway, RawConnection(gateway.port) as link:
        body = json.dumps(chat_request(model="openai/silent-drain", stream=True)).encode()
        link.send_post(body, authorization=f"Bearer {KEYS['ann']}")
        assert link.head()[0] == 200
        assert link.chunk() == b": ping\n\n"
        gateway.signal(signal.SIGTERM)
        assert b"The gateway was stopped" in link.rest()
        assert gateway.wait() == 0
