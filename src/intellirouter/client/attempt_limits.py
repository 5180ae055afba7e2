"""What a client demands of the attempts of one request, as headers."""

from decimal import Decimal

from msgspec import Struct

from intellirouter.core import (
    FALLBACKS_HEADER,
    MAX_COST_HEADER,
    PRIORITY_HEADER,
    RETRIES_HEADER,
    TIMEOUT_HEADER,
    Priority,
)


class AttemptLimits(Struct, frozen=True, kw_only=True):
    """Limits of the attempts that the gateway makes for one request. They can only lower what is configured."""

    retries: int | None = None
    """At most so many retries, from 0 to 10."""
    fallbacks: bool | None = None
    """False: only the deployments of the model answer, no fallbacks and no steps of its degradation ladder."""
    timeout_s: float | None = None
    """The answer must begin (stream) or be complete within so many seconds."""
    max_cost_usd: Decimal | None = None
    """What attempts may cost whose answers cannot be used."""
    priority: Priority | None = None
    """When the request gets the slot of a deployment at its concurrency limit."""

    def headers(self) -> dict[str, str]:
        values = {
            RETRIES_HEADER: self.retries,
            FALLBACKS_HEADER: None if self.fallbacks is None else "on" if self.fallbacks else "off",
            TIMEOUT_HEADER: None if self.timeout_s is None else f"{self.timeout_s:.6f}",
            MAX_COST_HEADER: None if self.max_cost_usd is None else f"{self.max_cost_usd:.6f}",
            PRIORITY_HEADER: self.priority,
        }
        return {name: str(value) for name, value in values.items() if value is not None}


def headers_of(limits: AttemptLimits | None) -> dict[str, str]:
    return {} if limits is None else limits.headers()
