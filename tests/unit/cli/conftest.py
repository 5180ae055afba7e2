import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


def _scripted() -> ModuleType:
    """The module of the client tests: test folders are no packages."""
    name = "scripted_gateway"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).parent.parent / "client" / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture
def scripted() -> ModuleType:
    """`Reply`, `sse`, `completion`, `piece`."""
    return _scripted()


@pytest.fixture
def gateway() -> Iterator[Any]:
    """A `ScriptedGateway` on a free port."""
    with _scripted().ScriptedGateway().running() as running:
        yield running
