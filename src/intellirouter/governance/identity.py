"""Authentication: finds the identity of an API key in memory, without I/O."""

import hashlib
import re
from collections.abc import Iterable
from fnmatch import translate
from typing import Final

from msgspec import Struct, structs

from intellirouter.config import KeySpec
from intellirouter.core import Priority, errors

_MAX_KEY_BYTES: Final = 4096
_MASK: Final = "********"


class Identity(Struct, frozen=True):
    """The caller of a request, and what it may do."""

    tenant: str
    key_name: str | None
    grants: frozenset[str] = frozenset()
    models: re.Pattern[str] | None = None
    """The models that the caller may use; None means all."""
    priority: Priority = "normal"
    """Whose requests get the next free slot of a deployment that is at its limit."""

    def may_use(self, model: str) -> bool:
        return self.models is None or self.models.fullmatch(model) is not None

    def may_read(self, tenant: str, key_name: str | None) -> bool:
        """Return whether the caller may read the record of a request that this tenant and key sent."""
        return self.is_admin or (tenant == self.tenant and (self.reads_all_of_tenant or key_name == self.key_name))

    def in_background(self) -> "Identity":
        """Return the same caller for work in the background, which has the lowest priority."""
        return structs.replace(self, priority="batch")

    @property
    def is_admin(self) -> bool:
        return ADMIN in self.grants

    @property
    def reads_all_of_tenant(self) -> bool:
        """The caller may read the records of all requests of its tenant, not only its own."""
        return self.is_admin or READ_REQUESTS in self.grants


ADMIN: Final = "admin"
READ_REQUESTS: Final = "requests:read"
ANONYMOUS: Final = Identity("default", None, frozenset({ADMIN}))
"""The caller of a gateway that has no keys and requires none."""
ANONYMOUS_WITHOUT_GRANTS: Final = Identity("default", None)
"""A caller without a key, if the gateway has keys but does not require them."""


UNIDENTIFIED: Final = Identity("-", None)
"""The caller of an exchange that is not authenticated yet."""


class KeyRing:
    """All configured keys, by SHA-256 digest. The keys themselves are not stored."""

    def __init__(self, keys: Iterable[KeySpec], *, is_required: bool) -> None:
        self.is_required = is_required
        # A key must not permit less than no key does, so keys that are not required do not restrict models.
        self._by_digest = {key.digest: (_identity(key, is_scoped=is_required), key.expires_us) for key in keys}
        self._by_name = {
            (identity.tenant, identity.key_name): (identity, expires_us)
            for identity, expires_us in self._by_digest.values()
        }
        self.anonymous = ANONYMOUS_WITHOUT_GRANTS if self._by_digest else ANONYMOUS

    def identify(self, key: bytes | None, now_us: int) -> Identity:
        """Return the identity of the key in a request. Raises `Unauthenticated`.

        An unknown key is always rejected, unless no keys are configured at all: then any key counts as none, because
        some client libraries always send one.
        """
        if key is not None and len(key) <= _MAX_KEY_BYTES:
            found = self._by_digest.get(hashlib.sha256(key).digest())
            if found is not None:
                identity, expires_us = found
                if expires_us is None or now_us < expires_us:
                    return identity
                raise errors.Unauthenticated("This API key has expired.", code="expired_api_key")
        if not self.is_required and (not key or not self._by_digest):
            return self.anonymous
        # The next two messages are OpenAI's wording.
        if not key:
            raise errors.Unauthenticated("You didn't provide an API key.", code="missing_api_key")
        raise errors.Unauthenticated(f"Incorrect API key provided: {_masked(key)}.")

    def knows(self, key: bytes) -> bool:
        """Return whether a key is configured, even if it has expired."""
        return len(key) <= _MAX_KEY_BYTES and hashlib.sha256(key).digest() in self._by_digest

    def by_name(self, tenant: str, key_name: str | None, now_us: int) -> Identity:
        """Return the current identity of a key name, for background work that continues after its request.

        Raises `Unauthenticated` if the key was removed or has expired.
        """
        if key_name is None and tenant == self.anonymous.tenant and not self.is_required:
            return self.anonymous
        found = self._by_name.get((tenant, key_name))
        if found is not None:
            identity, expires_us = found
            if expires_us is None or now_us < expires_us:
                return identity
        raise errors.Unauthenticated(
            "The API key of the original request was removed or has expired.",
            hint="Send the request again with a valid key.",
        )


def _identity(key: KeySpec, *, is_scoped: bool) -> Identity:
    models = (
        None if "*" in key.models or not is_scoped else re.compile("|".join(translate(glob) for glob in key.models))
    )
    return Identity(key.tenant, key.name, key.grants, models, key.priority)


def _masked(key: bytes) -> str:
    """Return the first and last characters of a long key, enough to recognize it. The length is not shown."""
    text = key[:_MAX_KEY_BYTES].decode("ascii", "replace")
    return f"{text[:3]}{_MASK}{text[-4:]}" if len(text) >= 20 and text.isprintable() else _MASK
