"""Credentials in the database, encrypted with AES-256-GCM. The key is stored elsewhere.

The name of a credential is authenticated with it, so that a row cannot be moved to another name. SQLAlchemy and
cryptography are imported by the first call and not with this module, because most gateways do not need them.
"""

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from intellirouter.store.failures import database_failure
from intellirouter.store.health import StoreUnavailable
from intellirouter.store.master_key import CredentialError, KeyFile, parse_key
from intellirouter.store.store_url import database_path

if TYPE_CHECKING:
    from intellirouter.store.credential_queries import CredentialQueries

KEY_VARIABLE: Final = "INTELLIR_SECRET_KEY"


class CredentialEntry(Struct, frozen=True, kw_only=True):
    """A stored credential, without the secret."""

    name: str
    created_us: int
    updated_us: int


class CredentialStore:
    """Stores credentials. Every call does blocking I/O and raises `CredentialError`."""

    def __init__(self, url: str, configured_key: str | None = None) -> None:
        """`configured_key` is the value of `INTELLIR_SECRET_KEY`. Without it, the key file of the database is used."""
        self._url = url
        self._path = database_path(url)
        self._configured = (
            parse_key(configured_key, KEY_VARIABLE) if configured_key and configured_key.strip() else None
        )
        self._file = KeyFile(self._path)
        self._queries: CredentialQueries | None = None

    def set(self, name: str, secret: str, now_us: int) -> str | None:
        """Store or replace a credential. Returns the path of the key file if it had to be created."""
        created = None
        keys = self._keys()
        if not keys:
            if self.names():
                raise self._no_key()
            keys = (self._file.create(),)
            created = str(self._file.path)
        self._call(lambda queries: queries.put(name, secret, keys, now_us), writes=True)
        return created

    def get(self, name: str) -> str | None:
        """Return the credential, or None if there is none with this name."""
        if not self._exists():
            return None
        keys = self._keys()
        found: str | None = self._call(lambda queries: queries.get(name, keys))
        return found

    def names(self) -> list[CredentialEntry]:
        """Return the stored credentials, sorted by name, without the secrets."""
        if not self._exists():
            return []
        rows = self._call(lambda queries: queries.names())
        return [CredentialEntry(name=name, created_us=made, updated_us=changed) for name, made, changed in rows]

    def remove(self, name: str) -> bool:
        """Delete a credential. Returns False if there was none."""
        return self._exists() and bool(self._call(lambda queries: queries.remove(name), writes=True))

    def rekey(self, new_key: str | None = None) -> int:
        """Encrypt all credentials with a new key, and return their number.

        `new_key` is required if the key is in `INTELLIR_SECRET_KEY`. Otherwise a new key file is created.
        """
        keys = self._keys()
        if not keys:
            raise self._no_key()
        if self._configured is not None:
            if not new_key:
                raise CredentialError(
                    f"The current key is set in {KEY_VARIABLE}, so the new key must be set, too.",
                    f"Set {KEY_VARIABLE}_NEW to the new key for this command.",
                )
            return int(self._call(_reencryption(keys, parse_key(new_key, "The new key")), writes=True))
        new_file_key = self._file.prepare()
        count = int(self._call(_reencryption(keys, new_file_key), writes=True))
        self._file.replace()
        return count

    def close(self) -> None:
        """Close the connections. The next call opens new ones."""
        queries, self._queries = self._queries, None
        if queries is not None:
            queries.close()

    def _keys(self) -> tuple[bytes, ...]:
        return (self._configured,) if self._configured is not None else self._file.read()

    def _no_key(self) -> CredentialError:
        return CredentialError(
            f"The key of the stored credentials is missing. It is neither in {KEY_VARIABLE} nor in {self._file.path}.",
            "Restore the key, or remove the credentials and store them again.",
        )

    def _call(self, query: "Callable[[CredentialQueries], Any]", *, writes: bool = False) -> Any:
        module = importlib.import_module("intellirouter.store.credential_queries")
        try:
            if self._queries is None:
                self._queries = module.CredentialQueries(self._url)
            if writes:
                self._queries.ensure_schema()
            return query(self._queries)
        except (StoreUnavailable, OSError) as error:
            raise CredentialError(database_failure(error, self._path)) from None

    def _exists(self) -> bool:
        try:
            return self._path.exists()
        except (OSError, ValueError) as error:
            raise CredentialError(database_failure(error, self._path)) from None


def _reencryption(keys: tuple[bytes, ...], new_key: bytes) -> "Callable[[CredentialQueries], Any]":
    return lambda queries: queries.reencrypt(keys, new_key)
