"""The compiled settings of hedging, as a value."""

from msgspec import Struct


class HedgingPolicy(Struct, frozen=True, kw_only=True):
    """When a second deployment is called while the first one is silent."""

    after_s: float | None = None
    """How long the first deployment may be silent. None: the 95th percentile of its times to the first content."""
    max_share: float = 0.05
    """The maximum share of the model's requests of the last minute that are hedged."""
    allows_tools: bool = False
