"""Who is asking: a key becomes an identity, from the in-process snapshot, without I/O."""

import hashlib
import re
from collections.abc import Iterable
from fnmatch import translate
from typing import Final

from msgspec import Struct

from intellirouter.config import KeySpec
from intellirouter.core import errors

_MAX_KEY_BYTES: Final = 4096


class Identity(Struct, frozen=True):
    """Whose request this is and what it may do."""

    tenant: str
    key_name: str | None
    grants: frozenset[str] = frozenset()
    models: re.Pattern[str] | None = None
    """None = every model."""

    def may_use(self, model: str) -> bool:
        return self.models is None or self.models.fullmatch(model) is not None

    @property
    def is_admin(self) -> bool:
        return "admin" in self.grants


ANONYMOUS: Final = Identity("default", None, frozenset({"admin"}))
"""The caller of a gateway that asks for no keys: the person at this machine."""


UNIDENTIFIED: Final = Identity("-", None)
"""Whose exchange it is before the caller is known."""


class KeyRing:
    """All keys, by the SHA-256 of the key. The keys themselves are not here."""

    def __init__(self, keys: Iterable[KeySpec], *, is_required: bool) -> None:
        self.is_required = is_required
        self._by_digest = {key.digest: (_identity(key), key.expires_us) for key in keys}
        self._by_name: dict[tuple[str, str | None], list[tuple[Identity, int | None]]] = {}
        for identity, expires_us in self._by_digest.values():
            self._by_name.setdefault((identity.tenant, identity.key_name), []).append((identity, expires_us))

    def identify(self, key: bytes | None, now_us: int) -> Identity:
        """Return the identity behind a presented key. Raises `Unauthenticated`.

        Where no key is required, an unknown one (`openai` insists on sending something) is as good as none.
        """
        if key is not None and len(key) <= _MAX_KEY_BYTES:
            found = self._by_digest.get(hashlib.sha256(key).digest())
            if found is not None:
                identity, expires_us = found
                if expires_us is None or now_us < expires_us:
                    return identity
                raise errors.Unauthenticated("This API key has expired.", code="expired_api_key")
        if not self.is_required:
            return ANONYMOUS
        if not key:
            raise errors.Unauthenticated("You didn't provide an API key.", code="missing_api_key")
        raise errors.Unauthenticated(f"Incorrect API key provided: {_masked(key)}.")

    def by_name(self, tenant: str, key_name: str | None, now_us: int) -> Identity:
        """Return who this name stands for now: work that goes on after its request, a restart in between included.

        Raises `Unauthenticated` where the key has been taken away or has expired since.
        """
        if key_name is None and tenant == ANONYMOUS.tenant and not self.is_required:
            return ANONYMOUS
        for identity, expires_us in self._by_name.get((tenant, key_name), ()):
            if expires_us is None or now_us < expires_us:
                return identity
        raise errors.Unauthenticated("The API key that asked for this is no longer valid.")


def _identity(key: KeySpec) -> Identity:
    models = None if "*" in key.models else re.compile("|".join(translate(glob) for glob in key.models))
    return Identity(key.tenant, key.name, key.grants, models)


def _masked(key: bytes) -> str:
    """Show enough of a key to recognise it, never enough to use it."""
    text = key[:_MAX_KEY_BYTES].decode("ascii", "replace")
    return f"{text[:3]}…{text[-4:]}" if len(text) >= 20 else "…"
