"""How a record is shown in detail."""

from typing import Any

import pytest

from intellirouter.cli.record_tables import record_blocks
from intellirouter.core import ExchangeRecord


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
