"""Weights that cannot be fetched: the reason is known to everybody, and requests do not wait for them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from intellirouter.hosting import ArtifactUnavailable, HostSettings, LocalHost, LocalModel, WorkerState, actor

Until = Callable[..., Any]


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """Whether the network works."""
    state = {"works": False}
    fetch = actor.ensure_artifact

    async def ensure(*arguments: Any, **options: Any) -> Any:
        if not state["works"]:
            raise ArtifactUnavailable("pip could not download x==1. No route to host.")
        return await fetch(*arguments, **options)

    monkeypatch.setattr(actor, "ensure_artifact", ensure)
    return state


async def test_requests_fail_at_once_with_the_reason(stub_host: Any, network: dict[str, bool]) -> None:
    async with stub_host("well", backoff_base_s=0.05, backoff_max_s=0.1) as stub:
        with pytest.raises(ArtifactUnavailable) as caught:
            await stub.host.wait_ready("stub", 10)
        expected = (
            "The weights of the local model stub cannot be fetched: pip could not download x==1. No route to host."
        )
        assert caught.value.message == expected
        assert caught.value.hint.startswith("Check the network")
        assert caught.value.retry_after_s is not None


async def test_the_problem_remains_during_further_attempts_and_ends_with_it(
    stub_host: Any, network: dict[str, bool], wait_until: Until
) -> None:
    async with stub_host("well", backoff_base_s=0.02, backoff_max_s=0.05) as stub:
        await wait_until(lambda: sum(each.state is WorkerState.BACKOFF for each in stub.events) >= 3, "three attempts")
        first = next(each for each in stub.events if each.state is WorkerState.BACKOFF)
        later = stub.events[stub.events.index(first) :]
        assert {each.state for each in later} == {WorkerState.BACKOFF, WorkerState.FETCHING}
        assert all("No route to host." in each.problem for each in later)
        network["works"] = True
        await wait_until(lambda: stub.view.state is WorkerState.READY, "the worker is ready")
        assert stub.view.problem is None
        await stub.host.wait_ready("stub", 10)


async def test_a_model_that_has_failed_has_a_problem(tmp_path: Path, socket_dir: Path, wait_until: Until) -> None:
    settings = HostSettings(worker_command=("true",))
    host = LocalHost(cache_dir=tmp_path, run_dir=socket_dir / "run", settings=settings)
    host.apply([LocalModel(name="m", artifact=str(tmp_path / "none.gguf"))])
    try:
        await wait_until(lambda: host.view("m").state is WorkerState.FAILED, "it has failed")
        assert host.view("m").problem == host.view("m").detail
    finally:
        await host.stop()
