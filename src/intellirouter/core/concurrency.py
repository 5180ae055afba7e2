"""The compiled settings of concurrency limits and queues, and the priorities of requests, as values."""

from typing import Final, Literal

from msgspec import Struct

Priority = Literal["interactive", "normal", "batch"]
PRIORITIES: Final[tuple[Priority, ...]] = ("interactive", "normal", "batch")
"""The highest one first."""


class ConcurrencyPolicy(Struct, frozen=True, kw_only=True):
    """How many requests a deployment processes at the same time."""

    is_enabled: bool = True
    max: int | None = None
    """The limit, or its maximum if it is adaptive. None: there is no limit, or `DEFAULT_ADAPTIVE_MAX`."""
    adaptive: bool = False
    """The limit follows the latency of the deployment."""
    min: int = 1
    initial: int = 8
    tolerance: float = 1.5
    """From which multiple of the usual latency on an adaptive limit shrinks."""

    @property
    def is_limiting(self) -> bool:
        return self.is_enabled and (self.adaptive or self.max is not None)


class QueuePolicy(Struct, frozen=True, kw_only=True):
    """How many requests wait for a deployment at its limit, and for how long."""

    max: int = 100
    max_wait_s: float = 10.0


class SlotPolicy(Struct, frozen=True, kw_only=True):
    """The limit of a deployment, and the queue in front of it."""

    concurrency: ConcurrencyPolicy
    queue: QueuePolicy


DEFAULT_CONCURRENCY: Final = ConcurrencyPolicy()
DEFAULT_QUEUE: Final = QueuePolicy()
DEFAULT_ADAPTIVE_MAX: Final = 1000


def lower_priority(one: Priority, other: Priority) -> Priority:
    """Return the lower one of two priorities."""
    return PRIORITIES[max(PRIORITIES.index(one), PRIORITIES.index(other))]
