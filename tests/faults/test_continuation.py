"""A stream that breaks off is continued by another upstream, in the dialect of its client, without a trace in it."""

from collections.abc import Iterator
from typing import Any

import pytest
from msgspec import Struct

from intellirouter.testing import MockVendor
from tests.support.gateway.fixtures import KEYS
from tests.support.gateway.process import GatewayProcess
from tests.support.translation.prompt import Tool
from tests.support.translation.world import CLIENTS, CREDENTIAL, PRICE, UPSTREAMS, World, config

MODEL = "lorem-60"
"""Both vendors give the same answer to everything, from its beginning."""
EVENTS = 14
NEXT = dict(zip(UPSTREAMS, [*list(UPSTREAMS)[1:], next(iter(UPSTREAMS))], strict=True))
FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "drop": ({"kind": "drop", "at": "events", "after_events": EVENTS}, "upstream_disconnected"),
    "reset": ({"kind": "reset", "at": "events", "after_events": EVENTS}, "upstream_disconnected"),
    "silent": ({"kind": "hang", "after_events": EVENTS}, "upstream_timeout"),
    "error": ({"kind": "error_in_stream", "after_events": EVENTS - 4}, "upstream_unavailable"),
    "slow": ({"kind": "pings", "after_events": EVENTS, "delay_s": 0.02}, "upstream_timeout"),
}
TIMEOUTS = {"first_token_s": 5, "idle_s": 0.5, "total_s": 10, "min_tokens_per_s": 20, "throughput_window_s": 0.4}


class Pair(Struct):
    """A gateway with a vendor whose streams break off, and a vendor that works."""

    world: World
    broken: MockVendor
    sound: MockVendor


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    directory = tmp_path_factory.mktemp("continuation")
    with MockVendor(api_key=CREDENTIAL) as broken, MockVendor(api_key=CREDENTIAL) as sound:
        settings = config(sound, directory)
        settings["defaults"] |= {"breaker": "off", "pool": {"max_wait_s": 0, "outlier_min_attempts": 100_000}}
        settings["models"] = {}
        for name, upstream in UPSTREAMS.items():
            provider = settings["providers"][name]
            settings["providers"][f"{name}-1"] = {**provider, "base_url": broken.url + upstream.prefix}
            one = {"provider": f"{name}-1", "model": MODEL, "timeouts": TIMEOUTS, "price": PRICE}
            settings["deployments"][f"{name}-one"] = one
            settings["deployments"][f"{name}-two"] = {"provider": name, "model": MODEL, "price": PRICE}
        tools = {name: {"provider": name, "model": "tools"} for name in ("openai-1", "openai")}
        settings["deployments"] |= {f"{name}-tools": each for name, each in tools.items()}
        names = [f"{name}-tools" for name in tools]
        settings["models"]["calls-tools"] = {"deployments": names, "continuation": "prefill"}
        for name in UPSTREAMS:
            for after in {name, NEXT[name]}:
                pool = [f"{name}-one", f"{after}-two"]
                settings["models"][f"{name}-then-{after}"] = {"deployments": pool, "continuation": "prefill"}
            settings["models"][f"{name}-alone"] = {"deployments": [f"{name}-one"], "continuation": "prefill"}
            settings["models"][f"{name}-off"] = {"deployments": [f"{name}-one", f"{name}-two"]}
        with GatewayProcess(settings, directory, admin_key=KEYS["admin"]) as gateway:
            world = World(gateway, sound)
            yield Pair(world, broken, sound)
            world.http.close()


def complete_text(pair: Pair) -> str:
    return pair.world.ask("chat", "openai-two").parsed.text


def check_record(pair: Pair, record: dict[str, Any], code: str, first: str, second: str) -> None:
    attempts = [(each["deployment"], each["kind"], each["outcome"]) for each in record["attempts"]]
    assert attempts == [(f"{first}-one", "first", code), (f"{second}-two", "continuation", "ok")]
    assert (record["status"], record.get("error_code"), record["deployment"]) == (200, None, f"{second}-two")
    assert record["finish_reason"] == "stop"
    assert record["decision"]["reason"] == f"continuation on {second}-two after {first}-one failed ({code})"
    assert record["usage"]["output_tokens"] > 60, "those of both"


@pytest.mark.parametrize("is_same", [False, True], ids=["other dialect", "same dialect"])
@pytest.mark.parametrize("first", UPSTREAMS)
@pytest.mark.parametrize("client", CLIENTS)
def test_stream_is_continued_for_every_pair_of_dialects(pair: Pair, client: str, first: str, is_same: bool) -> None:
    second = first if is_same else NEXT[first]
    pair.broken.reset()
    pair.broken.fault(**FAULTS["drop"][0])
    answer = pair.world.ask(client, f"{first}-then-{second}", stream=True, text="go on", max_tokens=500)
    assert answer.status == 200
    assert answer.parsed.error is None
    assert answer.parsed.is_complete
    assert answer.parsed.text == complete_text(pair)
    check_record(pair, pair.world.record(answer), "upstream_disconnected", first, second)
    if answer.parsed.output_tokens is not None:
        assert answer.parsed.output_tokens > 60


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("client", ["chat", "responses", "messages", "gemini", "ollama"])
def test_stream_is_continued_after_every_fault(pair: Pair, client: str, fault: str) -> None:
    settings, code = FAULTS[fault]
    pair.broken.reset()
    pair.broken.fault(**settings)
    answer = pair.world.ask(client, "anthropic-then-anthropic", stream=True, text="go on")
    assert (answer.parsed.error, answer.parsed.is_complete) == (None, True)
    assert answer.parsed.text == complete_text(pair)
    check_record(pair, pair.world.record(answer), code, "anthropic", "anthropic")


@pytest.mark.parametrize("client", CLIENTS)
def test_the_same_deployment_continues_if_there_is_no_other(pair: Pair, client: str) -> None:
    pair.broken.reset()
    pair.broken.fault(times=1, **FAULTS["drop"][0])
    answer = pair.world.ask(client, "openai-alone", stream=True, text="go on", max_tokens=500)
    assert (answer.parsed.error, answer.parsed.is_complete) == (None, True)
    assert answer.parsed.text == complete_text(pair)
    kinds = [each["kind"] for each in pair.world.record(answer)["attempts"]]
    assert kinds == ["first", "continuation"]


@pytest.mark.parametrize("client", CLIENTS)
def test_stream_is_continued_twice_at_most(pair: Pair, client: str) -> None:
    pair.broken.reset()
    pair.broken.fault(**FAULTS["drop"][0])
    answer = pair.world.ask(client, "openai-alone", stream=True, text="go on", max_tokens=500)
    assert answer.parsed.error
    assert not answer.parsed.is_complete
    record = pair.world.record(answer)
    assert [each["outcome"] for each in record["attempts"]] == ["upstream_disconnected"] * 2
    assert record["error_code"] == "upstream_disconnected"


@pytest.mark.parametrize("client", CLIENTS)
def test_stream_of_other_models_ends_with_one_error(pair: Pair, client: str) -> None:
    pair.broken.reset()
    pair.broken.fault(**FAULTS["drop"][0])
    answer = pair.world.ask(client, "openai-off", stream=True, text="go on")
    assert answer.parsed.error
    assert [each["kind"] for each in pair.world.record(answer)["attempts"]] == ["first"]


@pytest.mark.parametrize("client", ["chat", "responses", "messages", "gemini", "ollama"])
def test_stream_with_tool_calls_is_not_continued(pair: Pair, client: str) -> None:
    pair.broken.reset()
    pair.broken.fault(kind="drop", at="middle")
    answer = pair.world.ask(client, "calls-tools", stream=True, text="go on", tools=[Tool("weather")])
    assert answer.parsed.error
    assert [each["kind"] for each in pair.world.record(answer)["attempts"]] == ["first"]


def test_cost_is_that_of_both_attempts(pair: Pair) -> None:
    pair.broken.reset()
    pair.broken.fault(**FAULTS["drop"][0])
    answer = pair.world.ask("chat", "openai-then-responses", stream=True, text="go on")
    record = pair.world.record(answer)
    usage = record["usage"]
    assert usage["is_estimated"]
    by_tokens = PRICE["input_per_1m_usd"] * usage["input_tokens"] + PRICE["output_per_1m_usd"] * usage["output_tokens"]
    assert record["cost_microusd"] == pytest.approx(by_tokens, abs=2)
