from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from intellirouter.core import ExchangeRecord, Usage
from intellirouter.store import LogFilter, LogReader, StoreUnavailable
from intellirouter.store.database import BatchWriter, open_engine
from intellirouter.store.record_rows import rows_of

Make = Callable[..., ExchangeRecord]
Store = Callable[[list[ExchangeRecord]], None]


@pytest.fixture
def store(database: Path) -> Iterator[Store]:
    engine = open_engine(f"sqlite:///{database}", writes=True)
    writer = BatchWriter(engine)

    def settle(records: list[ExchangeRecord]) -> None:
        with writer.transaction():
            writer.insert(rows_of([msgspec.json.encode(record) for record in records]))

    yield settle
    writer.close()
    engine.dispose()


@pytest.fixture
def reader(database: Path) -> Iterator[LogReader]:
    reader = LogReader(f"sqlite:///{database}")
    yield reader
    reader.close()


def test_record_is_returned_unchanged(store: Store, reader: LogReader, make_record: Make) -> None:
    record = make_record(request_id="r1", error_message="späße ☃ \x00")
    store([record])
    assert reader.get("r1") == msgspec.json.encode(record)
    assert reader.get("r2") is None


@pytest.mark.parametrize("tenant", [None, "acme"])
def test_pages_neither_skip_nor_repeat_rows_while_new_ones_arrive(
    store: Store, reader: LogReader, make_record: Make, tenant: str | None
) -> None:
    records = [make_record(request_id=f"r{n:02d}", started_us=100 + n // 4) for n in range(25)]  # many ties
    store(records)
    seen: list[str] = []
    before: str | None = None
    for page_number in range(10):
        page = reader.list_exchanges(LogFilter(tenant=tenant), limit=7, before=before)
        seen += [row.request_id for row in page.rows]
        store([make_record(request_id=f"s{page_number}", started_us=1000)])
        before = page.next_before
        if before is None:
            break
    assert seen == [f"r{n:02d}" for n in reversed(range(25))]


def test_filters_combine(store: Store, reader: LogReader, make_record: Make) -> None:
    store(
        [
            make_record(request_id="ok"),
            make_record(request_id="other", tenant="beta", model="slow"),
            make_record(request_id="limited", status=429, error_code="rate_limit_exceeded"),
            make_record(request_id="cut", status=200, error_code="upstream_disconnected"),
            make_record(request_id="down", status=502, error_code="upstream_unavailable", deployment="two/big"),
        ]
    )

    def listed(**wanted: Any) -> set[str]:
        return {row.request_id for row in reader.list_exchanges(LogFilter(**wanted)).rows}

    assert listed() == {"ok", "other", "limited", "cut", "down"}
    assert listed(tenant="beta") == {"other"}
    assert listed(model="slow", tenant="acme") == set()
    assert listed(deployment="two/big") == {"down"}
    assert listed(status_class=4) == {"limited"}
    assert listed(errors_only=True) == {"limited", "cut", "down"}
    assert listed(errors_only=True, status_class=2) == {"cut"}


def test_requests_are_found_by_the_beginning_of_their_ids(store: Store, reader: LogReader, make_record: Make) -> None:
    store([make_record(request_id=each) for each in ("req_1a", "req_1b", "req_2", "REQ_1", "req%1", "req_")])

    def listed(prefix: str) -> set[str]:
        return {row.request_id for row in reader.list_exchanges(LogFilter(id_prefix=prefix)).rows}

    assert listed("req_1") == {"req_1a", "req_1b"}
    assert listed("req_1a") == {"req_1a"}
    assert listed("req%") == {"req%1"}
    assert listed("req_3") == set()
    assert len(listed("")) == 6


def test_limit_is_clamped(store: Store, reader: LogReader, make_record: Make) -> None:
    store([make_record() for _ in range(3)])
    assert len(reader.list_exchanges(LogFilter(), limit=0).rows) == 1
    assert len(reader.list_exchanges(LogFilter(), limit=10**9).rows) == 3


@pytest.mark.parametrize("cursor", ["", "x", "~r1", "'; --"])
def test_cursor_is_only_a_position(store: Store, reader: LogReader, make_record: Make, cursor: str) -> None:
    store([make_record(request_id="r1")])
    page = reader.list_exchanges(LogFilter(), before=cursor)
    assert [row.request_id for row in page.rows] == [id_ for id_ in ("r1",) if id_ < cursor]


def test_totals_are_exact_integers_by_group(store: Store, reader: LogReader, make_record: Make) -> None:
    big = 2**53 + 1
    store(
        [
            make_record(started_us=10, cost_microusd=big, usage=Usage(input_tokens=1, reasoning_tokens=2)),
            make_record(started_us=11, cost_microusd=2, usage=Usage(output_tokens=5, is_estimated=True)),
            make_record(started_us=12, cost_microusd=None),
            make_record(started_us=12, tenant="beta", model=None, cost_microusd=1),
            make_record(started_us=99),
            make_record(started_us=12, usage=None),
        ]
    )
    acme, beta = reader.ledger_totals(10, 99)
    assert (acme.tenant, acme.model, acme.deployment) == ("acme", "fast", "one/small")
    assert (acme.requests, acme.unpriced_requests, acme.estimated_requests) == (3, 1, 1)
    assert (acme.input_tokens, acme.output_tokens, acme.reasoning_tokens) == (11, 8, 2)
    assert acme.cost_microusd == big + 2
    assert (beta.tenant, beta.model, beta.requests) == ("beta", None, 1)
    assert [(total.tenant, total.requests) for total in reader.ledger_totals(10, by=("tenant",))] == [
        ("acme", 4),
        ("beta", 1),
    ]
    assert [total.requests for total in reader.ledger_totals(0, by=(), tenant="beta")] == [1]
    assert [total.cost_microusd for total in reader.ledger_totals(10**9, by=())] == [0]


def test_unreadable_database_is_an_error_with_the_reason(tmp_path: Path) -> None:
    missing = LogReader(f"sqlite:///{tmp_path / 'none.db'}")
    with pytest.raises(StoreUnavailable, match="There is no database at"):
        missing.get("r1")
    assert not (tmp_path / "none.db").exists()
    (tmp_path / "junk.db").write_bytes(b"junk" * 1000)
    junk = LogReader(f"sqlite:///{tmp_path / 'junk.db'}")
    with pytest.raises(StoreUnavailable, match="not a database"):
        junk.get("r1")
    junk.close()
    gated = LogReader(f"sqlite:///{tmp_path / 'junk.db'}", lambda: "being opened")
    with pytest.raises(StoreUnavailable, match="being opened"):
        gated.get("r1")
