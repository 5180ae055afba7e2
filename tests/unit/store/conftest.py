import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from intellirouter.config.runtime import StoreSpec
from intellirouter.core import ExchangeRecord, Usage, new_id
from intellirouter.store import migrate


class FakeClock:
    def __init__(self) -> None:
        self.now_s = 1000.0
        self.now_us = 1_800_000_000_000_000

    def monotonic_s(self) -> float:
        return self.now_s

    def epoch_us(self) -> int:
        self.now_us += 1  # the names of segments, and therefore their order, depend on it
        return self.now_us


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def make_record() -> Callable[..., ExchangeRecord]:
    def make(**changes: Any) -> ExchangeRecord:
        fields: dict[str, Any] = {
            "request_id": new_id("req_"),
            "started_us": 1_800_000_000_000_000,
            "endpoint": "/v1/chat/completions",
            "tenant": "acme",
            "model": "fast",
            "deployment": "one/small",
            "provider": "one",
            "upstream_model": "small",
            "status": 200,
            "duration_ms": 12.5,
            "usage": Usage(input_tokens=10, output_tokens=3),
            "cost_microusd": 7,
            "price_version": "config",
        }
        return ExchangeRecord(**(fields | changes))

    return make


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("migrated") / "empty.db"
    migrate.upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def database(tmp_path: Path, empty_database: Path) -> Path:
    """A migrated, empty database for this test."""
    return Path(shutil.copy(empty_database, tmp_path / "store.db"))


@pytest.fixture
def spec(tmp_path: Path, database: Path) -> StoreSpec:
    return StoreSpec(url=f"sqlite:///{database}", spool_dir=str(tmp_path / "spool"), fsync_interval_s=None)


@pytest.fixture
def sql(tmp_path: Path) -> Iterator[Callable[..., list[tuple[Any, ...]]]]:
    """Run SQL on the database of the test with a separate connection."""
    connections: list[sqlite3.Connection] = []

    def ask(statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        if not connections:
            connections.append(sqlite3.connect(tmp_path / "store.db", isolation_level=None))
        return connections[0].execute(statement, parameters).fetchall()

    yield ask
    for connection in connections:
        connection.close()
