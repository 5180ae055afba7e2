"""A generation: everything that one configuration determines. A reload replaces it as a whole."""

from msgspec import Struct

from intellirouter.catalog import Catalog
from intellirouter.config import Runtime
from intellirouter.core import Clock
from intellirouter.dialects import Dialects
from intellirouter.governance import BrowserAccess, Identity, KeyRing
from intellirouter.pipeline.spine import Spine


class Generation(Struct, frozen=True, kw_only=True, eq=False):
    """Read it from `core.Current` once per request, and use the same generation until the request ends."""

    number: int
    """1 at the start; each reload adds one."""
    runtime: Runtime
    catalog: Catalog
    dialects: Dialects
    keys: KeyRing
    spine: Spine
    clock: Clock
    browsers: BrowserAccess | None = None
    """None: all requests are accepted, wherever they come from, because they need a key."""
    pending_restart: tuple[str, ...] = ()
    """Settings that have changed since the start and take effect only after a restart, such as `server.port`."""

    def identify(self, key: bytes | None) -> Identity:
        """Return the identity of a key. Raises `Unauthenticated`."""
        return self.keys.identify(key, self.clock.epoch_us())

    def identity_of(self, tenant: str, key_name: str | None) -> Identity:
        """Return the current identity of a key name. Raises `Unauthenticated` if the key was removed or has expired."""
        return self.keys.by_name(tenant, key_name, self.clock.epoch_us())
