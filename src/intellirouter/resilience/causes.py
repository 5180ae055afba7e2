"""Which failures another deployment may not have, and which deployments have the same one. Pure."""

from collections.abc import Iterable
from typing import Final

from intellirouter.core import Deployment, FallbackCause, errors

_NEUTRAL_BLAME: Final = frozenset({"client", "gateway"})
_CONTEXT_CODES: Final = frozenset({"context_length_exceeded"})
_POLICY_CODES: Final = frozenset(
    {"content_filter", "content_policy_violation", "image_content_policy_violation", "moderation_blocked"}
)
_SIZE_CODES: Final = frozenset({"request_too_large"})
_OVERLOAD_STATUSES: Final = frozenset({429, 503, 529})
_TOO_LONG: Final = _CONTEXT_CODES | _SIZE_CODES
_CODES: Final = _CONTEXT_CODES | _POLICY_CODES | _SIZE_CODES


def may_be_served_elsewhere(error: errors.GatewayError) -> bool:
    """Return whether another deployment may serve a request that failed with `error`.

    A rejection is final, except for three reasons that depend on the deployment: its context window, its content
    policy, and a rate limit that is smaller than the request.
    """
    return error.fallback or is_rejected_by_deployment(error)


def is_rejected_by_deployment(error: errors.GatewayError) -> bool:
    """Return whether a deployment has rejected the request because of its context window, content policy or size."""
    return isinstance(error, errors.UpstreamRejected) and error.code in _CODES


def is_too_long(error: errors.GatewayError) -> bool:
    """Return whether the request was too long for a context window, or alone exceeded a rate limit."""
    return error.code in _TOO_LONG


def fallback_cause(error: errors.GatewayError) -> FallbackCause:
    """Return why a request that failed with `error` needs a fallback."""
    if is_rejected_by_deployment(error):
        return "content_policy" if error.code in _POLICY_CODES else "context_length"
    if isinstance(error, errors.UpstreamTimeout):
        return "timeout"
    if isinstance(error, errors.UpstreamRateLimited | errors.Overloaded):
        return "rate_limit"
    if isinstance(error, errors.UpstreamAuthFailed | errors.UpstreamQuotaExhausted):
        return "credential"
    return "unsupported" if isinstance(error, errors.UnsupportedFeature) else "error"


def counts_against_deployment(error: errors.GatewayError) -> bool:
    """Return whether an error says that the deployment is not healthy.

    What a request or its prompt can cause does not: a client's requests must not open a circuit for other clients.
    """
    return error.blame not in _NEUTRAL_BLAME and not isinstance(error, errors.UpstreamOutputInvalid)


def is_overload(error: errors.GatewayError, status: int | None) -> bool:
    """Return whether a failure means that the deployment has more requests than it can process."""
    if isinstance(error, errors.UpstreamTimeout):
        return error.code != errors.CONNECT_TIMEOUT
    return isinstance(error, errors.UpstreamRateLimited) or status in _OVERLOAD_STATUSES


def is_credential_at_fault(error: errors.GatewayError) -> bool:
    """Return whether an error response is about the credential or its account, not about the request or the model."""
    return isinstance(error, errors.UpstreamAuthFailed | errors.UpstreamQuotaExhausted | errors.UpstreamRateLimited)


def refusal_status(error: errors.GatewayError) -> int | None:
    """Return the HTTP status that says what `error` reports about the credential; None if unclear."""
    if isinstance(error, errors.UpstreamAuthFailed):
        return 401 if error.is_explicit else None
    if isinstance(error, errors.UpstreamQuotaExhausted):
        return 402
    return 429 if isinstance(error, errors.UpstreamRateLimited) else None


def with_same_limit(error: errors.GatewayError, failed: Deployment, others: Iterable[Deployment]) -> tuple[str, ...]:
    """Return the names of the deployments whose context window is known to be no larger than that of `failed`.

    Empty unless `error` means that the request exceeds the context window.
    """
    if error.code not in _CONTEXT_CODES or failed.context_tokens is None:
        return ()
    limit = failed.context_tokens
    return tuple([each.name for each in others if each.context_tokens is not None and each.context_tokens <= limit])
