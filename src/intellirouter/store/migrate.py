"""Bring a database to the newest schema: `python -m intellirouter.store.migrate URL`.

Run as a child process by the store, only when the schema differs, because Alembic costs 0.3 s and 10 MB to import.
"""

import sys
from pathlib import Path

from alembic import command
from alembic.config import Config

from intellirouter.store.database import open_engine


def upgrade(url: str) -> None:
    """Create or upgrade the tables in one transaction; two processes at once wait for each other."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    engine = open_engine(url, writes=True)
    try:
        with engine.connect() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        engine.dispose()


if __name__ == "__main__":
    upgrade(sys.argv[1])
