"""The response cache of a real gateway, in every dialect, streamed or not."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from intellirouter.testing import MockVendor
from tests.support.gateway.cached import Vendor, open_chat, post, reload, settings, status_of
from tests.support.gateway.fixtures import KEYS
from tests.support.gateway.process import GatewayProcess, until
from tests.support.translation.world import BOTH, CLIENTS, CREDENTIAL, UPSTREAMS, World, config

STREAMED = pytest.mark.parametrize("stream", BOTH)


@pytest.fixture(scope="module")
def vendor() -> Iterator[Vendor]:
    found = Vendor()
    yield found
    found.stop()


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
