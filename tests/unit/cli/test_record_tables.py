"""How a record is shown in detail."""

from typing import Any

import pytest

from intellirouter.cli.record_tables import attempts_table, record_blocks
from intellirouter.core import AffinityUse, Attempt, ExchangeRecord


def shown(*, row: str = "cache", **members: Any) -> str:
    fixed = {
        "request_id": "req_1",
        "started_us": 0,
        "endpoint": "/v1/x",
        "tenant": "t",
        "status": 200,
        "duration_ms": 3.0,
    }
    table = list(record_blocks(ExchangeRecord(**{**fixed, **members})))[1]
    return str([each[1] for each in table.rows if each[0] == row])


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


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"outcome": "new"}, "session: new"),
        ({"outcome": "hit", "deployment": "a", "age_s": 42.4}, "session: stayed at a, 42 s later"),
        (
            {"outcome": "broken", "deployment": "a", "age_s": 1.0, "cause": "circuit open", "lost_microusd": 3100},
            "session: left a, 1 s later: circuit open; about 0.003100 USD of cached input lost",
        ),
        ({"outcome": "broken", "deployment": "a", "cause": "it fails"}, "session: left a, 0 s later: it fails"),
    ],
)
def test_what_affinity_did(members: dict[str, Any], expected: str) -> None:
    assert shown(row="affinity", affinity=AffinityUse(kind="session", **members)) == str([expected])
    assert shown(row="affinity") == "[]"
