"""A gateway in front of every kind of upstream, shared by all tests that use the fixture `world`."""

from collections.abc import Iterator

import pytest

from intellirouter.testing import MockVendor
from tests.support.gateway.fixtures import KEYS
from tests.support.gateway.process import GatewayProcess
from tests.support.translation.world import CREDENTIAL, World, config


@pytest.fixture(scope="session")
def dialect_processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("dialects")
    with (
        MockVendor(api_key=CREDENTIAL) as vendor,
        GatewayProcess(config(vendor, directory), directory, admin_key=KEYS["admin"]) as gateway,
    ):
        world = World(gateway, vendor)
        yield world
        world.http.close()


@pytest.fixture
def world(dialect_processes: World) -> World:
    """The shared gateway and vendor; faults and recorded requests of the vendor are reset."""
    dialect_processes.vendor.reset()
    return dialect_processes
