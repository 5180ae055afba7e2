"""Applies what a client demands of the attempts of its request to what its model stands for. Pure."""

from msgspec import structs

from intellirouter.catalog.catalog import LadderStep, ResolvedModel
from intellirouter.core import MAX_COST_HEADER, RETRIES_HEADER, TIMEOUT_HEADER, AttemptControl, Loss, format_usd


def restricted(resolved: ResolvedModel, control: AttemptControl) -> tuple[ResolvedModel, tuple[Loss, ...]]:
    """Return the model with the limits of the request, and the demands that exceed what is configured."""
    retries, timeout_s, max_cost = resolved.retries, resolved.request_timeout_s, resolved.max_cost_microusd
    losses: list[Loss] = []
    parts: list[str] = []
    if control.retries is not None:
        if control.retries > retries:
            losses.append(Loss(RETRIES_HEADER, "clamped", str(retries)))
        retries = min(retries, control.retries)
        parts.append(f"retries {retries}")
    if not control.has_fallbacks:
        parts.append("fallbacks off")
    if control.timeout_s is not None:
        if control.timeout_s > timeout_s:
            losses.append(Loss(TIMEOUT_HEADER, "clamped", f"{timeout_s:g}"))
        timeout_s = min(timeout_s, control.timeout_s)
        parts.append(f"timeout {timeout_s:g} s")
    if control.max_cost_microusd is not None:
        if max_cost is not None and control.max_cost_microusd > max_cost:
            losses.append(Loss(MAX_COST_HEADER, "clamped", format_usd(max_cost)))
        max_cost = control.max_cost_microusd if max_cost is None else min(max_cost, control.max_cost_microusd)
        parts.append(f"cost {format_usd(max_cost)} USD")
    if not parts:
        return resolved, ()
    fallbacks = resolved.fallbacks if control.has_fallbacks else ()
    limited = structs.replace(
        resolved,
        retries=retries,
        fallbacks=fallbacks,
        request_timeout_s=timeout_s,
        max_cost_microusd=max_cost,
        degradation=_restricted_steps(resolved, control) if control.has_fallbacks else (),
        reserved_s=resolved.reserved_s if control.has_fallbacks else 0.0,
        by_name={each.name: each for each in (*resolved.pool, *fallbacks)},
        restriction=f"limited by the request: {', '.join(parts)}",
    )
    return limited, tuple(losses)


def _restricted_steps(resolved: ResolvedModel, control: AttemptControl) -> tuple[LadderStep, ...]:
    """Return the degradation ladder of the model with the limits of the request."""
    return tuple(
        [
            each if each.resolved is None else LadderStep(each.step, restricted(each.resolved, control)[0])
            for each in resolved.degradation
        ]
    )
