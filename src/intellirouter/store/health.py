"""The health of the store, and the error that its readers raise."""

from typing import Literal

from msgspec import Struct


class StoreHealth(Struct, frozen=True, kw_only=True):
    """The current state of the store. Reading it does no I/O."""

    state: Literal["starting", "ok", "degraded"]
    """`degraded` means that requests are served, but accounting is delayed or at risk; `detail` contains the reason."""
    detail: str
    """One or more sentences, or `ok`."""
    backlog_records: int = 0
    """Records of settled exchanges that are not in the database yet."""
    backlog_bytes: int = 0
    lost_records: int = 0
    """Records since the start that neither the disk nor memory could hold."""
    damaged_records: int = 0
    """Records since the start that failed their checksum or that the database rejected. They are in `.bad` files."""
    unusable_entries: int = 0
    """Entries of the spool directory that are not segments, which are set aside, or that cannot be read."""
    has_other_gateways: bool = False
    """Another gateway uses the same spool directory."""


class StoreUnavailable(Exception):
    """The database cannot be used now. The message consists of whole sentences and is suitable for an operator."""
