"""Every client's script runs once, two at a time, each with a gateway and a vendor of its own.

Collected only where `CLIENTS` names the directory of the clients' environments (`make test-clients` sets it).
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
from tests.support.clients.world import ADMIN_KEY, CREDENTIAL, KEY, UPSTREAMS, gateway_config, instruct
from tests.support.gateway.process import GatewayProcess, until

# Many processes are started from threads at once; with vfork the kernel refuses one now and then (EFAULT).
subprocess._USE_VFORK = False

collect_ignore = [] if "CLIENTS" in os.environ else ["test_clients.py"]
AT_ONCE = 2
DATABASE_S = 60.0


def gist(failure: str) -> str | None:
    """Return what says most in a failure with a gateway's log in it; None for an upstream's own "internal error"."""
    at = max(failure.find("Traceback"), failure.find("internal error in"))
    if at < 0 and not failure.startswith("exit status"):
        return None
    return f"{failure[:200]}\n…\n{failure[max(at - 300, 0) : at + 5000]}"


def judge(client: Client, directory: Path) -> Outcome:
    """Run one client's script against a fresh gateway."""
    home = Path(os.environ["CLIENTS"]).resolve()
    with MockVendor(api_key=CREDENTIAL) as vendor:
        instruct(vendor)
        gateway = GatewayProcess(gateway_config(vendor, directory), directory, admin_key=ADMIN_KEY)
        gateway.start()
        try:
            # Stored responses need the database, which a busy machine may still be opening.
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
            except AssertionError as wrong:
                outcome = replace(outcome, gateway_failure=gist(str(wrong)))
        finally:
            gateway.kill()
    return outcome


@pytest.fixture(scope="session")
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    """By client name: what its script will have said."""
    wanted = {item.callspec.params["client"] for item in request.session.items if hasattr(item, "callspec")}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        started: Runs = {}
        for name in sorted(wanted):
            directory = tmp_path_factory.mktemp(name)
            started[name] = pool.submit(judge, clients()[name], directory)
        yield started
        for run in started.values():
            run.cancel()
