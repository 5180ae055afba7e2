"""Applies what a client demands of the attempts of its request to what its model stands for. Pure."""

from msgspec import structs

from intellirouter.catalog.catalog import ResolvedModel
from intellirouter.core import RETRIES_HEADER, TIMEOUT_HEADER, AttemptControl, Loss


def restricted(resolved: ResolvedModel, control: AttemptControl) -> tuple[ResolvedModel, tuple[Loss, ...]]:
    """Return the model with the limits of the request, and the demands that exceed what is configured."""
    retries, timeout_s = resolved.retries, resolved.request_timeout_s
    fallbacks, losses, parts = resolved.fallbacks, [], []
    if control.retries is not None:
        if control.retries > retries:
            losses.append(Loss(RETRIES_HEADER, "clamped", str(retries)))
        retries = min(retries, control.retries)
        parts.append(f"retries {retries}")
    if not control.has_fallbacks:
        fallbacks = ()
        parts.append("fallbacks off")
    if control.timeout_s is not None:
        if control.timeout_s > timeout_s:
            losses.append(Loss(TIMEOUT_HEADER, "clamped", f"{timeout_s:g}"))
        timeout_s = min(timeout_s, control.timeout_s)
        parts.append(f"timeout {timeout_s:g} s")
    if not parts:
        return resolved, ()
    limited = structs.replace(
        resolved,
        retries=retries,
        fallbacks=fallbacks,
        request_timeout_s=timeout_s,
        by_name={each.name: each for each in (*resolved.pool, *fallbacks)},
        restriction=f"limited by the request: {', '.join(parts)}",
    )
    return limited, tuple(losses)
