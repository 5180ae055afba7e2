"""Authentication: finds the identity of an API key in memory, without I/O."""

import hashlib
import re
from collections.abc import Iterable
from fnmatch import translate
from typing import Final

from msgspec import Struct

from intellirouter.config import KeySpec
from intellirouter.core import errors

_MAX_KEY_BYTES: Final = 4096
_MASK: Final = "********"


class Identity(Struct, frozen=True):
    """The caller of a request, and what it may do."""

    tenant: str
    key_name: str | None
    grants: frozenset[str] = frozenset()
    models: re.Pattern[str] | None = None
    """The models that the caller may use; None means all."""

    def may_use(self, model: str) -> bool:
        return self.models is None or self.models.fullmatch(model) is not None

    @property
    def is_admin(self) -> bool:
        return "admin" in self.grants


ANONYMOUS: Final = Identity("default", None, frozenset({"admin"}))
"""The caller of a gateway that requires no keys."""


UNIDENTIFIED: Final = Identity("-", None)
"""The caller of an exchange that is not authenticated yet."""


class KeyRing:
    """All configured keys, by SHA-256 digest. The keys themselves are not stored."""

    def __init__(self, keys: Iterable[KeySpec], *, is_required: bool) -> None:
        self.is_required = is_required
        self._by_digest = {key.digest: (_identity(key), key.expires_us) for key in keys}
        self._by_name: dict[tuple[str, str | None], list[tuple[Identity, int | None]]] = {}
        for identity, expires_us in self._by_digest.values():
            self._by_name.setdefault((identity.tenant, identity.key_name), []).append((identity, expires_us))

    def identify(self, key: bytes | None, now_us: int) -> Identity:
        """Return the identity of the key in a request. Raises `Unauthenticated`.

        If no key is required, an unknown key counts as none, because some clients always send one.
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
        # The next two messages are OpenAI's wording.
        if not key:
            raise errors.Unauthenticated("You didn't provide an API key.", code="missing_api_key")
        raise errors.Unauthenticated(f"Incorrect API key provided: {_masked(key)}.")

    def by_name(self, tenant: str, key_name: str | None, now_us: int) -> Identity:
        """Return the current identity of a key name, for background work that continues after its request.

        Raises `Unauthenticated` if the key was removed or has expired.
        """
        if key_name is None and tenant == ANONYMOUS.tenant and not self.is_required:
            return ANONYMOUS
        for identity, expires_us in self._by_name.get((tenant, key_name), ()):
            if expires_us is None or now_us < expires_us:
                return identity
        raise errors.Unauthenticated(
            "The API key of the original request was removed or has expired.",
            hint="Send the request again with a valid key.",
        )


def _identity(key: KeySpec) -> Identity:
    models = None if "*" in key.models else re.compile("|".join(translate(glob) for glob in key.models))
    return Identity(key.tenant, key.name, key.grants, models)


def _masked(key: bytes) -> str:
    """Return the first and last characters of a long key, enough to recognize it. The length is not shown."""
    text = key[:_MAX_KEY_BYTES].decode("ascii", "replace")
    return f"{text[:3]}{_MASK}{text[-4:]}" if len(text) >= 20 and text.isprintable() else _MASK
