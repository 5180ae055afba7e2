"""Fixtures of the hosting tests: small GGUF files, wheels, and a host whose workers are scripts."""

import asyncio
import struct
import sys
import time
import zipfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from intellirouter.hosting import HostSettings, LocalHost, LocalModel, WorkerView

STUB = Path(__file__).with_name("stub_worker.py")


def _string(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()


def build_gguf(*, version: int = 3, trained_ctx_tokens: int = 2048, weights: bytes = b"w" * 64) -> bytes:
    """Return a minimal GGUF file with every kind of metadata and two tensors."""
    entries = [
        _string("general.architecture") + struct.pack("<I", 8) + _string("llama"),
        _string("general.name") + struct.pack("<I", 8) + _string("n" * 300),
        _string("llama.context_length") + struct.pack("<II", 4, trained_ctx_tokens),
        _string("llama.rope") + struct.pack("<If", 6, 1.5),
        _string("tokens") + struct.pack("<IIQ", 9, 8, 2) + _string("a") + _string("bc"),
        _string("scores") + struct.pack("<IIQ", 9, 6, 3) + b"\0" * 12,
    ]
    tensors = [
        _string("t0") + struct.pack("<I", 2) + struct.pack("<QQ", 4, 2) + struct.pack("<IQ", 0, 0),
        _string("t1") + struct.pack("<I", 1) + struct.pack("<Q", 8) + struct.pack("<IQ", 0, 32),
    ]
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(entries))
    return head + b"".join(entries) + b"".join(tensors) + weights


def build_wheel(directory: Path, distribution: str, version: str, member: str, content: bytes) -> Path:
    path = directory / f"{distribution.replace('-', '_')}-{version}-py3-none-any.whl"
    info = f"{distribution.replace('-', '_')}-{version}.dist-info"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr(member, content)
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return path


async def until(condition: Callable[[], bool], what: str, timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"did not happen within {timeout_s} s: {what}"
        await asyncio.sleep(0.01)


class StubHost:
    """A host with one stub worker, and all events of that worker."""

    def __init__(self, host: LocalHost, name: str, run_dir: Path, events: list[WorkerView]) -> None:
        self.host = host
        self.name = name
        self.run_dir = run_dir
        self.events = events

    @property
    def view(self) -> WorkerView:
        return self.host.view(self.name)

    @property
    def states(self) -> list[str]:
        """The states of the worker in order, without repetitions."""
        return [
            event.state.value
            for before, event in zip([None, *self.events], self.events, strict=False)
            if before is None or before.state is not event.state
        ]


@pytest.fixture(scope="session")
def gguf() -> Callable[..., bytes]:
    return build_gguf


@pytest.fixture(scope="session")
def wheel() -> Callable[[Path, str, str, str, bytes], Path]:
    return build_wheel


@pytest.fixture
def wait_until() -> Callable[..., object]:
    return until


@pytest.fixture
def stub_host(tmp_path: Path, socket_dir: Path) -> Callable[..., object]:
    """`async with stub_host("behavior", setting=…) as stub`: a host that is stopped at the end."""

    @asynccontextmanager
    async def start(behavior: str, **settings: float) -> AsyncIterator[StubHost]:
        weights = tmp_path / "weights.gguf"
        weights.write_bytes(build_gguf())
        quick = {
            "load_timeout_s": 10.0,
            "health_interval_s": 0.05,
            "health_timeout_s": 0.2,
            "backoff_base_s": 0.02,
            "term_grace_s": 1.0,
        }
        events: list[WorkerView] = []
        run_dir = socket_dir / "run"
        host = LocalHost(
            cache_dir=tmp_path / "cache",
            run_dir=run_dir,
            on_event=events.append,
            settings=HostSettings(worker_command=(sys.executable, "-I", str(STUB), behavior), **(quick | settings)),
        )
        host.apply([LocalModel(name="stub", artifact=str(weights), threads=1)])
        try:
            yield StubHost(host, "stub", run_dir, events)
        finally:
            await host.stop()

    return start
