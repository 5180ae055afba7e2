"""Changing the models of a running host."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from intellirouter.core import errors
from intellirouter.hosting import (
    ArtifactInvalid,
    HostSettings,
    HostStopped,
    LocalHost,
    LocalModel,
    ModelNotHosted,
    WorkerState,
    WorkerView,
)

STUB = Path(__file__).with_name("stub_worker.py")
Until = Callable[..., Any]


class Applied:
    """A host with stub workers, and what its tests observe and control."""

    def __init__(self, weights: Path, run_dir: Path, behavior: str, *, counts: bool = True, **settings: Any) -> None:
        self.weights = weights
        self.run_dir = run_dir
        self.events: list[WorkerView] = []
        self.in_flight: dict[str, int] = {}
        quick = {"health_interval_s": 0.05, "backoff_base_s": 0.02, "term_grace_s": 1.0, "drain_timeout_s": 10.0}
        command = (sys.executable, "-I", str(STUB), behavior)
        self.host = LocalHost(
            cache_dir=weights.parent / "cache",
            run_dir=run_dir,
            on_event=self.events.append,
            settings=HostSettings(worker_command=command, **(quick | settings)),
            count_requests=(lambda uds: self.in_flight.get(uds, 0)) if counts else None,
        )

    def model(self, name: str, **fields: Any) -> LocalModel:
        return LocalModel(name=name, **({"artifact": str(self.weights), "threads": 1} | fields))

    async def ready(self, *models: LocalModel) -> list[str]:
        """Apply these models and wait until all are ready. Return their socket paths."""
        self.host.apply(models)
        addresses = [await self.host.wait_ready(model.name, 10) for model in models]
        return [address.uds for address in addresses if address.uds is not None]

    def pid(self, name: str) -> int:
        pid = self.host.view(name).pid
        assert pid is not None
        return pid

    def states(self, name: str) -> list[str]:
        """The states of one model in order, without repetitions."""
        states = [event.state.value for event in self.events if event.name == name]
        return [state for before, state in zip([None, *states], states, strict=False) if state != before]

    def config(self) -> dict[str, Any]:
        """The configuration that the latest worker received."""
        config: dict[str, Any] = json.loads((self.run_dir / "config.json").read_text())
        return config

    def sockets(self) -> set[str]:
        return {str(path) for path in self.run_dir.glob("*.sock")}


@pytest.fixture
def run_dir() -> Iterator[Path]:
    """A directory that is short enough for sockets."""
    directory = Path(tempfile.mkdtemp(prefix="ir-", dir="/tmp"))
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def applied(tmp_path: Path, run_dir: Path, gguf: Callable[..., bytes]) -> Callable[..., Any]:
    """`async with applied("behavior", setting=…) as it`: a host that is stopped at the end."""

    @asynccontextmanager
    async def start(behavior: str = "well", **options: Any) -> AsyncIterator[Applied]:
        weights = tmp_path / "weights.gguf"
        weights.write_bytes(gguf())
        it = Applied(weights, run_dir, behavior, **options)
        try:
            yield it
        finally:
            await it.host.stop()
            assert it.sockets() == set()

    return start


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def slow_request(uds: str) -> int:
    """Send a request that the worker answers when the test lets it. Return the status."""
    async with httpx.AsyncClient(
        transport=httpx.AsyncHTTPTransport(uds=uds), base_url="http://w", timeout=20
    ) as client:
        return (await client.post("/slow", json={})).status_code


async def test_models_are_added_to_a_running_host_and_unchanged_ones_are_not_touched(applied: Any) -> None:
    async with applied() as it:
        await it.ready(it.model("a"))
        pid = it.pid("a")
        await it.ready(it.model("a"), it.model("b"))
        assert {view.name for view in it.host.views()} == {"a", "b"}
        for _ in range(3):
            it.host.apply([it.model("b"), it.model("a")])
        await asyncio.sleep(0)
        assert it.pid("a") == pid
        assert it.states("a") == it.states("b") == ["fetching", "loading", "ready"]


async def test_removed_model_is_stopped_and_forgotten(applied: Any, wait_until: Until) -> None:
    async with applied() as it:
        await it.ready(it.model("a"), it.model("b"))
        pids = it.pid("a"), it.pid("b")
        it.host.apply([it.model("b")])
        with pytest.raises(ModelNotHosted, match="does not serve a"):
            await it.host.wait_ready("a", 10)
        await wait_until(lambda: len(it.host.views()) == 1, "the removed model is forgotten")
        assert [is_alive(pid) for pid in pids] == [False, True]
        assert it.sockets() == {it.host.view("b").socket_path}
        assert it.states("a") == ["fetching", "loading", "ready", "draining", "stopped"]
        with pytest.raises(ModelNotHosted):
            it.host.view("a")


async def test_unknown_model_is_a_host_error(applied: Any) -> None:
    async with applied() as it:
        with pytest.raises(ModelNotHosted, match="does not serve nothing") as caught:
            await it.host.wait_ready("nothing", 10)
        assert isinstance(caught.value, errors.HostError)
        assert caught.value.code == "model_not_hosted"


@pytest.mark.parametrize("change", [{"ctx_tokens": 1024}, {"slots": 2}, {"threads": 2}, {"artifact": "file:{path}"}])
async def test_changed_model_is_replaced(applied: Any, change: dict[str, Any]) -> None:
    async with applied() as it:
        change = {
            name: value.format(path=it.weights) if name == "artifact" else value for name, value in change.items()
        }
        await it.ready(it.model("a"), it.model("b"))
        before = it.pid("a"), it.pid("b")
        await it.ready(it.model("a", **change), it.model("b"))
        assert it.pid("a") != before[0]
        assert it.pid("b") == before[1]
        assert not is_alive(before[0])
        config = it.config()
        assert (config["name"], config["alias"]) == ("a", "a")
        assert {name: config[name] for name in change if name in config} == {
            name: value for name, value in change.items() if name in config
        }
        assert it.host.view("a").restarts == 0
        once = ["fetching", "loading", "ready"]
        assert it.states("a") == [*once, "draining", *once]


@pytest.mark.parametrize("is_removed", [True, False], ids=["removed", "changed"])
async def test_requests_in_flight_finish_before_the_worker_is_stopped(
    applied: Any, wait_until: Until, is_removed: bool
) -> None:
    async with applied() as it:
        [uds] = await it.ready(it.model("a"))
        pid = it.pid("a")
        request = asyncio.create_task(slow_request(uds))
        it.in_flight[uds] = 1
        it.host.apply([] if is_removed else [it.model("a", slots=1)])
        assert it.host.view("a").state is WorkerState.DRAINING
        assert it.host.view("a").socket_path is None, "no further request is sent to it"
        await asyncio.sleep(0.3)
        assert is_alive(pid)
        (it.run_dir / "respond").touch()
        assert await request == 200
        it.in_flight[uds] = 0
        await wait_until(lambda: not is_alive(pid), "the worker ends")
        if not is_removed:
            assert (await it.host.wait_ready("a", 10)).uds != uds


@pytest.mark.parametrize("counts", [True, False], ids=["counted", "not-counted"])
async def test_draining_is_bounded(applied: Any, wait_until: Until, counts: bool) -> None:
    async with applied(counts=counts, drain_timeout_s=0.3) as it:
        [uds] = await it.ready(it.model("a"))
        pid = it.pid("a")
        request = asyncio.create_task(slow_request(uds))
        it.in_flight[uds] = 1
        it.host.apply([])
        await asyncio.sleep(0.1)
        assert is_alive(pid)
        await wait_until(lambda: it.host.views() == (), "the worker ends")
        assert not is_alive(pid)
        with pytest.raises(httpx.TransportError):
            await request


async def test_worker_that_crashes_while_draining_is_not_restarted(applied: Any, wait_until: Until) -> None:
    async with applied() as it:
        [uds] = await it.ready(it.model("a"))
        it.in_flight[uds] = 1
        it.host.apply([])
        os.kill(it.pid("a"), signal.SIGKILL)
        await wait_until(lambda: it.host.views() == (), "the drain ends with the process")
        assert it.states("a") == ["fetching", "loading", "ready", "draining", "stopped"]


async def test_last_of_several_changes_counts(applied: Any, wait_until: Until) -> None:
    async with applied() as it:
        [uds] = await it.ready(it.model("a"))
        pid = it.pid("a")
        it.in_flight[uds] = 1
        it.host.apply([it.model("a", slots=1)])
        await asyncio.sleep(0.15)
        it.host.apply([])
        it.host.apply([it.model("a", slots=2)])
        it.host.apply([it.model("a", slots=3)])
        waiting = asyncio.create_task(it.host.wait_ready("a", 10))
        await asyncio.sleep(0.15)
        assert is_alive(pid), "the requests in flight still run"
        it.in_flight[uds] = 0
        assert (await waiting).uds == it.host.view("a").socket_path
        assert it.config()["slots"] == 3
        once = ["fetching", "loading", "ready"]
        assert it.states("a") == [*once, "draining", *once]


async def test_model_can_be_removed_and_added_again_while_it_drains(applied: Any) -> None:
    async with applied() as it:
        [uds] = await it.ready(it.model("a"))
        it.in_flight[uds] = 1
        it.host.apply([])
        with pytest.raises(ModelNotHosted):
            await it.host.wait_ready("a", 10)
        await asyncio.sleep(0.15)
        it.host.apply([it.model("a")])
        it.in_flight[uds] = 0
        assert (await it.host.wait_ready("a", 10)).uds != uds


@pytest.mark.parametrize("is_removed", [True, False], ids=["removed", "changed"])
async def test_model_that_is_still_loading_is_replaced_at_once(
    applied: Any, wait_until: Until, is_removed: bool
) -> None:
    async with applied("gated") as it:
        it.host.apply([it.model("a")])
        await wait_until(lambda: it.host.view("a").pid is not None, "spawned")
        pid = it.pid("a")
        waiting = asyncio.create_task(it.host.wait_ready("a", 10))
        await asyncio.sleep(0)
        it.host.apply([] if is_removed else [it.model("a", slots=1)])
        await wait_until(lambda: not is_alive(pid), "the old worker ends")
        (it.run_dir / "go").touch()
        if is_removed:
            with pytest.raises(ModelNotHosted):
                await waiting
            await wait_until(lambda: it.host.views() == (), "the model is forgotten")
        else:
            await waiting
            assert it.config()["slots"] == 1
        assert "draining" not in it.states("a")


async def test_failed_model_is_started_again_at_each_reload(applied: Any, tmp_path: Path) -> None:
    (tmp_path / "bad.gguf").write_bytes(b"not a model")
    async with applied() as it:
        bad = it.model("a", artifact=str(tmp_path / "bad.gguf"))
        it.host.apply([bad])
        with pytest.raises(ArtifactInvalid):
            await it.host.wait_ready("a", 10)
        it.host.apply([bad])
        with pytest.raises(ArtifactInvalid):
            await it.host.wait_ready("a", 10)
        (tmp_path / "bad.gguf").write_bytes((tmp_path / "weights.gguf").read_bytes())
        await it.ready(bad)
        assert it.states("a") == ["fetching", "failed", "fetching", "failed", "fetching", "loading", "ready"]


async def test_worker_that_waits_for_its_next_start_is_started_by_a_reload(applied: Any, wait_until: Until) -> None:
    async with applied("crash-once", backoff_base_s=1000.0, backoff_max_s=1000.0) as it:
        it.host.apply([it.model("a")])
        await wait_until(lambda: it.host.view("a").crashes == 1, "it has crashed")
        await it.ready(it.model("a"))
        assert it.states("a") == ["fetching", "loading", "backoff", "fetching", "loading", "ready"]


async def test_stop_ends_workers_that_are_draining(applied: Any) -> None:
    async with applied() as it:
        [uds, _] = await it.ready(it.model("a"), it.model("b"))
        pids = it.pid("a"), it.pid("b")
        it.in_flight[uds] = 1
        it.host.apply([it.model("b")])
        await asyncio.sleep(0.15)
        async with asyncio.timeout(5):
            await it.host.stop()
        assert not any(map(is_alive, pids))
        assert {view.state for view in it.host.views()} == {WorkerState.STOPPED}


async def test_stop_while_a_worker_is_being_ended_leaves_nothing(applied: Any) -> None:
    async with applied("deaf", term_grace_s=0.5) as it:
        await it.ready(it.model("a"))
        pid = it.pid("a")
        it.host.apply([])
        await asyncio.sleep(0.2)  # SIGTERM has been sent and ignored
        assert is_alive(pid)
        await it.host.stop()
        assert not is_alive(pid)
        assert it.sockets() == set()


async def test_apply_after_stop_has_no_effect(applied: Any) -> None:
    async with applied() as it:
        await it.ready(it.model("a"))
        await it.host.stop()
        it.host.apply([it.model("a", slots=1), it.model("b")])
        await asyncio.sleep(0.05)
        assert [(view.name, view.state) for view in it.host.views()] == [("a", WorkerState.STOPPED)]
        with pytest.raises(HostStopped):
            await it.host.wait_ready("a", 10)


async def test_default_run_dir_is_private_and_temporary(tmp_path: Path, gguf: Callable[..., bytes]) -> None:
    weights = tmp_path / "weights.gguf"
    weights.write_bytes(gguf())
    settings = HostSettings(worker_command=(sys.executable, "-I", str(STUB), "well"))
    host = LocalHost(cache_dir=tmp_path, settings=settings)
    host.apply([LocalModel(name="a", artifact=str(weights), threads=1)])
    uds = (await host.wait_ready("a", 10)).uds
    assert uds is not None
    run_dir = Path(uds).parent
    assert run_dir.stat().st_mode & 0o777 == 0o700
    await host.stop()
    assert not run_dir.exists()


def test_host_without_models_costs_nothing(tmp_path: Path) -> None:
    program = f"""
        import asyncio, sys, threading
        from pathlib import Path
        from intellirouter.hosting import LocalHost
        async def main():
            host = LocalHost(cache_dir=Path({str(tmp_path)!r}))
            host.apply([])
            await asyncio.sleep(0)
            print(len(asyncio.all_tasks()), threading.active_count(), "httpx" in sys.modules)
            await host.stop()
        asyncio.run(main())
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.split() == ["1", "1", "False"]
    assert list(tmp_path.iterdir()) == []
