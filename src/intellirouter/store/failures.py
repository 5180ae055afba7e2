"""Describes why the database or the spool cannot be used, with the path and what to do. No SQL is imported."""

import os
from pathlib import Path
from typing import Final

from intellirouter.store.health import StoreUnavailable

_OTHER_FILE: Final = "Set store.url to another file."


def database_failure(error: Exception, path: Path) -> str:
    """Return whole sentences about an error of the driver, of SQLAlchemy or of the file system."""
    if isinstance(error, StoreUnavailable):
        return str(error)
    cause = getattr(error, "orig", None) or error
    text = str(cause).rstrip(".")
    if isinstance(cause, OSError):
        return f"The database {path} cannot be used: {reason_of(cause)}. {_OTHER_FILE}"
    if "is not a database" in text:
        return f"The file {path} is not an SQLite database. {_OTHER_FILE}"
    if "unable to open" in text:
        return f"The database {path} cannot be opened: {_open_problem(path)}. {_OTHER_FILE}"
    if "readonly database" in text:
        return f"The database {path} cannot be written. Check the permissions of the file and of its directory."
    if "is full" in text:
        return f"The database {path} cannot be written: the disk is full. Free space on it."
    if "malformed" in text:
        return f"The database {path} is damaged: {text}. Restore it from a backup, or set store.url to another file."
    return f"The database {path} cannot be used: {text} ({type(cause).__name__})."


def spool_failure(error: OSError | ValueError, directory: Path) -> str:
    """Return whole sentences about a spool directory that cannot be used."""
    return (
        f"The spool directory {directory} cannot be used: {reason_of(error)}. "
        "Set store.spool_dir, or store.url if the spool is next to the database, to a path that can be written."
    )


def reason_of(error: OSError | ValueError) -> str:
    """Return why a path cannot be used, as a clause."""
    if isinstance(error, FileExistsError):
        return "a file is in its place"
    text = getattr(error, "strerror", None) or str(error)
    return text[:1].lower() + text[1:]


def _open_problem(path: Path) -> str:
    """Find out what SQLite does not report."""
    try:
        if path.is_dir():
            return "it is a directory"
        os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC))
    except (OSError, ValueError) as error:
        return reason_of(error)
    return "its directory cannot be written" if not os.access(path.parent, os.W_OK) else "the reason is unknown"
