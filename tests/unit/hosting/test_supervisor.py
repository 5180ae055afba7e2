import asyncio
import json
import os
import re
import signal
import socket
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from intellirouter.core import errors
from intellirouter.hosting import (
    ArtifactInvalid,
    EngineMissing,
    HostSettings,
    HostStopped,
    LocalHost,
    LocalModel,
    WorkerFailed,
    WorkerState,
)

STUB = Path(__file__).with_name("stub_worker.py")
StubHost = Callable[..., Any]
Until = Callable[..., Any]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def post(uds: str, path: str) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=uds), base_url="http://localhost") as client:
        return await client.post(path, json={})


async def get(uds: str, path: str) -> Any:
    async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=uds), base_url="http://localhost") as client:
        return (await client.get(path)).json()


async def test_worker_is_fetched_loaded_and_ready(stub_host: StubHost) -> None:
    async with stub_host("well") as stub:
        endpoint = await stub.host.wait_ready("stub", 10)
        assert stub.states == ["fetching", "loading", "ready"]
        assert endpoint.uds == stub.view.socket_path
        assert endpoint.base_url == "http://local-worker/v1"
        assert stub.view.pid is not None
        assert stub.view.restarts == 0
        assert stub.view.cold_start_ms > 0
        assert stat.S_IMODE(stub.run_dir.stat().st_mode) == 0o700


async def test_stop_leaves_no_process_and_no_socket(stub_host: StubHost) -> None:
    async with stub_host("well") as stub:
        await stub.host.wait_ready("stub", 10)
        pid = stub.view.pid
        await stub.host.stop()
        assert not is_alive(pid)
        assert list(stub.run_dir.glob("*.sock")) == []
        assert stub.view.state is WorkerState.STOPPED
        with pytest.raises(HostStopped):
            await stub.host.wait_ready("stub", 10)
        await stub.host.stop()


async def test_worker_that_ignores_sigterm_is_killed_after_the_grace_time(stub_host: StubHost) -> None:
    async with stub_host("deaf", term_grace_s=0.1) as stub:
        await stub.host.wait_ready("stub", 10)
        pid = stub.view.pid
        async with asyncio.timeout(3):
            await stub.host.stop()
        assert not is_alive(pid)


async def test_stop_while_loading_ends_the_process(stub_host: StubHost, wait_until: Until) -> None:
    async with stub_host("silent") as stub:
        await wait_until(lambda: stub.view.pid is not None, "spawned")
        pid = stub.view.pid
        await stub.host.stop()
        assert not is_alive(pid)


async def test_worker_does_not_inherit_the_environment(stub_host: StubHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENDOR_API_KEY", "secret")
    async with stub_host("well") as stub:
        endpoint = await stub.host.wait_ready("stub", 10)
        environment = (await get(endpoint.uds, "/health"))["environment"]
        assert set(environment) <= {"PATH", "LANG", "HOME", "TMPDIR", "LC_CTYPE"}


async def test_worker_receives_its_configuration(stub_host: StubHost, tmp_path: Path) -> None:
    async with stub_host("well") as stub:
        await stub.host.wait_ready("stub", 10)
        config = json.loads((stub.run_dir / "config.json").read_text())
        assert config["model_path"] == str(tmp_path / "weights.gguf")
        assert config["ctx_tokens"] == 2048, "never more than the model was trained for"
        assert config["host_pid"] == os.getpid()
        assert config["threads"] == 1


async def test_killed_worker_is_replaced_on_a_new_socket(stub_host: StubHost, wait_until: Until) -> None:
    async with stub_host("well") as stub:
        first = await stub.host.wait_ready("stub", 10)
        os.kill(stub.view.pid, signal.SIGKILL)
        await wait_until(lambda: stub.view.restarts == 1 and stub.view.state is WorkerState.READY, "restarted")
        second = await stub.host.wait_ready("stub", 0)
        assert second.uds != first.uds
        assert [path.name for path in stub.run_dir.glob("*.sock")] == [Path(second.uds).name]
        assert stub.states == ["fetching", "loading", "ready", "backoff", "fetching", "loading", "ready"]
        assert any("SIGKILL" in event.detail for event in stub.events)


async def test_crash_before_ready_is_tried_again(stub_host: StubHost) -> None:
    async with stub_host("crash-once") as stub:
        await stub.host.wait_ready("stub", 10)
        assert stub.view.restarts == 1


async def test_after_three_crashes_requests_fail_at_once_and_the_worker_is_still_started_again(
    stub_host: StubHost, wait_until: Until
) -> None:
    async with stub_host("crash", backoff_max_s=0.2) as stub:
        with pytest.raises(WorkerFailed, match=r"exited with status 3.*weights on fire.*3 times in a row") as caught:
            await stub.host.wait_ready("stub", 10)
        assert caught.value.retry_after_s is not None
        assert stub.view.state is WorkerState.BACKOFF
        assert re.search(r"Next start in 0\.\d+ s, after 3 crashes in a row\.$", stub.view.detail)
        assert stub.view.stderr_tail == ("weights on fire",)
        assert stub.view.restarts == 2
        assert stub.view.pid is None
        await wait_until(lambda: stub.view.crashes >= 6, "it is started again and again")
        with pytest.raises(WorkerFailed):
            await stub.host.wait_ready("stub", 10)


async def test_worker_that_no_longer_crashes_serves_again(stub_host: StubHost, wait_until: Until) -> None:
    async with stub_host("crash-until-told", backoff_max_s=0.1) as stub:
        with pytest.raises(WorkerFailed):
            await stub.host.wait_ready("stub", 10)
        (stub.run_dir / "go").touch()
        await wait_until(lambda: stub.view.state is WorkerState.READY, "it serves again")
        assert (await stub.host.wait_ready("stub", 1)).uds == stub.view.socket_path


async def test_damaged_weights_are_a_clear_failure(stub_host: StubHost) -> None:
    async with stub_host("not-a-number") as stub:
        with pytest.raises(ArtifactInvalid, match=r"not numbers\. The weights in .*weights.gguf are damaged"):
            await stub.host.wait_ready("stub", 10)
        assert stub.view.state is WorkerState.FAILED
        assert stub.view.pid is None
        assert stub.states == ["fetching", "loading", "failed"]


async def test_observer_that_fails_does_not_end_the_worker(
    tmp_path: Path, socket_dir: Path, gguf: Callable[..., bytes]
) -> None:
    def fail(_: object) -> None:
        raise BrokenPipeError

    (tmp_path / "w.gguf").write_bytes(gguf())
    settings = HostSettings(worker_command=(sys.executable, "-I", str(STUB), "well"))
    host = LocalHost(cache_dir=tmp_path, run_dir=socket_dir / "r", settings=settings, on_event=fail)
    host.apply([LocalModel(name="m", artifact=str(tmp_path / "w.gguf"))])
    await host.wait_ready("m", 10)
    await host.stop()


@pytest.mark.parametrize(
    ("behavior", "reason"),
    [
        ("model", "stub failure"),
        ("garbage", "did not report READY"),
        ("no-first-token", "responded to its first prompt with status 500"),
        ("silent", r"not ready within 0.5 s\. It wrote nothing to standard error"),
        ("last-words", "could not load .*(stub failure).*Its last output: the tensor is bent"),
    ],
)
async def test_worker_that_never_becomes_ready_fails(stub_host: StubHost, behavior: str, reason: str) -> None:
    timeout_s = 0.5 if behavior == "silent" else 10.0
    async with stub_host(behavior, crash_limit=1, load_timeout_s=timeout_s) as stub:
        with pytest.raises(WorkerFailed, match=reason):
            await stub.host.wait_ready("stub", 10)
        assert list(stub.run_dir.glob("*.sock")) == []


async def test_missing_engine_is_not_tried_again(stub_host: StubHost) -> None:
    async with stub_host("engine") as stub:
        with pytest.raises(EngineMissing, match="stub failure"):
            await stub.host.wait_ready("stub", 10)
        assert stub.view.state is WorkerState.MISSING_ENGINE
        assert "intellirouter[local]" in stub.view.detail


async def test_missing_program_is_named_in_the_error(
    tmp_path: Path, socket_dir: Path, gguf: Callable[..., bytes]
) -> None:
    weights = tmp_path / "w.gguf"
    weights.write_bytes(gguf())
    settings = HostSettings(worker_command=("/nonexistent/engine",), crash_limit=1)
    host = LocalHost(cache_dir=tmp_path, run_dir=socket_dir / "r", settings=settings)
    host.apply([LocalModel(name="m", artifact=str(weights))])
    with pytest.raises(WorkerFailed, match="/nonexistent/engine"):
        await host.wait_ready("m", 10)
    await host.stop()


async def test_hung_worker_is_replaced(stub_host: StubHost, wait_until: Until) -> None:
    async with stub_host("well") as stub:
        endpoint = await stub.host.wait_ready("stub", 10)
        await post(endpoint.uds, "/hang")
        await wait_until(lambda: stub.view.restarts == 1 and stub.view.state is WorkerState.READY, "restarted")
        assert any("hung" in event.detail for event in stub.events)


async def test_frozen_worker_is_replaced(stub_host: StubHost, wait_until: Until) -> None:
    async with stub_host("well", term_grace_s=0.1) as stub:
        await stub.host.wait_ready("stub", 10)
        os.kill(stub.view.pid, signal.SIGSTOP)
        await wait_until(lambda: stub.view.restarts == 1 and stub.view.state is WorkerState.READY, "restarted")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="CPU time is read from /proc")
async def test_busy_worker_may_miss_more_health_checks_than_an_idle_one(stub_host: StubHost, wait_until: Until) -> None:
    async with stub_host("well", health_misses=1, busy_misses=6) as stub:
        endpoint = await stub.host.wait_ready("stub", 10)
        await post(endpoint.uds, "/busy")
        await wait_until(lambda: stub.view.restarts == 1, "restarted")
        assert any("6 consecutive health checks" in event.detail for event in stub.events)


async def test_wait_ready_reports_the_state_after_its_timeout(stub_host: StubHost) -> None:
    async with stub_host("gated") as stub:
        with pytest.raises(errors.ModelLoading, match=r"Its state is (fetching|loading)") as caught:
            await stub.host.wait_ready("stub", 0.05)
        assert caught.value.retry_after_s is not None
        waiting = asyncio.gather(stub.host.wait_ready("stub", 10), stub.host.wait_ready("stub", 10))
        (stub.run_dir / "go").touch()
        first, second = await waiting
        assert first == second


async def test_kept_output_is_bounded(stub_host: StubHost) -> None:
    async with stub_host("noisy") as stub:
        await stub.host.wait_ready("stub", 20)
        await stub.host.stop()
        assert stub.view.stderr_tail[-1] == "line 19999"
        assert len(stub.view.stderr_tail) == 20


async def test_invalid_artifact_fails_without_starting_a_worker(tmp_path: Path, socket_dir: Path) -> None:
    (tmp_path / "w.gguf").write_bytes(b"MZ\x90\x00 not a model")
    settings = HostSettings(worker_command=(sys.executable, "-c", "raise SystemExit('started')"))
    models = [LocalModel(name="m", artifact=f"file:{tmp_path}/w.gguf")]
    host = LocalHost(cache_dir=tmp_path, run_dir=socket_dir / "r", settings=settings)
    host.apply(models)
    with pytest.raises(ArtifactInvalid, match="not a GGUF file"):
        await host.wait_ready("m", 10)
    assert host.view("m").restarts == 0
    assert host.views()[0].state is WorkerState.FAILED
    await host.stop()


async def test_missing_engine_is_reported_with_a_hint(
    tmp_path: Path, socket_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    host = LocalHost(cache_dir=tmp_path, run_dir=socket_dir / "r")
    host.apply([LocalModel(name="m", artifact="x.gguf")])
    with pytest.raises(EngineMissing, match="not installed"):
        await host.wait_ready("m", 10)
    await host.stop()


async def test_stale_sockets_are_removed_and_live_ones_are_kept(socket_dir: Path, stub_host: StubHost) -> None:
    run_dir = socket_dir / "run"
    run_dir.mkdir()
    with socket.socket(socket.AF_UNIX) as dead, socket.socket(socket.AF_UNIX) as living:
        dead.bind(str(run_dir / "dead.sock"))
        living.bind(str(run_dir / "living.sock"))
        living.listen()
        dead.close()
        async with stub_host("well") as stub:
            await stub.host.wait_ready("stub", 10)
            assert not (run_dir / "dead.sock").exists()
            assert (run_dir / "living.sock").exists()


async def test_too_long_run_dir_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    host = LocalHost(cache_dir=tmp_path, run_dir=tmp_path / ("d" * 100))
    with pytest.raises(errors.HostError, match="is too long"):
        host.apply([LocalModel(name="m", artifact="x")])
    assert host.views() == ()
    host.apply([])


async def test_host_without_models_creates_no_files(tmp_path: Path, socket_dir: Path) -> None:
    host = LocalHost(cache_dir=tmp_path / "c", run_dir=socket_dir / "r")
    host.apply([])
    assert host.views() == ()
    await host.stop()
    assert list(tmp_path.iterdir()) == []


async def test_two_models_with_the_same_name_are_refused(tmp_path: Path) -> None:
    model = LocalModel(name="m", artifact="x")
    host = LocalHost(cache_dir=tmp_path, run_dir=tmp_path)
    with pytest.raises(ValueError, match="same name"):
        host.apply([model, model])
    assert host.views() == ()
