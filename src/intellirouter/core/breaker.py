"""The compiled settings of circuit breakers and of pools, as values."""

from typing import Final, Literal

from msgspec import Struct

BreakerState = Literal["closed", "open", "half_open"]


class BreakerPolicy(Struct, frozen=True, kw_only=True):
    """When the circuit breaker of a deployment opens, and for how long."""

    is_enabled: bool = True
    """False: the breaker never opens. A `Retry-After` of the deployment is respected nevertheless."""
    consecutive_failures: int = 3
    """Opens after so many failures in a row. 0: never for this reason."""
    error_rate: float = 0.5
    """Opens when this share of the attempts of the window has failed. 0: never for this reason."""
    slow_call_s: float = 0.0
    """An attempt is slow if its first content or its response headers take longer. 0: none is slow."""
    slow_call_rate: float = 0.5
    """Opens when this share of the attempts of the window was slow."""
    window_s: float = 30.0
    min_attempts: int = 20
    """Shares count only if the window has so many attempts."""
    open_s: float = 10.0
    """How long the breaker stays open. It doubles with each failed probe."""
    max_open_s: float = 60.0
    half_open_probes: int = 1
    """How many attempts test the deployment at the same time when that time has passed."""


class PoolPolicy(Struct, frozen=True, kw_only=True):
    """How the deployments of a model are used when some of them are unavailable."""

    panic_threshold: float = 1.0
    """If a larger share of the pool is unavailable, the breakers are ignored. 1: never."""
    outlier_gap: float = 0.3
    """A deployment is tried after the rest of the pool if its success rate is so much lower than theirs. 1: never."""
    outlier_min_attempts: int = 20
    """It is compared with the others only if both have so many attempts in the window."""
    max_wait_s: float = 5.0
    """How long a request may wait for the first deployment to become available, if none is. 0: not at all."""


DEFAULT_BREAKER: Final = BreakerPolicy()
DEFAULT_POOL: Final = PoolPolicy()
