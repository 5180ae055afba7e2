"""A generation: everything that one configuration determines, replaced as a whole by a reload."""

from msgspec import Struct

from intellirouter.catalog import Catalog
from intellirouter.config import Runtime
from intellirouter.core import Clock
from intellirouter.governance import Identity, KeyRing
from intellirouter.pipeline.spine import Spine


class Generation(Struct, frozen=True, kw_only=True, eq=False):
    """Read it once per request from `core.Current`, and use what you have read to the end of the request."""

    number: int
    """Counts from 1; each reload adds one."""
    runtime: Runtime
    catalog: Catalog
    keys: KeyRing
    spine: Spine
    clock: Clock
    pending_restart: tuple[str, ...] = ()
    """Settings that have changed since the start and only take effect after a restart: `server.port`."""

    def identify(self, key: bytes | None) -> Identity:
        """Return who presents this key. Raises `Unauthenticated`."""
        return self.keys.identify(key, self.clock.epoch_us())

    def identity_of(self, tenant: str, key_name: str | None) -> Identity:
        """Return who this key name stands for now. Raises `Unauthenticated` when its key was removed or has expired."""
        return self.keys.by_name(tenant, key_name, self.clock.epoch_us())
