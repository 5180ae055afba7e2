"""The dependencies of the control plane, which the composition root passes in."""

from collections.abc import Callable
from typing import Any, Protocol

from msgspec import Struct

from intellirouter.cache import RedisHealth
from intellirouter.catalog import HealthBoard
from intellirouter.core import Clock, Current, PeerAddress, errors
from intellirouter.pipeline import Generation
from intellirouter.store import LogReader, StoreHealth
from intellirouter.telemetry import LiveFeed, Metrics


class StoreView(Protocol):
    """The part of the store that the control plane uses."""

    reader: LogReader

    def health(self) -> StoreHealth: ...

    async def flush(self, timeout_s: float) -> bool: ...


class ControlPlane(Struct, frozen=True, kw_only=True):
    """Everything that the control plane reads. Requests always see the current generation."""

    current: Current[Generation]
    board: HealthBoard
    clock: Clock
    store: StoreView
    feed: LiveFeed
    metrics: Metrics
    in_flight: Callable[[], int]
    host: Callable[[], list[dict[str, Any]]]
    """Returns the current state of the local workers, as JSON."""
    credentials: Callable[[], list[dict[str, Any]]]
    """Returns the current state of the providers' credentials, as JSON, without any part of a credential."""
    reload_problem: Callable[[], str | None]
    """Returns why the configuration of the last reload is not in use; None if it is."""
    model_lists: Callable[[], list[dict[str, Any]]]
    """Returns the state of the lists of models of wildcard providers, as JSON."""
    answer_store: Callable[[], RedisHealth]
    """Returns the state of the server in which the response cache stores answers."""
    count_refusal: Callable[[str, PeerAddress | None, errors.GatewayError], None]
    """Counts the refusal of an unidentified caller of a path, with its address."""
    started_s: float
    version: str
