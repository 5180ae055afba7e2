from collections.abc import Iterator
from types import ModuleType

import pytest

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
