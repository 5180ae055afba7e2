"""How a record is shown in detail."""

from typing import Any

import pytest

from intellirouter.cli.record_tables import attempts_table, record_blocks
from intellirouter.core import Attempt, ExchangeRecord


def shown(**members: Any) -> str:
    fixed = {
        "request_id": "req_1",
        "started_us": 0,
        "endpoint": "/v1/x",
        "tenant": "t",
        "status": 200,
        "duration_ms": 3.0,
    }
    table = list(record_blocks(ExchangeRecord(**{**fixed, **members})))[1]
    return str([row[1] for row in table.rows if row[0] == "cache"])


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({}, "[]"),
        ({"cache": "miss"}, "['miss']"),
        (
            {"cache": "hit", "cache_source": "req_0", "cache_age_s": 12.4, "saved_microusd": 4200},
            "['hit: the answer of req_0, 12 s old; it saved 0.004200 USD']",
        ),
        ({"cache": "joined", "cache_source": "req_0"}, "['joined: the answer of req_0']"),
        ({"cache": "bypass", "cache_reason": "it continues"}, "['bypass: it continues']"),
    ],
)
def test_what_the_cache_did(members: dict[str, Any], expected: str) -> None:
    assert shown(**members) == expected


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({}, " "),
        ({"message": "down."}, "down."),
        ({"queued_ms": 119.6}, "queued 120 ms"),
        ({"queued_ms": 5.0, "message": "a is down."}, "queued 5 ms. a is down."),
    ],
)
def test_wait_for_a_slot_is_shown_with_its_attempt(members: dict[str, Any], message: str) -> None:
    one = Attempt(deployment="a", kind="first", started_ms=1.0, ended_ms=2.0, **members)
    assert attempts_table((one,), 3.0).rows[0][-1] == message
