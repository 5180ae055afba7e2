"""One gateway and one vendor for all clients; every client's script runs once, two at a time.

Collected only where `CLIENTS` names the directory of the clients' environments (`make test-clients` sets it).
"""

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))
sys.path.insert(0, str(Path(__file__).parent))

from client_scripts import Runs, clients
from gateway_process import GatewayProcess
from world import ADMIN_KEY, CREDENTIAL, KEY, UPSTREAMS, gateway_config, instruct

from intellirouter.testing import MockVendor

collect_ignore = [] if "CLIENTS" in os.environ else ["test_clients.py"]
AT_ONCE = 2


@pytest.fixture(scope="session")
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    wanted = {item.callspec.params["client"] for item in request.session.items if hasattr(item, "callspec")}
    home = Path(os.environ["CLIENTS"]).resolve()
    directory = tmp_path_factory.mktemp("gateway")
    with (
        MockVendor(api_key=CREDENTIAL) as vendor,
        GatewayProcess(gateway_config(vendor, directory), directory, admin_key=ADMIN_KEY) as gateway,
        ThreadPoolExecutor(AT_ONCE) as pool,
    ):
        instruct(vendor)
        environment = {
            "GATEWAY_URL": gateway.url,
            "VENDOR_URL": vendor.url,
            "API_KEY": KEY,
            "ADMIN_KEY": ADMIN_KEY,
            "UPSTREAMS": ",".join(UPSTREAMS),
        }
        started: Runs = {}
        for name in sorted(wanted):
            place = tmp_path_factory.mktemp(name)
            started[name] = pool.submit(clients()[name].run, home, environment, place)
        yield started
        for run in started.values():
            run.cancel()
