"""Which deployments can serve a call. Unknown properties of a deployment never exclude it."""

from typing import Final

from intellirouter.core import Call, Deployment, estimate_input_tokens, estimate_tokens

_ALTERNATIVES: Final = {"completions": "chat", "count_tokens": "chat"}
"""Operations that the gateway can emulate with another operation if the upstream does not support them."""
_WITHOUT_CONTEXT: Final = frozenset({"audio", "images"})
"""Operations whose requests contain media instead of text, so that the context does not limit them."""
_NO_LIMIT: Final = 1 << 62


def exclusion_reason(deployment: Deployment, call: Call) -> str | None:
    """Return why this deployment cannot serve this call, or None."""
    return _missing_ability(deployment, call) or _context_overflow(deployment, call)


def always_fits_tokens(deployments: tuple[Deployment, ...]) -> int:
    """Return the number of tokens, input and output together, that fits into the context of every deployment."""
    return min((each.context_tokens for each in deployments if each.context_tokens is not None), default=_NO_LIMIT)


def _missing_ability(deployment: Deployment, call: Call) -> str | None:
    operations = deployment.operations
    offered = operations is None or call.operation in operations or _ALTERNATIVES.get(call.operation) in operations
    if not offered:
        return f"does not support {call.operation}"
    capabilities = deployment.capabilities
    if capabilities is not None:
        if missing := call.needs - capabilities:
            return f"lacks {', '.join(sorted(missing))}"
        if call.operation == "chat" and "embeddings" in capabilities and "chat" not in capabilities:
            return "lacks chat"
    return None


def _context_overflow(deployment: Deployment, call: Call) -> str | None:
    """Exclude only requests of more than twice the context size, because the estimate is rough."""
    if deployment.context_tokens is None or call.operation in _WITHOUT_CONTEXT:
        return None
    limit = 2 * deployment.context_tokens - (call.max_output_tokens or 0)
    if estimate_tokens(len(call.body)) <= limit or (tokens := estimate_input_tokens(call.body)) <= limit:
        return None
    needed = tokens + (call.max_output_tokens or 0)
    return f"has a context of {deployment.context_tokens} tokens, but the request needs about {needed}"
