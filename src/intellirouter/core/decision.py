"""Every choice is a value: what headers, log, ledger, dashboard and `explain` all print."""

from typing import Literal

from msgspec import Struct

Verdict = Literal["chosen", "eligible", "fallback", "excluded"]


class Candidate(Struct, frozen=True):
    """One deployment that was considered, with the reason for its place or its absence."""

    deployment: str
    provider: str
    upstream_model: str
    verdict: Verdict
    reason: str
    score: float | None = None
    """The strategy's number for it; lower is tried earlier. None when excluded."""


class Decision(Struct, frozen=True):
    """Which deployments may serve a request, in which order, and why."""

    model: str
    """The public name the client asked for."""
    strategy: str
    reason: str
    """Why the first one is first, in words."""
    order: tuple[str, ...]
    """Names of deployments in the order they will be tried: the pool, then the fallbacks."""
    pool_size: int
    """How many of `order` belong to the pool (retries go round it); the rest are fallbacks."""
    candidates: tuple[Candidate, ...]


AttemptKind = Literal["first", "retry", "fallback", "credential"]
"""`credential`: the same deployment again, with another of its credentials."""


class Attempt(Struct, kw_only=True, omit_defaults=True):
    """One call to one deployment, as it went. Times are milliseconds since the exchange began."""

    deployment: str
    kind: AttemptKind
    started_ms: float
    waited_ms: float = 0.0
    """Backoff before this attempt."""
    first_byte_ms: float | None = None
    ended_ms: float | None = None
    status: int | None = None
    """The upstream's HTTP status, if it answered."""
    outcome: str = "pending"
    """`ok`, or the code of the error it ended with."""
    message: str | None = None
