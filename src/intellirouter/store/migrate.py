"""Upgrades a database to the newest schema: `python -m intellirouter.store.migrate URL`.

The store runs this in a child process, and only when the schema differs, because importing Alembic takes 0.3 s and
10 MB.
"""

import sys
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy.exc import SQLAlchemyError

from intellirouter.store.database import open_engine


def upgrade(url: str) -> None:
    """Create or upgrade the tables in one transaction. Concurrent processes wait for each other."""
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
    try:
        upgrade(sys.argv[1])
    except SQLAlchemyError as error:
        sys.exit(str(getattr(error, "orig", None) or error).splitlines()[0])  # the cause, without the statement
