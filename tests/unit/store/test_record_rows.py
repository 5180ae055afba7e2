from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from intellirouter.core import Candidate, Decision, ExchangeRecord, Usage
from intellirouter.store.record_columns import LEDGER_COLUMNS, LOG_COLUMNS
from intellirouter.store.record_rows import rows_of

Make = Callable[..., ExchangeRecord]


def log_row(*records: ExchangeRecord) -> dict[str, Any]:
    found = rows_of([msgspec.json.encode(record) for record in records])
    return dict(zip((column.name for column in LOG_COLUMNS), found.log, strict=True))


def ledger_row(*records: ExchangeRecord) -> dict[str, Any]:
    found = rows_of([msgspec.json.encode(record) for record in records])
    return dict(zip((column.name for column in LEDGER_COLUMNS), found.ledger, strict=True))


def test_every_column_comes_from_its_field(make_record: Make) -> None:
    candidate = Candidate(deployment="d", provider="p", upstream_model="u", verdict="chosen", reason="first")
    record = make_record(
        key_name="ci",
        is_stream=True,
        status=502,
        error_code="upstream_timeout",
        decision=Decision("m", "priority", "first", ("d",), 1, (candidate,)),
        usage=Usage(
            input_tokens=1,
            cache_read_tokens=2,
            cache_write_tokens=3,
            cache_write_1h_tokens=8,
            output_tokens=4,
            reasoning_tokens=5,
            input_audio_tokens=6,
            output_audio_tokens=7,
            is_estimated=True,
            is_implausible=True,
            provider_cost_microusd=9,
        ),
    )
    body = msgspec.json.encode(record)
    log, ledger = log_row(record), ledger_row(record)
    assert log.pop("body") == body.decode()
    assert log.pop("size_bytes") == len(body)
    assert record.usage is not None
    for row in (log, ledger):
        for name, value in row.items():
            assert value == getattr(record.usage if hasattr(record.usage, name) else record, name), name


def test_rows_of_several_records_follow_one_another(make_record: Make) -> None:
    records = [make_record(), make_record(usage=None), make_record()]
    found = rows_of([msgspec.json.encode(record) for record in records])
    assert found.records == 3
    assert len(found.log) == 3 * len(LOG_COLUMNS)
    assert len(found.ledger) == 2 * len(LEDGER_COLUMNS)


def test_no_ledger_entry_without_usage(make_record: Make) -> None:
    assert rows_of([msgspec.json.encode(make_record(usage=None))]).ledger == []


def test_an_unknown_price_stays_unknown(make_record: Make) -> None:
    assert ledger_row(make_record(cost_microusd=None, price_version=None))["cost_microusd"] is None


def test_a_duration_that_is_not_a_number_is_null(make_record: Make) -> None:
    assert log_row(make_record(duration_ms=float("nan")))["duration_ms"] is None


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"request_id":', b'{"request_id":1}', b"\xff"])
def test_json_that_is_not_a_record_is_rejected(make_record: Make, body: bytes) -> None:
    whole = msgspec.json.encode(make_record())
    found = rows_of([whole, body, whole])
    assert (found.records, found.rejected) == (2, [body])
    assert len(found.log) == 2 * len(LOG_COLUMNS)
