"""Which deployments can serve a call. Unknown properties of a deployment never exclude it."""

from typing import Final

from intellirouter.core import Call, Deployment, estimate_tokens
from intellirouter.dialects import Endpoint

_WITHOUT_CONTEXT: Final = frozenset({"audio", "images"})
"""Operations whose requests contain media instead of text, so that the context does not limit them."""
_CONTEXT_PREFIX: Final = "has a context of "
_NO_LIMIT: Final = 1 << 62


def exclusion_reason(endpoint: Endpoint, deployment: Deployment, call: Call) -> str | None:
    """Return why this deployment cannot serve this call, or None. The reason reads on after the deployment's name."""
    return endpoint.can_serve(call, deployment) or _context_overflow(deployment, call)


def is_about_context(reason: str) -> bool:
    """Return whether this exclusion reason means that the request is too long."""
    return reason.startswith(_CONTEXT_PREFIX)


def always_fits_tokens(deployments: tuple[Deployment, ...]) -> int:
    """Return the number of tokens, input and output together, that fits into the context of every deployment."""
    return min((each.context_tokens for each in deployments if each.context_tokens is not None), default=_NO_LIMIT)


def _context_overflow(deployment: Deployment, call: Call) -> str | None:
    """Exclude only requests of more than twice the context size, because the estimate is rough."""
    if deployment.context_tokens is None or call.operation in _WITHOUT_CONTEXT:
        return None
    limit = 2 * deployment.context_tokens - (call.max_output_tokens or 0)
    upper_bound = estimate_tokens(len(call.body)) + call.added_tokens
    if upper_bound <= limit or (tokens := call.estimated_input_tokens()) <= limit:
        return None
    needed = tokens + (call.max_output_tokens or 0)
    return f"{_CONTEXT_PREFIX}{deployment.context_tokens} tokens, but the request needs about {needed}"
