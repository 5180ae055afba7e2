"""Run the script of every client once, two at a time, each with its own gateway and vendor.

The tests are collected only if `CLIENTS` names the directory with the environments of the clients, as `make
test-clients` sets it.
"""

import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from intellirouter.testing import MockVendor
from tests.support.clients.client_scripts import Client, Outcome, Runs, clients
from tests.support.clients.world import ADMIN_KEY, CREDENTIAL, KEY, UPSTREAMS, add_faults, gateway_config
from tests.support.gateway.process import GatewayProcess, until

# Threads start many processes at once; with vfork, the kernel occasionally fails one of them (EFAULT).
subprocess._USE_VFORK = False

collect_ignore = [] if "CLIENTS" in os.environ else ["test_clients.py", "test_guide.py"]
AT_ONCE = 2
DATABASE_S = 60.0


def excerpt(failure: str) -> str | None:
    """Return the relevant part of a failure that contains the gateway's log, or None if only an upstream failed."""
    at = max(failure.find("Traceback"), failure.find("internal error in"))
    if at < 0 and not failure.startswith("exit status"):
        return None
    return f"{failure[:200]}\n…\n{failure[max(at - 300, 0) : at + 5000]}"


def run_client(client: Client, directory: Path) -> Outcome:
    """Run the script of a client against a new gateway."""
    home = Path(os.environ["CLIENTS"]).resolve()
    with MockVendor(api_key=CREDENTIAL) as vendor:
        add_faults(vendor)
        gateway = GatewayProcess(gateway_config(vendor, directory), directory, admin_key=ADMIN_KEY)
        gateway.start()
        try:
            # Stored responses need the database, which may still be opening on a busy machine.
            until(lambda: gateway.get("/api/v1/requests").status_code == 200, "the database is open", DATABASE_S)
            environment = {
                "GATEWAY_URL": gateway.url,
                "VENDOR_URL": vendor.url,
                "API_KEY": KEY,
                "ADMIN_KEY": ADMIN_KEY,
                "UPSTREAMS": ",".join(UPSTREAMS),
            }
            outcome = client.run(home, environment, directory)
            try:
                gateway.stop()
            except AssertionError as error:
                outcome = replace(outcome, gateway_failure=excerpt(str(error)))
        finally:
            gateway.kill()
    return outcome


@pytest.fixture(scope="session")
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    """The future outcome of each client, by name."""
    parameters = [item.callspec.params for item in request.session.items if hasattr(item, "callspec")]
    wanted = {each["client"] for each in parameters if "client" in each}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        started: Runs = {}
        for name in sorted(wanted):
            directory = tmp_path_factory.mktemp(name)
            started[name] = pool.submit(run_client, clients()[name], directory)
        yield started
        for run in started.values():
            run.cancel()
