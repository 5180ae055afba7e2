"""The lists of models of wildcard providers: fetched in the background, kept, and fetched again."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from intellirouter.catalog import Catalog, PriceList, ProviderLists
from intellirouter.config import ProviderSpec, Runtime, ServerSpec, StoreSpec
from intellirouter.core import Secret
from intellirouter.fake import FAKE_MODELS
from intellirouter.providers import VENDORS, RotatingUpstream, UpstreamPool
from intellirouter.roles import model_lists
from intellirouter.roles.model_lists import ModelLists, Traffic, delay_s
from intellirouter.testing import FakeClock
from tests.support.providers.loopback import Peer, Server, answer, serving

SOON_S = 0.01


def listed(*names: str) -> bytes:
    return answer(json.dumps({"data": [{"id": name} for name in names]}).encode())


class Vendor:
    """Answers each request with the next answer, then with the last one again. None: never answers."""

    def __init__(self, *answers: bytes | None) -> None:
        self.answers = list(answers)
        self.heads: list[str] = []

    async def script(self, peer: Peer) -> None:
        while True:
            self.heads.append(await peer.head())
            data = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            if data is None:
                await asyncio.Event().wait()
            await peer.send(data or b"")


class Stage:
    """The lists of one gateway."""

    def __init__(self) -> None:
        self.pool = UpstreamPool()
        self.lists = ProviderLists()
        self.traffic = Traffic(in_flight=0, total=0)
        upstream = RotatingUpstream(self.pool)
        self.keeper = ModelLists(
            upstream, self.lists, VENDORS, FakeClock(), random.Random(1), traffic=lambda: self.traffic
        )

    def apply(
        self, server: Server | None, interval_s: float | None = SOON_S, *, lists_fakes: bool = False, **members: Any
    ) -> Catalog:
        fake = ProviderSpec(name="fake", vendor="fake", allows_any_model=True, is_listed=lists_fakes)
        providers = {"fake": fake}
        if server is not None:
            values = {"vendor": "openai-compatible", "base_url": server.base_url, "allows_any_model": True, **members}
            providers["lab"] = ProviderSpec(name="lab", **values)
        runtime = Runtime(
            server=ServerSpec(),
            auth_required=False,
            store=StoreSpec(url="sqlite://", spool_dir="spool"),
            providers=providers,
            deployments={},
            models={},
        )
        catalog = Catalog(runtime, VENDORS, PriceList.load(), self.lists)
        self.keeper.apply(catalog, interval_s)
        return catalog

    @property
    def names(self) -> list[str]:
        return [each.name for each in self.lists.of(["lab"], lambda _: True)]

    @property
    def view(self) -> dict[str, Any]:
        [view] = self.keeper.views()
        return view


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    monkeypatch.setattr(model_lists, "_QUIET_S", 0.0)
    stage = Stage()
    yield stage
    await stage.keeper.stop()
    await stage.pool.close()


async def until(look: Callable[[], object], what: str) -> None:
    async with asyncio.timeout(5):
        while not look():
            await asyncio.sleep(0.002)
    assert look(), what


async def test_a_list_is_fetched_and_fetched_again(stage: Stage) -> None:
    vendor = Vendor(listed("a"), listed("a", "b"))
    async with serving(vendor.script) as server:
        stage.apply(server)
        assert stage.names == [], "nobody waits for the list"
        assert stage.view["state"] == "pending"
        await until(lambda: stage.names == ["lab/a"], "the list is there")
        await until(lambda: stage.names == ["lab/a", "lab/b"], "the list is refreshed")
        assert (stage.view["state"], stage.view["models"], stage.view["detail"]) == ("ok", 2, None)


async def test_fake_models_are_listed_if_configured(stage: Stage) -> None:
    def names(catalog: Catalog) -> list[str]:
        return [each.name for each in catalog.listed_models(lambda _: True)]

    assert names(stage.apply(None)) == []
    assert names(stage.apply(None, lists_fakes=True)) == [f"fake/{name}" for name in FAKE_MODELS]
    assert stage.keeper.views() == [], "nothing is fetched"
    assert names(stage.apply(None, None, lists_fakes=True)) == []
    stage.apply(None, lists_fakes=True)
    assert names(stage.apply(None)) == []


@pytest.mark.parametrize(
    "broken",
    [
        answer(b"{}", status=500),
        answer(b"{}", status=404),
        answer(b"{}", status=401),
        answer(b"<html>"),
        answer(b"[" * 100_000),
        answer(b'{"data":[' + b'{"id":"a"},' * 500_000 + b'{"id":"a"}]}'),
        b"",
        None,
    ],
    ids=["500", "404", "401", "html", "deep", "huge", "empty", "silent"],
)
async def test_a_failure_keeps_the_last_list(
    stage: Stage, broken: bytes | None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(model_lists, "_TIMEOUT_S", 0.3)
    async with serving(Vendor(listed("a"), broken).script) as server:
        stage.apply(server)
        await until(lambda: stage.view["state"] == "unavailable", "the failure is noted")
        assert stage.names == ["lab/a"]
        assert stage.view["detail"]
        [message] = {record.message for record in caplog.records}
        assert message.startswith("The models of the provider lab are not listed. ")
        assert message.endswith(" The previous list is kept.")


async def test_a_list_returns_after_a_failure(stage: Stage) -> None:
    async with serving(Vendor(answer(b"{}", status=503), listed("a")).script) as server:
        stage.apply(server)
        await until(lambda: stage.names == ["lab/a"], "the list is there")
        assert (stage.view["state"], stage.view["detail"]) == ("ok", None)


async def test_a_reload_stops_what_is_no_longer_wanted(stage: Stage) -> None:
    async with serving(Vendor(listed("a")).script) as server:
        stage.apply(server)
        await until(lambda: stage.names, "the list is there")
        stage.apply(None)
        assert (stage.names, stage.keeper.views()) == ([], [])
        stage.apply(server, None)
        assert stage.keeper.views() == []
        stage.apply(server)
        await until(lambda: stage.names, "the list is there again")
        stage.apply(server, allows_any_model=False)
        assert (stage.names, stage.keeper.views()) == ([], [])


async def test_a_reload_without_a_change_asks_nobody(stage: Stage) -> None:
    vendor = Vendor(listed("a"))
    async with serving(vendor.script) as server:
        stage.apply(server, 3600)
        await until(lambda: stage.names, "the list is there")
        stage.apply(server, 3600)
        await asyncio.sleep(0.05)
        assert (stage.names, len(vendor.heads)) == (["lab/a"], 1)
        stage.apply(server, 1800)
        assert stage.names == ["lab/a"], "the list is kept when only the interval changes"
        await until(lambda: len(vendor.heads) == 2, "the list is fetched again")


async def test_a_reload_with_another_endpoint_drops_the_old_list(stage: Stage) -> None:
    async with serving(Vendor(listed("a")).script) as first, serving(Vendor(listed("b")).script) as second:
        stage.apply(first)
        await until(lambda: stage.names == ["lab/a"], "the list is there")
        stage.apply(second)
        assert stage.names == []
        await until(lambda: stage.names == ["lab/b"], "the other list is there")
        stage.apply(second, credentials=(Secret("sk"),))
        assert stage.names == []


async def test_a_refused_credential_is_not_set_aside_for_requests(stage: Stage) -> None:
    async with serving(Vendor(answer(b"{}", status=403)).script) as server:
        catalog = stage.apply(server, credentials=(Secret("one"), Secret("two")))
        await until(lambda: stage.view["state"] == "unavailable", "the failure is noted")
        states = stage.pool.credential_states([catalog.endpoint_of("lab")])
        assert [each.state for each in states] == ["ready", "ready"]


async def test_a_list_that_nobody_reads_waits_until_the_gateway_is_quiet(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_lists, "_QUIET_S", 0.05)
    monkeypatch.setattr(model_lists, "_QUIET_STEP_S", 0.01)
    vendor = Vendor(listed("a"))
    async with serving(vendor.script) as server:
        stage.traffic = Traffic(in_flight=1, total=1)
        stage.apply(server, 3600)
        await asyncio.sleep(0.15)
        assert vendor.heads == [], "a request is in flight"
        for total in range(2, 8):
            stage.traffic = Traffic(in_flight=0, total=total)
            await asyncio.sleep(0.02)
        assert vendor.heads == [], "requests still arrive"
        await until(lambda: vendor.heads, "the list is fetched")


async def test_a_list_that_is_read_is_fetched_during_requests(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_lists, "_QUIET_S", 60.0)
    monkeypatch.setattr(model_lists, "_QUIET_STEP_S", 0.01)
    async with serving(Vendor(listed("a")).script) as server:
        stage.traffic = Traffic(in_flight=1, total=1)
        stage.apply(server, 3600)
        await until(lambda: stage.names == ["lab/a"], "the list is there")


async def test_a_list_does_not_wait_forever(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_lists, "_QUIET_S", 60.0)
    monkeypatch.setattr(model_lists, "_QUIET_STEP_S", 0.01)
    monkeypatch.setattr(model_lists, "_QUIET_LIMIT_S", 0.1)
    vendor = Vendor(listed("a"))
    async with serving(vendor.script) as server:
        stage.traffic = Traffic(in_flight=1, total=1)
        stage.apply(server, 3600)
        await until(lambda: vendor.heads, "the list is fetched")


@pytest.mark.parametrize(
    ("failures", "longest_s"), [(0, 3600), (1, 10), (2, 20), (5, 160), (9, 2560), (10, 3600), (10_000, 3600)]
)
def test_failures_are_repeated_sooner_but_less_and_less_often(failures: int, longest_s: float) -> None:
    delays = [delay_s(3600, failures, random.Random(seed)) for seed in range(50)]
    assert longest_s * 0.8 <= min(delays) < max(delays) <= longest_s
    assert delay_s(1, failures, random.Random(1)) <= 1
