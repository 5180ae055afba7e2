"""What operators read when the database or the spool cannot be used."""

import os
import sqlite3
from pathlib import Path

import pytest

from intellirouter.store.failures import database_failure, spool_failure
from intellirouter.store.health import StoreUnavailable

CANNOT_OPEN = sqlite3.OperationalError("unable to open database file")


def test_reason_that_sqlite_does_not_report_is_found(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").touch()
    reasons = {
        "": "it is a directory",
        "loop": "too many levels of symbolic links",
        "file/store.db": "not a directory",
        "absent/store.db": "no such file or directory",
        "x" * 300: "file name too long",
    }
    for name, reason in reasons.items():
        path = tmp_path / name
        expected = f"The database {path} cannot be opened: {reason}. Set store.url to another file."
        assert database_failure(CANNOT_OPEN, path) == expected


@pytest.mark.parametrize(
    ("error", "part"),
    [
        (sqlite3.DatabaseError("file is not a database"), "The file s.db is not an SQLite database."),
        (
            sqlite3.OperationalError("database or disk is full"),
            "The database s.db cannot be written: the disk is full.",
        ),
        (sqlite3.OperationalError("attempt to write a readonly database"), "Check the permissions of the file"),
        (sqlite3.DatabaseError("database disk image is malformed"), "The database s.db is damaged"),
        (sqlite3.OperationalError("no such table: x"), "cannot be used: no such table: x (OperationalError)."),
        (PermissionError(13, "Permission denied"), "The database s.db cannot be used: permission denied."),
        (StoreUnavailable("It is too new."), "It is too new."),
    ],
)
def test_failure_names_the_database_and_the_reason(error: Exception, part: str) -> None:
    assert part in database_failure(error, Path("s.db"))


def test_error_of_the_driver_is_reported_without_the_statement(tmp_path: Path) -> None:
    error = Exception("(sqlite3.OperationalError) … [SQL: SELECT 1]")
    error.orig = sqlite3.DatabaseError("file is not a database")  # type: ignore[attr-defined]
    assert "SELECT" not in database_failure(error, tmp_path)


def test_spool_failure_names_the_directory_and_both_settings(tmp_path: Path) -> None:
    text = spool_failure(FileExistsError(17, os.strerror(17)), tmp_path)
    assert text.startswith(f"The spool directory {tmp_path} cannot be used: a file is in its place. ")
    assert "store.spool_dir" in text
    assert "store.url" in text
