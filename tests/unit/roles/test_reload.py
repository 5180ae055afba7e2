"""Local models that a reload adds, changes and removes."""

import json
import shutil
import struct
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from intellirouter.config import Runtime
from intellirouter.core import UpstreamRequest, errors
from intellirouter.hosting import HostSettings, LocalModel, ModelNotHosted
from intellirouter.roles import check
from intellirouter.roles.compose import GatewayProcess
from intellirouter.roles.host import local_models

STUB = Path(__file__).resolve().parents[1] / "hosting" / "stub_worker.py"
REQUEST = UpstreamRequest(path="/chat/completions", body=b"{}")
TINY_GGUF = (
    b"GGUF"
    + struct.pack("<IQQ", 3, 1, 0)
    + struct.pack("<Q", 1)
    + b"t"
    + struct.pack("<IQIQ", 1, 8, 0, 0)
    + b"weights!" * 4
)
Configure = Callable[..., Runtime]


@pytest.fixture
def configure(tmp_path: Path) -> Iterator[Configure]:
    """Compile a configuration with these local models: name to context size."""
    (tmp_path / "weights.gguf").write_bytes(TINY_GGUF)
    run_dir = Path(tempfile.mkdtemp(prefix="ir-", dir="/tmp"))  # short enough for sockets

    def compiled(**models: int) -> Runtime:
        artifact = {"provider": "local", "artifact": str(tmp_path / "weights.gguf")}
        config = {
            "store": {"url": f"sqlite:///{tmp_path}/gateway.db"},
            "host": {"run_dir": str(run_dir), "cache_dir": str(tmp_path), "threads": 1},
            "providers": {"local": {"vendor": "host"}, "magic": {"vendor": "fake"}},
            "deployments": {
                "echo": {"provider": "magic", "model": "fake/echo"},
                **{name: artifact | {"context_tokens": tokens} for name, tokens in models.items()},
            },
        }
        path = tmp_path / "config.yaml"
        path.write_text(json.dumps(config))
        return check(path)

    yield compiled
    shutil.rmtree(run_dir)


@pytest.fixture
async def process(configure: Configure) -> AsyncIterator[GatewayProcess]:
    """A gateway without local models. Workers that it starts are stubs."""
    process = GatewayProcess(configure())
    command = (sys.executable, "-I", str(STUB), "well")
    process.host._settings = HostSettings(worker_command=command, drain_timeout_s=5.0)
    await process.start()
    yield process
    process.begin_stop()
    await process.stop()


async def reload(process: GatewayProcess, runtime: Runtime) -> None:
    """Reload with this configuration in place of the file's."""
    process._load_runtime = lambda: runtime
    await process.reload()


async def _send(process: GatewayProcess, name: str) -> int:
    deployment = process.current.value.catalog.deployments[name]
    response = await process._upstream.send(deployment, REQUEST)
    await response.read(1000)
    return response.status


def test_local_models_of_a_configuration(configure: Configure) -> None:
    model: Any = {"threads": 1, "slots": 4, "upstream_model": "weights"}
    artifact = configure(small=512).deployments["small"].artifact
    assert local_models(configure(small=512, large=8192)) == [
        LocalModel(name="small", artifact=artifact, ctx_tokens=512, **model),
        LocalModel(name="large", artifact=artifact, ctx_tokens=8192, **model),
    ]
    assert local_models(configure()) == []


async def test_first_local_model_is_added_changed_and_removed(process: GatewayProcess, configure: Configure) -> None:
    assert process.host.views() == ()
    await reload(process, configure(m=512))
    old = process.current.value.catalog.deployments["m"]
    assert await _send(process, "m") == 200
    first = await process.host.wait_ready("m", 1)
    await reload(process, configure(m=512))
    assert await process.host.wait_ready("m", 1) == first, "an unchanged model keeps its worker"
    await reload(process, configure(m=256))
    assert await _send(process, "m") == 200
    assert await process.host.wait_ready("m", 1) != first
    await reload(process, configure())
    with pytest.raises(ModelNotHosted, match="does not serve m"):
        await process._upstream.send(old, REQUEST)


async def test_local_model_is_never_connected_to_without_its_worker(
    process: GatewayProcess, configure: Configure
) -> None:
    await reload(process, configure(m=512))
    deployment = process.current.value.catalog.deployments["m"]
    with pytest.raises(errors.UpstreamConnectFailed, match="m: The deployment has no network address"):
        await process.pool.send(deployment, REQUEST)


async def test_requests_in_flight_are_counted_for_their_worker(process: GatewayProcess, configure: Configure) -> None:
    await reload(process, configure(m=512))
    assert await _send(process, "m") == 200
    uds = (await process.host.wait_ready("m", 1)).uds
    assert uds is not None
    assert process.pool.requests_in_flight(uds) == 0
    deployment = process.current.value.catalog.deployments["m"]
    response = await process._upstream.send(deployment, REQUEST)
    assert process.pool.requests_in_flight(uds) == 1
    response.abort()
    assert process.pool.requests_in_flight("/run/other.sock") == 0


async def test_reload_without_a_configuration_file_is_a_warning(
    process: GatewayProcess, caplog: pytest.LogCaptureFixture
) -> None:
    before = process.current.value
    await process.reload()
    assert process.current.value is before
    assert [record.message for record in caplog.records] == ["There is no configuration file to reload."]
