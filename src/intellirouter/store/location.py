"""Where the store lives: which URLs this version takes, and the file behind them. No I/O."""

from pathlib import Path
from typing import Final

_PREFIX: Final = "sqlite:///"


def check_store_url(url: str) -> None:
    """Raise ValueError, in words for the operator, unless `url` names a SQLite file."""
    database_path(url)


def database_path(url: str) -> Path:
    """Return the file of a URL like `sqlite:///relative.db` or `sqlite:////absolute.db`; ValueError for others."""
    scheme = url.split(":", 1)[0]
    if scheme.split("+", 1)[0] in {"postgresql", "postgres"}:
        raise ValueError(
            "this version keeps its ledger in SQLite; PostgreSQL is not supported yet "
            "(store.url: sqlite:////path/to/intellirouter.db)"
        )
    if scheme != "sqlite":
        raise ValueError(
            f"store.url must begin with sqlite:/// (this version keeps its ledger in SQLite), not {scheme}:"
        )
    path = url.removeprefix(_PREFIX)
    if not url.startswith(_PREFIX) or path in {"", ":memory:"}:
        raise ValueError(
            "store.url must name a file (sqlite:////path/to/intellirouter.db): the ledger outlives the process"
        )
    if "?" in path or path.startswith("file:"):
        raise ValueError("store.url takes a plain file path, without parameters")
    return Path(path)
