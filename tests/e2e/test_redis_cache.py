"""Gateways that share their answers in a real Redis or Valkey server, and do not depend on it."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.gateway.cached import Vendor, post, reload, settings, status_of
from tests.support.gateway.fixtures import KEYS
from tests.support.gateway.process import GatewayProcess, until
from tests.support.redis_server import KINDS, RedisServer
from tests.support.translation.world import BOTH

STREAMED = pytest.mark.parametrize("stream", BOTH)
PASSWORD = "a-very-secret-password"


@pytest.fixture(scope="module")
def vendor() -> Iterator[Vendor]:
    found = Vendor()
    yield found
    found.stop()


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    with RedisServer(request.param) as found:
        yield found


def shared(vendor: Vendor, server: RedisServer, **redis: Any) -> dict[str, Any]:
    # The machine of the tests can be slow; the timeouts have tests of their own.
    return settings(vendor, backend="redis", redis={"url": server.url, "timeout_s": 2, **redis})


@pytest.fixture(scope="module")
def pair(
    vendor: Vendor, server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[GatewayProcess, GatewayProcess]]:
    config = shared(vendor, server)
    with (
        GatewayProcess(config, tmp_path_factory.mktemp("one"), admin_key=KEYS["admin"]) as one,
        GatewayProcess(config, tmp_path_factory.mktemp("two"), admin_key=KEYS["admin"]) as two,
    ):
        yield one, two


@pytest.fixture(autouse=True)
def _vendor_is_up(vendor: Vendor) -> None:
    vendor.gate.set()
    vendor.is_down = False


def health_of(gateway: GatewayProcess) -> dict[str, Any]:
    headers = {"authorization": f"Bearer {KEYS['admin']}"}
    report: dict[str, Any] = httpx.get(f"{gateway.url}/api/health", headers=headers).json()
    return report


def metrics_of(gateway: GatewayProcess) -> str:
    return httpx.get(f"{gateway.url}/metrics", headers={"authorization": f"Bearer {KEYS['admin']}"}).text


@STREAMED
def test_a_gateway_uses_the_answer_of_another_one(
    pair: tuple[GatewayProcess, GatewayProcess], vendor: Vendor, stream: bool
) -> None:
    one, two = pair
    calls = vendor.calls
    first = post(one, f"shared {stream}", stream=stream)
    time.sleep(1.1)
    second, other_tenant = (post(two, f"shared {stream}", key, stream=stream) for key in ("ann", "bob"))
    assert (status_of(first), status_of(second), status_of(other_tenant)) == ("miss", "hit", "miss")
    assert second.content == first.content
    assert 1 <= int(second.headers["age"]) < 20
    assert vendor.calls - calls == 2
    record = two.record(second.headers["x-request-id"])
    assert (record["cache"], record["cache_source"]) == ("hit", first.headers["x-request-id"])
    assert record["saved_microusd"] == one.record(first.headers["x-request-id"])["cost_microusd"]
    metrics = metrics_of(two)
    assert 'intellirouter_cache_redis_reads_total{outcome="found"}' in metrics
    assert "intellirouter_cache_redis_up 1.0" in metrics
    assert health_of(two)["services"]["cache"]["state"] == "ok"


def test_a_stale_answer_of_another_gateway(vendor: Vendor, server: RedisServer, tmp_path: Path) -> None:
    config = shared(vendor, server)
    config["cache"]["ttl_s"] = {"chat": 0.2}
    with GatewayProcess(config, tmp_path, admin_key=KEYS["admin"]) as gateway:
        first = post(gateway, "stale elsewhere")
    time.sleep(0.3)
    vendor.is_down = True
    with GatewayProcess(config, tmp_path, admin_key=KEYS["admin"]) as gateway:
        stale = post(gateway, "stale elsewhere")
        assert (stale.status_code, status_of(stale), stale.content) == (200, "stale", first.content)


def test_an_idempotency_key_holds_for_all_gateways(pair: tuple[GatewayProcess, GatewayProcess], vendor: Vendor) -> None:
    calls, key = vendor.calls, {"idempotency-key": "shared-order"}
    vendor.gate.clear()
    with ThreadPoolExecutor(6) as pool:
        sent = [pool.submit(post, pair[number % 2], "once", headers=key) for number in range(6)]
        until(lambda: vendor.calls > calls, "the call")
        other = post(pair[1], "something else", headers=key)
        other_too = post(pair[0], "something else", headers=key)
        time.sleep(0.5)
        vendor.gate.set()
        answers = [each.result() for each in sent]
    assert vendor.calls - calls == 1
    assert len({each.content for each in answers}) == 1
    assert {each.status_code for each in (other, other_too)} == {422}
    again = post(pair[1], "once", headers=key)
    assert (status_of(again), again.content) == ("hit", answers[0].content)
    assert vendor.calls - calls == 1


def test_an_idempotency_key_of_a_failed_request_can_be_used_by_another_gateway(
    pair: tuple[GatewayProcess, GatewayProcess], vendor: Vendor
) -> None:
    key = {"idempotency-key": "failed-order"}
    vendor.is_down = True
    assert post(pair[0], "fails", headers=key).status_code == 503
    vendor.is_down = False
    assert (post(pair[1], "fails", headers=key)).status_code == 200


@STREAMED
def test_a_killed_server_harms_no_request(vendor: Vendor, tmp_path: Path, stream: bool) -> None:
    with (
        RedisServer() as server,
        GatewayProcess(shared(vendor, server, timeout_s=0.05), tmp_path, admin_key=KEYS["admin"]) as gateway,
    ):
        statuses, until_s = [], time.monotonic() + 4.0

        def ask(number: int) -> None:
            while time.monotonic() < until_s:
                statuses.append(post(gateway, f"killed {number % 3} {stream}", stream=stream).status_code)

        with ThreadPoolExecutor(5) as pool:
            workers = [pool.submit(ask, number) for number in range(4)]
            time.sleep(1.0)
            server.kill()
            until(lambda: health_of(gateway)["services"]["cache"]["state"] == "degraded", "the report")
            report = health_of(gateway)
            assert report["status"] == "degraded"
            assert httpx.get(f"{gateway.url}/health/ready").status_code == 200
            time.sleep(1.0)
            server.start()
            for each in workers:
                each.result()
        assert len(statuses) > 20
        assert set(statuses) == {200}
        until(lambda: health_of(gateway)["services"]["cache"]["state"] == "ok", "the connection", 20)
        post(gateway, "killed again", stream=stream)
        assert status_of(post(gateway, "killed again", stream=stream)) == "hit"


def test_a_password_is_never_shown(vendor: Vendor, tmp_path: Path) -> None:
    with RedisServer("redis", "--requirepass", PASSWORD) as server:
        config = shared(vendor, server, password="env:REDIS_PASSWORD")
        environ = {"REDIS_PASSWORD": PASSWORD}
        with GatewayProcess(config, tmp_path, admin_key=KEYS["admin"], environment=environ) as gateway:
            post(gateway, "login")
            assert status_of(post(gateway, "login")) == "hit"
        environ["REDIS_PASSWORD"] = f"{PASSWORD}-wrong"
    with (
        RedisServer("redis", "--requirepass", PASSWORD) as server,
        GatewayProcess(
            shared(vendor, server, password="env:REDIS_PASSWORD"),
            tmp_path,
            admin_key=KEYS["admin"],
            environment=environ,
        ) as gateway,
    ):
        assert [status_of(post(gateway, "login")) for _ in range(2)] == ["miss", "miss"]
        state = health_of(gateway)["services"]["cache"]
        assert state["state"] == "degraded"
        assert "WRONGPASS" in state["detail"]
        for text in (str(health_of(gateway)), gateway.stderr(), metrics_of(gateway)):
            assert PASSWORD not in text


def test_a_reload_can_change_the_server_and_the_backend(vendor: Vendor, tmp_path: Path, server: RedisServer) -> None:
    server.ask("FLUSHALL")
    config = shared(vendor, server)
    config["logging"]["level"] = "info"
    with RedisServer() as second, GatewayProcess(config, tmp_path, admin_key=KEYS["admin"]) as gateway:
        post(gateway, "move")
        assert status_of(post(gateway, "move")) == "hit"
        clients = connections(server)
        config["cache"]["redis"]["url"] = second.url
        reload(gateway, config)
        until(lambda: connections(server) == clients - 1, "the former connection is closed")
        until(lambda: health_of(gateway)["services"]["cache"]["state"] == "ok", "the new connection")
        assert [status_of(post(gateway, "move")) for _ in range(2)] == ["miss", "hit"]
        config["cache"]["backend"] = "memory"
        reload(gateway, config)
        until(lambda: connections(second) == 1, "the second connection is closed")
        assert [status_of(post(gateway, "move")) for _ in range(2)] == ["miss", "hit"]
        assert "intellirouter_cache_redis_up" not in metrics_of(gateway)
        config["cache"]["backend"] = "redis"
        reload(gateway, config)
        until(lambda: health_of(gateway)["services"]["cache"]["state"] == "ok", "the connection again")
        assert status_of(post(gateway, "move")) == "hit"
        assert "intellirouter_cache_entries 0.0" in metrics_of(gateway)


def connections(server: RedisServer) -> int:
    """Return the number of connections, with that of this question."""
    return server.ask("CLIENT", "LIST").count(b"addr=") - server.ask("CLIENT", "LIST").count(b"laddr=")
