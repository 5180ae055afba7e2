"""Whether a gateway is ready whose local models cannot serve."""

import asyncio
import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from intellirouter.hosting import HostSettings
from intellirouter.roles import check
from intellirouter.roles.compose import GatewayProcess

BROKEN = {"provider": "local", "artifact": "/no/such/file.gguf"}
ECHO = {"provider": "magic", "model": "fake/echo"}
Started = Callable[..., Any]


@pytest.fixture
def started(tmp_path: Path) -> Started:
    """A started gateway with these providers and deployments, when its local models have failed."""

    @asynccontextmanager
    async def start(providers: dict[str, Any], deployments: dict[str, Any]) -> AsyncIterator[GatewayProcess]:
        run_dir = tempfile.mkdtemp(prefix="ir-", dir="/tmp")
        path = tmp_path / "config.yaml"
        config = {"store": f"sqlite:///{tmp_path}/a.db", "host": {"run_dir": run_dir, "cache_dir": str(tmp_path)}}
        path.write_text(json.dumps(config | {"providers": providers, "deployments": deployments}))
        process = GatewayProcess(check(path))
        process.host._settings = HostSettings(worker_command=("true",))
        await process.start()
        async with asyncio.timeout(10):
            while any(view.problem is None for view in process.host.views()):
                await asyncio.sleep(0.01)
        yield process
        process.begin_stop()
        await process.stop()
        shutil.rmtree(run_dir)

    return start


async def test_gateway_is_not_ready_if_all_its_models_are_unavailable(started: Started) -> None:
    async with started({"local": {"vendor": "host"}}, {"a": BROKEN, "b": BROKEN}) as process:
        assert process._check_ready() == (False, "models: unavailable")


@pytest.mark.parametrize(
    ("providers", "deployments"),
    [
        ({"local": {"vendor": "host"}, "magic": {"vendor": "fake"}}, {"a": BROKEN, "b": ECHO}),
        ({"local": {"vendor": "host"}, "magic": {"vendor": "fake"}}, {"a": BROKEN}),  # `magic/...` can be called
        ({"local": {"vendor": "host"}}, {}),
    ],
)
async def test_gateway_is_ready_if_something_can_serve(
    started: Started, providers: dict[str, Any], deployments: dict[str, Any]
) -> None:
    async with started(providers, deployments) as process:
        assert process._check_ready()[0]
