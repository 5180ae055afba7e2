import sqlite3
import subprocess
import sys
from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from intellirouter.store import database as schema
from intellirouter.store import migrate, tables


def test_migrations_create_the_tables_of_the_code(database: Path) -> None:
    engine = create_engine(f"sqlite:///{database}")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), tables.metadata) == []
    engine.dispose()


def test_code_knows_every_revision_in_order() -> None:
    scripts = ScriptDirectory(str(Path(migrate.__file__).parent / "migrations"))
    assert tuple(script.revision for script in reversed(list(scripts.walk_revisions()))) == schema.REVISIONS
    assert scripts.get_current_head() == schema.HEAD


def test_two_concurrent_processes_create_one_schema(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "new.db"
    command = [sys.executable, "-m", "intellirouter.store.migrate", f"sqlite:///{path}"]
    children = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(2)]
    for child in children:
        _, said = child.communicate(timeout=60)
        assert child.returncode == 0, said.decode()
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(schema.HEAD,)]
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA auto_vacuum").fetchone() == (2,)
    connection.close()
    assert path.stat().st_mode & 0o077 == 0


def test_upgrading_a_current_database_has_no_effect(database: Path) -> None:
    connection = sqlite3.connect(database)
    before = list(connection.iterdump())
    migrate.upgrade(f"sqlite:///{database}")
    assert list(connection.iterdump()) == before
    connection.close()
