"""Upstreams that stop producing but keep the connection alive, or that produce hardly anything: the stream fails."""

from collections.abc import Iterator

import pytest

from intellirouter.testing import MockVendor
from tests.support.gateway.fixtures import KEYS
from tests.support.gateway.process import GatewayProcess
from tests.support.translation.world import CLIENTS, CREDENTIAL, UPSTREAMS, World, config

FLOOR = {"first_token_s": 5, "idle_s": 5, "total_s": 10, "min_tokens_per_s": 20, "throughput_window_s": 0.4}
PAIRS = [*[(client, "openai") for client in CLIENTS], *[("chat", each) for each in UPSTREAMS if each != "openai"]]
FAULTS = {
    "pings": {"kind": "pings", "after_events": 8, "delay_s": 0.02},
    "drip": {"kind": "slow_drip", "delay_s": 0.25},
}
TEXT = "one two three four five six seven eight nine ten"


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("slow")
    with MockVendor(api_key=CREDENTIAL) as vendor:
        settings = config(vendor, directory)
        for name, upstream in UPSTREAMS.items():
            for fault in (*FAULTS, "none"):
                model = f"{upstream.model}-{fault}"
                deployment = {"provider": name, "model": model, "timeouts": FLOOR, "breaker": "off"}
                settings["deployments"][f"{name}-{fault}"] = deployment
        with GatewayProcess(settings, directory, admin_key=KEYS["admin"]) as gateway:
            world = World(gateway, vendor)
            for fault, params in FAULTS.items():
                vendor.fault(match={"model": f"*-{fault}"}, **params)
            vendor.fault("slow_drip", match={"model": "*-none"}, delay_s=0.02)
            yield world
            world.http.close()


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_slow_stream_ends_with_one_error(slow: World, client: str, upstream: str, fault: str) -> None:
    if (upstream, fault) == ("bedrock", "pings"):
        pytest.skip("this format has no pings")
    answer = slow.ask(client, f"{upstream}-{fault}", text=TEXT, stream=True)
    assert answer.status == 200
    assert answer.parsed.error
    assert not answer.parsed.is_complete
    record = slow.record(answer)
    assert record["error_code"] == "upstream_timeout"
    (attempt,) = record["attempts"]
    assert attempt["message"].endswith("fewer than 20 tokens per second for too long (timeouts.min_tokens_per_s).")
    assert upstream == "gemini" or record["usage"]["is_estimated"]  # Gemini reports the usage with each event
    assert record["usage"]["output_tokens"] > 1
    assert record["duration_ms"] < 4000


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_stream_that_is_fast_enough_is_complete(slow: World, upstream: str) -> None:
    answer = slow.ask("chat", f"{upstream}-none", text=TEXT, stream=True)
    assert answer.parsed.is_complete
    assert answer.parsed.text.endswith(TEXT)
