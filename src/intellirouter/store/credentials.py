"""Credentials kept in the database, sealed with AES-256-GCM under a key that is kept elsewhere.

A name is part of what is sealed, so that no row can stand in for another. SQL and cryptography are imported on the
first call, not with this module: most gateways keep their credentials in the environment.
"""

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from intellirouter.store.health import StoreUnavailable
from intellirouter.store.location import database_path
from intellirouter.store.master_key import CredentialError, KeyFile, parse_key

if TYPE_CHECKING:
    from intellirouter.store.credential_queries import CredentialQueries

KEY_VARIABLE: Final = "INTELLIR_SECRET_KEY"


class CredentialEntry(Struct, frozen=True, kw_only=True):
    """What may be shown of a stored credential."""

    name: str
    created_us: int
    updated_us: int


class CredentialStore:
    """For command lines and for starting: every call does blocking I/O and raises `CredentialError`."""

    def __init__(self, url: str, stated_key: str | None = None) -> None:
        """`stated_key` is the operator's (`INTELLIR_SECRET_KEY`); without one the file beside the database counts."""
        self._url = url
        self._path = database_path(url)
        self._stated = parse_key(stated_key, KEY_VARIABLE) if stated_key and stated_key.strip() else None
        self._file = KeyFile(self._path)
        self._queries: CredentialQueries | None = None

    def set(self, name: str, secret: str, now_us: int) -> str | None:
        """Store it, or replace the one of this name. Returns the path of the key file if one had to be made."""
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
        """Return the credential, or None when there is none of this name."""
        if not self._path.exists():
            return None
        keys = self._keys()
        found: str | None = self._call(lambda queries: queries.get(name, keys))
        return found

    def names(self) -> list[CredentialEntry]:
        """Return what there is, by name, without the credentials."""
        if not self._path.exists():
            return []
        rows = self._call(lambda queries: queries.names())
        return [CredentialEntry(name=name, created_us=made, updated_us=changed) for name, made, changed in rows]

    def remove(self, name: str) -> bool:
        """Delete it; False when there was none."""
        return self._path.exists() and bool(self._call(lambda queries: queries.remove(name), writes=True))

    def rekey(self, new_key: str | None = None) -> int:
        """Seal everything with another key and return how many that were.

        `new_key` must be given where the key is stated by the operator, and only there: the file's is made here.
        """
        keys = self._keys()
        if not keys:
            raise self._no_key()
        if self._stated is not None:
            if not new_key:
                raise CredentialError(
                    f"the key is stated in {KEY_VARIABLE}, so the new one has to be stated too.",
                    f"Set {KEY_VARIABLE}_NEW to the new key for this command.",
                )
            return int(self._call(_resealing(keys, parse_key(new_key, "the new key")), writes=True))
        fresh = self._file.prepare()
        count = int(self._call(_resealing(keys, fresh), writes=True))
        self._file.replace()
        return count

    def close(self) -> None:
        """Let the connections go. The next call opens new ones."""
        queries, self._queries = self._queries, None
        if queries is not None:
            queries.close()

    def _keys(self) -> tuple[bytes, ...]:
        return (self._stated,) if self._stated is not None else self._file.read()

    def _no_key(self) -> CredentialError:
        return CredentialError(
            f"the key of the stored credentials is missing: neither {KEY_VARIABLE} nor {self._file.path}.",
            "Put it back, or remove the credentials and store them anew.",
        )

    def _call(self, ask: "Callable[[CredentialQueries], Any]", *, writes: bool = False) -> Any:
        if self._queries is None:
            module = importlib.import_module("intellirouter.store.credential_queries")
            self._queries = module.CredentialQueries(self._url)
        try:
            if writes:
                self._queries.ensure_schema()
            return ask(self._queries)
        except StoreUnavailable as error:
            raise CredentialError(f"{error}.") from None


def _resealing(keys: tuple[bytes, ...], fresh: bytes) -> "Callable[[CredentialQueries], Any]":
    return lambda queries: queries.reseal(keys, fresh)
