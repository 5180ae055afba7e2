"""The SQL and the encryption behind `CredentialStore`."""

import importlib
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection, Engine, delete, insert, inspect, select, update
from sqlalchemy.exc import SQLAlchemyError

from intellirouter.store.database import is_current, open_engine
from intellirouter.store.failures import database_failure
from intellirouter.store.health import StoreUnavailable
from intellirouter.store.master_key import CredentialError
from intellirouter.store.tables import credentials

_NONCE_BYTES: Final = 12


class CredentialQueries:
    """One engine to read and one to write. Connections are opened when they are needed."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._reader = open_engine(url, writes=False)
        self._writer = open_engine(url, writes=True)

    def close(self) -> None:
        self._reader.dispose()
        self._writer.dispose()

    def ensure_schema(self) -> None:
        """Create or upgrade the database. Alembic is imported only if it is needed."""
        try:
            if not is_current(self._writer):
                importlib.import_module("intellirouter.store.migrate").upgrade(self._url)
        except SQLAlchemyError as error:
            raise _unavailable(error, self._writer) from error

    def put(self, name: str, secret: str, keys: Sequence[bytes], now_us: int) -> None:
        """Encrypt with the first key, after checking that an existing credential can be decrypted with the keys."""
        with _connect(self._writer) as connection:
            for other in _all(connection)[:1]:
                _decrypt(*other, keys)
            nonce, sealed = _encrypt(name, secret, keys[0])
            values = {"nonce": nonce, "sealed": sealed, "updated_us": now_us}
            changed = connection.execute(update(credentials).where(credentials.c.name == name).values(values))
            if not changed.rowcount:
                connection.execute(insert(credentials).values(name=name, created_us=now_us, **values))

    def get(self, name: str, keys: Sequence[bytes]) -> str | None:
        with _connect(self._reader) as connection:
            if not inspect(connection).has_table(credentials.name):
                return None
            wanted = select(credentials.c.nonce, credentials.c.sealed).where(credentials.c.name == name)
            row = connection.execute(wanted).one_or_none()
        return None if row is None else _decrypt(name, row.nonce, row.sealed, keys)

    def names(self) -> list[tuple[str, int, int]]:
        with _connect(self._reader) as connection:
            if not inspect(connection).has_table(credentials.name):
                return []
            wanted = select(credentials.c.name, credentials.c.created_us, credentials.c.updated_us)
            return [(row[0], row[1], row[2]) for row in connection.execute(wanted.order_by(credentials.c.name))]

    def remove(self, name: str) -> bool:
        with _connect(self._writer) as connection:
            return connection.execute(delete(credentials).where(credentials.c.name == name)).rowcount > 0

    def reencrypt(self, keys: Sequence[bytes], new_key: bytes) -> int:
        """Encrypt all credentials with `new_key`, in one transaction."""
        with _connect(self._writer) as connection:
            rows = _all(connection)
            for name, nonce, sealed in rows:
                new_nonce, new_sealed = _encrypt(name, _decrypt(name, nonce, sealed, (*keys, new_key)), new_key)
                connection.execute(
                    update(credentials).where(credentials.c.name == name).values(nonce=new_nonce, sealed=new_sealed)
                )
        return len(rows)


@contextmanager
def _connect(engine: Engine) -> Iterator[Connection]:
    try:
        with engine.begin() as connection:
            yield connection
    except SQLAlchemyError as error:
        raise _unavailable(error, engine) from error


def _unavailable(error: SQLAlchemyError, engine: Engine) -> StoreUnavailable:
    return StoreUnavailable(database_failure(error, Path(engine.url.database or "")))


def _all(connection: Connection) -> list[tuple[str, bytes, bytes]]:
    wanted = select(credentials.c.name, credentials.c.nonce, credentials.c.sealed)
    return [(row[0], row[1], row[2]) for row in connection.execute(wanted)]


def _encrypt(name: str, secret: str, key: bytes) -> tuple[bytes, bytes]:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce, AESGCM(key).encrypt(nonce, secret.encode(), name.encode())


def _decrypt(name: str, nonce: bytes, sealed: bytes, keys: Sequence[bytes]) -> str:
    for key in keys:
        try:
            return AESGCM(key).decrypt(nonce, sealed, name.encode()).decode()
        except (InvalidTag, ValueError):
            continue
    raise CredentialError(
        f"The stored credential {name} cannot be decrypted with this key." if keys else "The key is missing.",
        "Check that INTELLIR_SECRET_KEY, or the key file next to the database, is the key it was stored with.",
    )
