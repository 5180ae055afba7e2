from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from intellirouter.cli import build_app
from tests.support.client import scripted_gateway


@pytest.fixture
def scripted() -> ModuleType:
    """`Reply`, `sse`, `completion`, `piece`."""
    return scripted_gateway


@pytest.fixture
def gateway() -> Iterator[scripted_gateway.ScriptedGateway]:
    """A `ScriptedGateway` on a free port."""
    with scripted_gateway.ScriptedGateway().running() as running:
        yield running


@pytest.fixture
def run(gateway: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a command line against the scripted gateway."""
    monkeypatch.setenv("INTELLIROUTER_BASE_URL", gateway.url)

    def run(*arguments: str, typed: str | None = None) -> Result:
        return CliRunner().invoke(build_app(), arguments, input=typed)

    return run
