"""The results of the client scripts: one test for each client, upstream dialect and check."""

import pytest

from tests.support.clients.client_scripts import Runs, clients
from tests.support.clients.world import UPSTREAMS

CASES = [
    pytest.param(client.name, upstream, check.name, id=f"{client.name}-{upstream}-{check.name}")
    for client in clients().values()
    for upstream in UPSTREAMS
    for check in client.checks
    if check.is_for(upstream)
]


@pytest.mark.parametrize(("client", "upstream", "check"), CASES)
def test_client(runs: Runs, client: str, upstream: str, check: str) -> None:
    outcome = runs[client].result()
    assert (upstream, check) in outcome.results, f"The script did not run this check:\n{outcome.output}"
    failure = outcome.results[upstream, check]
    assert failure is None, f"{client}, {upstream}, {check}:\n{failure}"


@pytest.mark.parametrize("client", clients())
def test_gateway_does_not_fail(runs: Runs, client: str) -> None:
    failure = runs[client].result().gateway_failure
    assert failure is None, failure
