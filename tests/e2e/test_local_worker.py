"""The local model host with the real engine and the bundled weights."""

import asyncio
import importlib.util
import json
import math
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from intellirouter.core.errors import HostError
from intellirouter.hosting import (
    EMBEDDING_INPUT_TOKENS,
    ArtifactInvalid,
    HostSettings,
    LocalHost,
    LocalModel,
    WorkerFailed,
    WorkerState,
    WorkerView,
    ensure_artifact,
    reworded_error,
)

pytestmark = [
    pytest.mark.local_model,
    pytest.mark.skipif(importlib.util.find_spec("xllamacpp") is None, reason="the extra `local` is not installed"),
]

MODEL = "smol"
ARTIFACT = "bundled:smollm2-135m"
QUESTION = [{"role": "user", "content": "What is the capital of France?"}]


@pytest.fixture(scope="module")
def cache_dir(repo: Path) -> Path:
    """The weights, which are fetched once and reused by later runs."""
    cache = repo / "build" / "model-cache"
    asyncio.run(ensure_artifact(ARTIFACT, cache_dir=cache))
    return cache


class Worker:
    """A running host and a client of its only worker."""

    def __init__(self, host: LocalHost, uds: str, run_dir: Path) -> None:
        self.host = host
        self.run_dir = run_dir
        self.client = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=uds, limits=httpx.Limits(max_connections=None)),
            base_url="http://localhost",
            timeout=60,
        )

    @property
    def pid(self) -> int:
        pid = self.host.view(MODEL).pid
        assert pid is not None
        return pid

    async def busy_slots(self) -> int:
        slots = (await self.client.get("/slots")).json()
        return sum(slot["is_processing"] for slot in slots)


@asynccontextmanager
async def started(cache_dir: Path, run_dir: Path, **settings: Any) -> AsyncIterator[Worker]:
    models = [LocalModel(name=MODEL, artifact=ARTIFACT, ctx_tokens=2048)]
    host = LocalHost(cache_dir=cache_dir, run_dir=run_dir, settings=HostSettings(**settings))
    host.apply(models)
    try:
        endpoint = await host.wait_ready(MODEL, 60)
        assert endpoint.uds is not None
        worker = Worker(host, endpoint.uds, run_dir)
        async with worker.client:
            yield worker
    finally:
        await host.stop()


async def until(condition: Callable[[], bool], what: str, timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        await asyncio.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][:1] != "Z"
    except FileNotFoundError:
        return False


def events(text: str) -> list[dict[str, Any]]:
    data = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    assert data.pop() == "[DONE]"
    return [json.loads(line) for line in data]


async def test_worker_answers_in_openai_format(cache_dir: Path, socket_dir: Path) -> None:
    request = {"model": MODEL, "messages": QUESTION, "max_tokens": 24, "temperature": 0, "cache_prompt": False}
    async with started(cache_dir, socket_dir / "run") as worker:
        models = (await worker.client.get("/v1/models")).json()["data"]
        assert [model["id"] for model in models] == [MODEL]

        whole = (await worker.client.post("/v1/chat/completions", json=request)).json()
        (choice,) = whole["choices"]
        assert whole["object"] == "chat.completion"
        assert whole["model"] == MODEL
        assert choice["message"]["role"] == "assistant"
        assert choice["finish_reason"] in {"stop", "length"}
        usage = whole["usage"]
        assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]

        plain = {"prompt": "The capital of France is", "max_tokens": 4, "temperature": 0}
        assert "Paris" in (await worker.client.post("/v1/completions", json=plain)).json()["choices"][0]["text"]

        request |= {"stream": True, "stream_options": {"include_usage": True}}
        response = await worker.client.post("/v1/chat/completions", json=request)
        assert response.headers["content-type"] == "text/event-stream"
        *chunks, last = events(response.text)
        content = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)
        assert content == choice["message"]["content"]
        assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
        assert chunks[-1]["choices"][0]["finish_reason"] == choice["finish_reason"]
        assert last["choices"] == []
        assert last["usage"]["completion_tokens"] == usage["completion_tokens"]


async def test_worker_returns_embeddings(cache_dir: Path, socket_dir: Path) -> None:
    async with started(cache_dir, socket_dir / "run") as worker:
        body = {"model": MODEL, "input": ["a cat", "a cat", "quarterly tax report"]}
        answer = (await worker.client.post("/v1/embeddings", json=body)).json()
        first, same, other = (item["embedding"] for item in answer["data"])
        assert math.isclose(sum(x * x for x in first), 1, abs_tol=1e-3)
        likeness = [sum(x * y for x, y in zip(first, vector, strict=True)) for vector in (same, other)]
        assert likeness[0] > 0.99 > likeness[1]
        assert answer["usage"]["prompt_tokens"] > 0


async def test_errors_about_the_context_are_recognized(cache_dir: Path, socket_dir: Path) -> None:
    async with started(cache_dir, socket_dir / "run") as worker:
        long = "\u0f04" * 3000
        chat = {"model": MODEL, "messages": [{"role": "user", "content": long}]}
        for path, body, limit in (
            ("/v1/chat/completions", chat, 2048),
            ("/v1/chat/completions", {**chat, "stream": True}, 2048),
            ("/v1/embeddings", {"model": MODEL, "input": long}, EMBEDDING_INPUT_TOKENS),
        ):
            response = await worker.client.post(path, json=body)
            error = reworded_error(response.status_code, response.content, MODEL, 2048)
            assert error.status == 400
            detail = json.loads(error.body)["error"]
            assert (detail["type"], detail["n_ctx"]) == ("exceed_context_size_error", limit)
            assert f"the local model {MODEL}" in detail["message"]


async def test_killed_worker_breaks_the_stream_and_is_restarted(cache_dir: Path, socket_dir: Path) -> None:
    request = {"messages": QUESTION, "max_tokens": 2000, "ignore_eos": True, "stream": True}
    async with started(cache_dir, socket_dir / "run", backoff_base_s=0.05) as worker:
        received: list[str] = []

        async def read_and_kill() -> None:
            async with worker.client.stream("POST", "/v1/chat/completions", json=request) as response:
                async for text in response.aiter_text():
                    if not received:
                        os.kill(worker.pid, signal.SIGKILL)
                    received.append(text)

        with pytest.raises(httpx.RemoteProtocolError):
            await read_and_kill()
        assert "[DONE]" not in "".join(received)
        await until(
            lambda: worker.host.view(MODEL).state is not WorkerState.READY,
            "the host notices that the worker was killed",
        )
        endpoint = await worker.host.wait_ready(MODEL, 30)
        assert worker.host.view(MODEL).restarts == 1
        assert endpoint.uds is not None
        async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=endpoint.uds), timeout=30) as client:
            answer = await client.post(
                f"{endpoint.base_url}/chat/completions", json=request | {"stream": False, "max_tokens": 2}
            )
        assert answer.json()["usage"]["completion_tokens"] == 2


async def test_client_disconnect_frees_the_slot(cache_dir: Path, socket_dir: Path) -> None:
    request = {"messages": QUESTION, "max_tokens": 2000, "ignore_eos": True, "stream": True}
    async with started(cache_dir, socket_dir / "run") as worker:
        async with worker.client.stream("POST", "/v1/chat/completions", json=request) as response:
            await anext(response.aiter_text())
            began = time.monotonic()
            while not await worker.busy_slots():  # the engine may send the first chunk before it reports the slot
                assert time.monotonic() - began < 2, "no slot serves the stream"
        left = time.monotonic()
        while await worker.busy_slots():
            assert time.monotonic() - left < 2, "the worker continues without a client"
        assert worker.host.view(MODEL).state is WorkerState.READY


async def test_stop_during_a_stream_leaves_no_process(cache_dir: Path, socket_dir: Path) -> None:
    request = {"messages": QUESTION, "max_tokens": 2000, "ignore_eos": True, "stream": True}
    async with started(cache_dir, socket_dir / "run") as worker:
        pid = worker.pid
        async with worker.client.stream("POST", "/v1/chat/completions", json=request) as response:
            chunks = response.aiter_text()
            await anext(chunks)
            began = time.monotonic()
            await worker.host.stop()
            assert time.monotonic() - began < 3
            with pytest.raises(httpx.RemoteProtocolError):
                async for _ in chunks:
                    pass
        assert not is_alive(pid)
        assert list(worker.run_dir.iterdir()) == []


async def test_queued_requests_do_not_count_as_a_hang(cache_dir: Path, socket_dir: Path) -> None:
    """More requests than slots wait in the engine, which still answers health checks."""
    settings = {"health_interval_s": 0.1, "health_timeout_s": 0.4, "health_misses": 2, "busy_misses": 2}
    async with started(cache_dir, socket_dir / "run", **settings) as worker:
        body = {"prompt": "a", "max_tokens": 3, "ignore_eos": True}
        for _ in range(3):
            answers = await asyncio.gather(*(worker.client.post("/v1/completions", json=body) for _ in range(48)))
            assert {answer.status_code for answer in answers} == {200}
        assert worker.host.view(MODEL).restarts == 0


async def test_killed_host_leaves_no_worker(cache_dir: Path, socket_dir: Path) -> None:
    program = f"""
        import asyncio
        from pathlib import Path
        from intellirouter.hosting import LocalHost, LocalModel
        async def main():
            models = [LocalModel(name="m", artifact={ARTIFACT!r})]
            host = LocalHost(cache_dir=Path({str(cache_dir)!r}), run_dir=Path({str(socket_dir / "run")!r}))
            host.apply(models)
            await host.wait_ready("m", 60)
            print(host.view("m").pid, flush=True)
            await asyncio.sleep(3600)
        asyncio.run(main())
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE) as gateway:
        assert gateway.stdout is not None
        pid = int(await asyncio.to_thread(gateway.stdout.readline))
        assert is_alive(pid)
        gateway.kill()
    await until(lambda: not is_alive(pid), "the worker has ended", timeout_s=5)


async def failure_of(artifact: Path, cache_dir: Path, run_dir: Path, **settings: Any) -> tuple[HostError, WorkerView]:
    """Return why a model cannot be served, and the state of its worker."""
    host = LocalHost(cache_dir=cache_dir, run_dir=run_dir, settings=HostSettings(**settings))
    host.apply([LocalModel(name=MODEL, artifact=str(artifact))])
    try:
        with pytest.raises(HostError) as caught:
            await host.wait_ready(MODEL, 30)
        return caught.value, host.view(MODEL)
    finally:
        await host.stop()


@pytest.mark.parametrize("damage", ["random", "zeros", "few bytes"])
async def test_damaged_weights_never_become_ready(
    cache_dir: Path, tmp_path: Path, socket_dir: Path, damage: str
) -> None:
    weights = bytearray((await ensure_artifact(ARTIFACT, cache_dir=cache_dir)).path.read_bytes())
    middle, seeded = len(weights) // 2, random.Random(7)
    if damage == "random":
        weights[middle : middle + 1_000_000] = seeded.randbytes(1_000_000)
    elif damage == "zeros":
        weights[middle:] = bytes(len(weights) - middle)
    else:
        for _ in range(2_000):
            weights[seeded.randrange(middle, len(weights))] = seeded.randrange(256)
    (tmp_path / "damaged.gguf").write_bytes(weights)
    error, view = await failure_of(tmp_path / "damaged.gguf", cache_dir, socket_dir / "run")
    assert isinstance(error, ArtifactInvalid)
    assert "damaged.gguf are damaged" in error.message
    assert view.state is WorkerState.FAILED
    assert "damaged.gguf are damaged" in view.detail


async def test_truncated_weights_are_refused_before_the_engine_starts(
    cache_dir: Path, tmp_path: Path, socket_dir: Path
) -> None:
    whole = (await ensure_artifact(ARTIFACT, cache_dir=cache_dir)).path.read_bytes()
    (tmp_path / "short.gguf").write_bytes(whole[:-100_000])
    error, view = await failure_of(tmp_path / "short.gguf", cache_dir, socket_dir / "run")
    assert isinstance(error, ArtifactInvalid)
    assert "is truncated" in error.message
    assert (view.state, view.restarts, view.cold_start_ms) == (WorkerState.FAILED, 0, None)


async def test_engine_error_about_weights_is_reported(cache_dir: Path, tmp_path: Path, socket_dir: Path) -> None:
    whole = (await ensure_artifact(ARTIFACT, cache_dir=cache_dir)).path.read_bytes()
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(whole.replace(b"\x05\0\0\0\0\0\0\0llama", b"\x05\0\0\0\0\0\0\0lambo", 1))
    host = LocalHost(
        cache_dir=cache_dir,
        run_dir=socket_dir / "run",
        settings=HostSettings(crash_limit=1),
    )
    host.apply([LocalModel(name=MODEL, artifact=str(broken))])
    try:
        with pytest.raises(WorkerFailed, match="unknown model architecture: 'lambo'"):
            await host.wait_ready(MODEL, 30)
    finally:
        await host.stop()
