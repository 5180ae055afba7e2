from typing import get_type_hints

from intellirouter.core import ExchangeRecord, RecordColumn, Usage
from intellirouter.store import LogRow
from intellirouter.store.record_columns import LEDGER_COLUMNS, LOG_COLUMNS, Column


def by_name(columns: tuple[Column, ...]) -> dict[str, Column]:
    return {column.name: column for column in columns}


def test_the_log_has_every_column_that_its_pages_show() -> None:
    assert set(by_name(LOG_COLUMNS)) == {*LogRow.__struct_fields__, "size_bytes", "body"}


def test_the_ledger_has_a_column_for_every_field_of_usage() -> None:
    assert set(Usage.__struct_fields__) <= set(by_name(LEDGER_COLUMNS))
    assert set(by_name(LEDGER_COLUMNS)) <= {*Usage.__struct_fields__, *ExchangeRecord.__struct_fields__}


def test_every_marked_field_of_the_record_is_a_column() -> None:
    hints = get_type_hints(ExchangeRecord, include_extras=True)
    marks = {name: each for name, hint in hints.items() for each in getattr(hint, "__metadata__", ())}
    marked = {name: each for name, each in marks.items() if isinstance(each, RecordColumn)}
    assert {name for name, each in marked.items() if each.is_in_log} <= set(by_name(LOG_COLUMNS))
    assert {name for name, each in marked.items() if each.is_in_ledger} - {"usage"} <= set(by_name(LEDGER_COLUMNS))
    assert {"request_id", "usage"} <= set(marked)


def test_types_follow_the_annotations() -> None:
    log, ledger = by_name(LOG_COLUMNS), by_name(LEDGER_COLUMNS)
    assert log["tenant"] == Column(name="tenant", value_type=str)
    assert log["is_stream"] == Column(name="is_stream", value_type=bool)
    assert log["key_name"] == Column(name="key_name", value_type=str, is_nullable=True)
    assert ledger["cost_microusd"] == Column(name="cost_microusd", value_type=int, is_nullable=True)
    assert ledger["status"] == Column(name="status", value_type=int, is_small=True)
    assert ledger["v"] == Column(name="v", value_type=int, is_small=True)


def test_a_float_may_be_null_because_json_has_no_nan() -> None:
    assert by_name(LOG_COLUMNS)["duration_ms"] == Column(name="duration_ms", value_type=float, is_nullable=True)
    assert by_name(LOG_COLUMNS)["duration_ms"].decoded_type == float | None
