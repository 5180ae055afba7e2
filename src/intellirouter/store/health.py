"""What the store says about itself, and the one error its readers meet."""

from typing import Literal

from msgspec import Struct


class StoreHealth(Struct, frozen=True, kw_only=True):
    """A picture of this moment; taking it does no I/O."""

    state: Literal["starting", "ok", "degraded"]
    """`degraded`: requests are served and accounting is behind or at risk; `detail` says why."""
    detail: str
    backlog_records: int = 0
    """Settled, and not yet in the database."""
    backlog_bytes: int = 0
    lost_records: int = 0
    """Since the start: records that neither disk nor memory could take."""
    damaged_records: int = 0
    """Since the start: spool lines that failed their checksum or could not be stored; kept in `.bad` files."""


class StoreUnavailable(Exception):
    """The database cannot be read now; the message says why and is fit for an operator's eyes."""
