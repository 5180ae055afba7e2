"""Decisions and attempts as values, which response headers, records, logs and `explain` show."""

from collections.abc import Sequence
from typing import Final, Literal

from msgspec import Struct

Verdict = Literal["chosen", "eligible", "fallback", "excluded"]


class Candidate(Struct, frozen=True):
    """A deployment that was considered for a request, and the reason for its verdict."""

    deployment: str
    provider: str
    upstream_model: str
    verdict: Verdict
    reason: str
    score: float | None = None
    """The score by the strategy; lower scores are tried earlier. None if the strategy did not score it."""


class Decision(Struct, frozen=True, omit_defaults=True):
    """Which deployments can serve a request, in which order, and why."""

    model: str
    """The public name of the model: the requested one, or that of a step of its degradation ladder."""
    strategy: str
    reason: str
    """Why the first deployment is first."""
    order: tuple[str, ...]
    """Names of deployments in the order in which they are tried: the pool, then the fallbacks."""
    pool_size: int
    """How many deployments of `order` are the pool, which retries repeat. The rest are fallbacks."""
    candidates: tuple[Candidate, ...]
    is_last_resort: bool = False
    """No deployment is available. All are tried nevertheless."""
    restriction: str = ""
    """How the headers of the request limit its attempts; empty if they do not."""
    affinity_broken: str = ""
    """Why the request does not stay where its session was served last; empty if it does, or if there is no session."""
    affinity_lost_microusd: int = 0
    """About how much more its input costs because of that, in micro-USD; 0 if unknown."""


AttemptKind = Literal[
    "first", "retry", "next", "fallback", "credential", "reconnect", "hedge", "degraded", "continuation"
]
"""`next`: the first attempt on another deployment of the pool. `fallback`: one on a configured fallback. `credential`:
an attempt on the same deployment with another of its credentials. `reconnect`: one on the same deployment over a new
connection, because the pooled one had been closed. `hedge`: one on the next deployment while the first is silent.
`degraded`: the first attempt of a step of the degradation ladder. `continuation`: one for the rest of an answer whose
stream has broken off."""

HEDGE_LOST: Final = "hedge_lost"
"""The outcome of an attempt that was canceled because another one has answered first."""

_KINDS: Final = {"next": "next deployment ", "degraded": ""}
"""How reasons name kinds of attempts, where not by their names."""

RetryOrder = Literal["next_first", "same_first"]
"""Whether a failed request first goes to the next deployment, or is first retried on the same one."""

FallbackCause = Literal[
    "error", "timeout", "rate_limit", "credential", "context_length", "content_policy", "unavailable", "unsupported"
]
"""Why a request needs a fallback. The last two are known before an attempt: no deployment of the pool is available, or
none can serve the request."""


class Attempt(Struct, kw_only=True, omit_defaults=True):
    """One request to one deployment and its outcome. Times are milliseconds since the exchange began."""

    deployment: str
    kind: AttemptKind
    started_ms: float
    waited_ms: float = 0.0
    """How long the gateway waited before this attempt."""
    queued_ms: float = 0.0
    """How long the request then waited for a free slot of the deployment."""
    first_byte_ms: float | None = None
    ended_ms: float | None = None
    status: int | None = None
    """The upstream's HTTP status; None if it sent no response."""
    outcome: str = "pending"
    """`ok`, or the code of the error."""
    message: str | None = None
    cache_marks: int = 0
    """How many prompt-cache marks the gateway has set in the request."""
    credential: str = ""
    """The fingerprint of the credential, if the deployment has several."""


def reason_of(decision: Decision, attempts: Sequence[Attempt]) -> str:
    """Return why the deployment of the last attempt was called: the reason of the decision, or what failed before."""
    if len(attempts) < 2:
        return decision.reason + _queued(attempts[-1]) if attempts else decision.reason
    if any(each.outcome == HEDGE_LOST for each in attempts):
        return _hedged_reason(decision, attempts)
    last = attempts[-1]
    kind = _KINDS.get(last.kind, f"{last.kind} on ")
    restriction = f"; {decision.restriction}" if decision.restriction else ""
    return f"{kind}{last.deployment} after {failures_of(attempts[:-1])}{_queued(last)}{restriction}"


def failures_of(attempts: Sequence[Attempt]) -> str:
    """Return which deployments have failed, and why: `primary failed (upstream_timeout); spare failed (overloaded)`."""
    outcomes: dict[str, list[str]] = {}
    for attempt in attempts:
        outcomes.setdefault(attempt.deployment, []).append(attempt.outcome)
    return "; ".join(
        [f"{deployment} failed ({', '.join(dict.fromkeys(codes))})" for deployment, codes in outcomes.items()]
    )


def _queued(attempt: Attempt) -> str:
    """Return how long a request has waited for a slot, as a part of the reason."""
    waited_ms = attempt.queued_ms
    return f"; queued {waited_ms:.0f} ms for a slot of {attempt.deployment}" if waited_ms else ""


def _hedged_reason(decision: Decision, attempts: Sequence[Attempt]) -> str:
    """Return the reason for a request that two deployments have worked on at the same time."""
    hedge = next(each for each in attempts if each.kind == "hedge")
    if hedge.outcome == HEDGE_LOST:
        reason = f"{decision.reason}{_queued(attempts[0])}"
        return f"{reason}; the hedge on {hedge.deployment} after {hedge.started_ms:.0f} ms was slower"
    restriction = f"; {decision.restriction}" if decision.restriction else ""
    silent = attempts[0].deployment
    return f"hedge on {hedge.deployment}, as {silent} had not begun after {hedge.started_ms:.0f} ms{restriction}"
