"""Streams whose upstream is silent for longer than the timeout of a proxy: the client gets all of the answer.

nginx closes a connection on which the gateway sends nothing for `proxy_read_timeout`. Here that is 2 s instead of 60 s,
and the intervals of the pings are as much shorter.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec import Struct

from intellirouter.testing import MockVendor
from tests.support.gateway.fixtures import KEYS
from tests.support.gateway.nginx import NGINX, free_port, running_nginx
from tests.support.gateway.process import GatewayProcess
from tests.support.translation.world import CREDENTIAL, Answer, World, config

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
            name = f"mute-{client.replace('_', '-')}"
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
