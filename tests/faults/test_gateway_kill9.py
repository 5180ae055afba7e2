"""A gateway that is killed under load: every answer that a client received completely is in the ledger exactly once."""

import json
import sqlite3
import threading
from pathlib import Path
from typing import Any

from intellirouter.testing import MockVendor
from tests.support.gateway.fixtures import INPUT_USD, OUTPUT_USD
from tests.support.gateway.process import GatewayProcess, chat_request, until
from tests.support.gateway.raw_http import RawConnection

CLIENTS = 6
ANSWERS = 150
KILLS = 2


class Loader:
    """A client that sends requests until the gateway is killed, and records each complete answer."""

    def __init__(self, gateway: GatewayProcess, number: int) -> None:
        self.answered: dict[str, bool] = {}
        """Whether each request was a stream, by request id."""
        self._gateway = gateway
        self._number = number
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        turn = self._number
        try:
            with RawConnection(self._gateway.port) as link:
                while True:
                    turn += 1
                    stream = bool(turn % 2)
                    answer = link.post(json.dumps(chat_request("hello", "priced", stream=stream)).encode())
                    assert answer.status == 200
                    self.answered[answer.headers["x-request-id"]] = stream
        except (ConnectionError, ValueError):
            return  # the process was killed, possibly in the middle of a line

    def join(self) -> dict[str, bool]:
        self._thread.join(20)
        assert not self._thread.is_alive()
        return self.answered


def config(vendor: MockVendor) -> dict[str, Any]:
    price = {"input_per_1m_usd": INPUT_USD, "output_per_1m_usd": OUTPUT_USD}
    return {
        "providers": {"mock": {"vendor": "openai-compatible", "base_url": vendor.base_url}},
        "deployments": {"priced": {"provider": "mock", "model": "m", "price": price}},
    }


def run_and_kill(gateway: GatewayProcess) -> dict[str, bool]:
    loaders = [Loader(gateway, number) for number in range(CLIENTS)]
    try:
        until(lambda: sum(len(each.answered) for each in loaders) >= ANSWERS, "the load runs", 30)
    finally:
        gateway.kill()
    answered: dict[str, bool] = {}
    for each in loaders:
        answered |= each.join()
    return answered


def test_every_delivered_answer_is_in_the_ledger_exactly_once(vendor: MockVendor, tmp_path: Path) -> None:
    gateway = GatewayProcess(config(vendor), tmp_path)
    answered: dict[str, bool] = {}
    for _ in range(KILLS):
        gateway.start()
        answered |= run_and_kill(gateway)
    assert len(answered) >= KILLS * ANSWERS
    gateway.start()
    gateway.stop()  # a normal stop writes all spooled records to the database

    connection = sqlite3.connect(gateway.database)
    ledger = connection.execute("SELECT request_id, input_tokens, output_tokens, cost_microusd FROM ledger_entries")
    rows = ledger.fetchall()
    logged = [row[0] for row in connection.execute("SELECT request_id FROM exchange_log")]
    connection.close()
    ids = [row[0] for row in rows]
    assert len(ids) == len(set(ids))
    assert len(logged) == len(set(logged))
    assert set(answered) <= set(ids)
    assert set(answered) <= set(logged)
    by_id = {row[0]: row[1:] for row in rows}
    costs = {by_id[each] for each in answered}
    assert len(costs) == 1  # the same request costs the same, streamed or not
    ((tokens_in, tokens_out, cost),) = costs
    assert cost == int(tokens_in * INPUT_USD + tokens_out * OUTPUT_USD + 0.5)
    assert len(ids) - len(answered) <= KILLS * CLIENTS  # all others were in flight at a kill
