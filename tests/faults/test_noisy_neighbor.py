"""A tenant that floods a scarce deployment does not slow down the requests of another one."""

import statistics
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from intellirouter.testing import MockVendor
from tests.support.gateway.fixtures import KEYS, key_rows
from tests.support.gateway.process import GatewayProcess, chat_request

SERVICE_S = 0.1
LIMIT = 2
FLOOD = 24
"""How many requests of the noisy tenant are waiting or in flight all the time."""


@pytest.fixture(scope="module")
def scarce(vendor: MockVendor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    vendor.fault("slow", match={"model": "scarce"}, delay_s=SERVICE_S)
    config: dict[str, Any] = {
        "defaults": {"retries": 0},
        "providers": {"mock": {"vendor": "openai-compatible", "base_url": vendor.base_url}},
        "deployments": {"scarce": {"provider": "mock", "model": "scarce", "concurrency": {"max": LIMIT}}},
        "models": {"m": {"deployments": ["scarce"]}},
        "tenants": {"north": {}, "south": {}},
        "keys": key_rows(),
    }
    with GatewayProcess(config, tmp_path_factory.mktemp("scarce"), admin_key=KEYS["admin"]) as running:
        yield running


class Tenant:
    """Sends requests with a key, each as soon as the one before it is answered."""

    def __init__(self, gateway: GatewayProcess, key: str) -> None:
        self.client = httpx.Client(
            base_url=gateway.base_url, headers={"authorization": f"Bearer {KEYS[key]}"}, timeout=60
        )
        self.latencies_s: list[float] = []
        self.statuses: set[int] = set()
        self.is_stopping = threading.Event()

    def ask(self) -> None:
        began_s = time.monotonic()
        answer = self.client.post("/chat/completions", json=chat_request(model="m"))
        self.latencies_s.append(time.monotonic() - began_s)
        self.statuses.add(answer.status_code)

    def flood(self) -> None:
        while not self.is_stopping.is_set():
            self.ask()


def test_latency_of_a_quiet_tenant_stays_near_its_own_while_another_one_floods(scarce: GatewayProcess) -> None:
    quiet, noisy = Tenant(scarce, "ann"), Tenant(scarce, "bob")
    for _ in range(5):
        quiet.ask()
    alone_s = statistics.median(quiet.latencies_s)
    quiet.latencies_s.clear()
    threads = [threading.Thread(target=noisy.flood) for _ in range(FLOOD)]
    for thread in threads:
        thread.start()
    try:
        while len(noisy.latencies_s) < FLOOD:  # until the queue is as long as it gets
            time.sleep(0.05)
        noisy.latencies_s.clear()
        for _ in range(10):
            quiet.ask()
    finally:
        noisy.is_stopping.set()
        for thread in threads:
            thread.join()
        quiet.client.close()
        noisy.client.close()
    # Without fair shares, it would wait for all others: 24 requests, two at a time, are 1.2 seconds.
    assert statistics.median(quiet.latencies_s) < alone_s + 2 * SERVICE_S
    assert max(quiet.latencies_s) < alone_s + 6 * SERVICE_S
    assert statistics.median(noisy.latencies_s) > 3 * statistics.median(quiet.latencies_s)
    assert (quiet.statuses, noisy.statuses) == ({200}, {200})
    limits = scarce.get("/api/v1/health", key=KEYS["admin"]).json()["services"]["limits"]
    assert [(each["in_flight"], each["waiting"]) for each in limits] == [(0, 0)]
