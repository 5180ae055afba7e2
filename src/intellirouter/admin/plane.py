"""What the control plane may look at. Handed in by the composition root; the data plane never waits for any of it."""

from collections.abc import Callable
from typing import Any, Protocol

from msgspec import Struct

from intellirouter.catalog import HealthBoard
from intellirouter.core import Clock, Current
from intellirouter.pipeline import Generation
from intellirouter.store import LogReader, StoreHealth
from intellirouter.telemetry import LiveFeed, Metrics


class StoreView(Protocol):
    """The part of the store that is read here."""

    reader: LogReader

    def health(self) -> StoreHealth: ...

    async def flush(self, timeout_s: float) -> bool: ...


class ControlPlane(Struct, frozen=True, kw_only=True):
    """References, not copies: every request reads the current generation, so that a reload shows at once."""

    current: Current[Generation]
    board: HealthBoard
    clock: Clock
    store: StoreView
    feed: LiveFeed
    metrics: Metrics
    in_flight: Callable[[], int]
    host: Callable[[], list[dict[str, Any]]]
    """The local workers as they are now, as JSON."""
    credentials: Callable[[], list[dict[str, Any]]]
    """How the providers' credentials are doing, as JSON, without any part of them."""
    started_s: float
    version: str
