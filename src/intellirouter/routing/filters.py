"""Which deployments may serve a call. What is unknown about a deployment excludes nothing."""

from typing import Final

from intellirouter.core import Call, Deployment, estimate_input_tokens, estimate_tokens

_ALTERNATIVES: Final = {"completions": "chat", "count_tokens": "chat"}
"""Operations that the gateway offers over another one where the upstream does not have them."""
_WITHOUT_CONTEXT: Final = frozenset({"audio", "images"})
"""Operations whose requests are media rather than text."""
_NO_LIMIT: Final = 1 << 62


def exclusion_reason(deployment: Deployment, call: Call) -> str | None:
    """Return why this deployment cannot serve this call, or None."""
    return _missing_ability(deployment, call) or _context_overflow(deployment, call)


def always_fits_tokens(deployments: tuple[Deployment, ...]) -> int:
    """Return up to how many tokens, input and output together, no deployment is excluded for its context."""
    return min((each.context_tokens for each in deployments if each.context_tokens is not None), default=_NO_LIMIT)


def _missing_ability(deployment: Deployment, call: Call) -> str | None:
    operations = deployment.operations
    offered = operations is None or call.operation in operations or _ALTERNATIVES.get(call.operation) in operations
    if not offered:
        return f"does not serve {call.operation}"
    capabilities = deployment.capabilities
    if capabilities is not None:
        if missing := call.needs - capabilities:
            return f"lacks {', '.join(sorted(missing))}"
        if call.operation == "chat" and "embeddings" in capabilities and "chat" not in capabilities:
            return "lacks chat"
    return None


def _context_overflow(deployment: Deployment, call: Call) -> str | None:
    """Exclude only what cannot fit by a wide margin: the estimate of tokens is rough."""
    if deployment.context_tokens is None or call.operation in _WITHOUT_CONTEXT:
        return None
    limit = 2 * deployment.context_tokens - (call.max_output_tokens or 0)
    if estimate_tokens(len(call.body)) <= limit or (tokens := estimate_input_tokens(call.body)) <= limit:
        return None
    needed = tokens + (call.max_output_tokens or 0)
    return f"cannot fit about {needed} tokens into its context of {deployment.context_tokens}"
