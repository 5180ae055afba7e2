"""The URL of the store: which URLs this version supports, and the file that a URL names. No I/O."""

from pathlib import Path
from typing import Final

_PREFIX: Final = "sqlite:///"
_EXAMPLE: Final = "Set store.url to a file, for example sqlite:////path/to/intellirouter.db."


def check_store_url(url: str) -> None:
    """Raise ValueError with a message for the operator unless `url` names an SQLite file."""
    database_path(url)


def database_path(url: str) -> Path:
    """Return the file of a URL such as `sqlite:///relative.db` or `sqlite:////absolute.db`. Raises ValueError."""
    scheme = url.split(":", 1)[0]
    if scheme.split("+", 1)[0] in {"postgresql", "postgres"}:
        raise ValueError(f"PostgreSQL is not available in this version. {_EXAMPLE}")
    if scheme != "sqlite":
        raise ValueError(
            f"store.url must start with sqlite:///, not {scheme}:. Only SQLite is available in this version."
        )
    path = url.removeprefix(_PREFIX)
    if not url.startswith(_PREFIX) or path in {"", ":memory:"}:
        raise ValueError(f"store.url must name a file, because the ledger must outlive the process. {_EXAMPLE}")
    if "?" in path or path.startswith("file:"):
        raise ValueError("store.url must be a plain file path without parameters.")
    return Path(path)
