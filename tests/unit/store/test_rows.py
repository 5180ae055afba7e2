from collections.abc import Callable

import msgspec
import pytest

from intellirouter.core import Candidate, Decision, ExchangeRecord, Usage
from intellirouter.store.rows import LEDGER_COLUMNS, LOG_COLUMNS, rows_of

Make = Callable[..., ExchangeRecord]


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
            output_tokens=4,
            reasoning_tokens=5,
            input_audio_tokens=6,
            output_audio_tokens=7,
            is_estimated=True,
        ),
    )
    body = msgspec.json.encode(record)
    log, ledger = rows_of(body)
    assert ledger is not None
    log_row, ledger_row = (
        dict(zip(names, row, strict=True)) for names, row in ((LOG_COLUMNS, log), (LEDGER_COLUMNS, ledger))
    )
    assert log_row.pop("body") == body.decode()
    assert log_row.pop("size_bytes") == len(body)
    assert record.usage is not None
    for row in (log_row, ledger_row):
        for name, value in row.items():
            assert value == getattr(record.usage if hasattr(record.usage, name) else record, name), name


def test_no_ledger_entry_without_usage(make_record: Make) -> None:
    _, ledger = rows_of(msgspec.json.encode(make_record(usage=None)))
    assert ledger is None


def test_an_unknown_price_stays_unknown(make_record: Make) -> None:
    _, ledger = rows_of(msgspec.json.encode(make_record(cost_microusd=None, price_version=None)))
    assert ledger is not None
    assert dict(zip(LEDGER_COLUMNS, ledger, strict=True))["cost_microusd"] is None


def test_a_duration_that_is_no_number_is_null(make_record: Make) -> None:
    log, _ = rows_of(msgspec.json.encode(make_record(duration_ms=float("nan"))))
    assert dict(zip(LOG_COLUMNS, log, strict=True))["duration_ms"] is None


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"request_id":', b'{"request_id":1}'])
def test_json_that_is_no_record_is_refused(body: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        rows_of(body)
