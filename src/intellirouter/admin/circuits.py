"""The circuit breakers for the health report, from the same record that the router reads."""

from collections.abc import Collection
from typing import Any, Final

from intellirouter.catalog import HealthBoard

_MAX_LISTED: Final = 100


def circuits_view(board: HealthBoard, now_s: float) -> list[dict[str, Any]]:
    """Return the deployments whose circuit is not closed, or that have asked not to be called. At most 100."""
    views = []
    for name, health in board.suspects():
        breaker = health.breaker
        state = breaker.state_at(now_s)
        if state == "closed":
            if now_s >= breaker.retry_at_s:
                continue
            state_name, detail = "deferred", breaker.unavailable_reason(now_s)
        else:
            state_name = state
            detail = breaker.unavailable_reason(now_s) or f"open after {breaker.cause}, a probe is due"
        left_s = round(max(0.0, breaker.available_at_s - now_s), 1)
        views.append({"name": name, "state": state_name, "detail": detail, "available_in_s": left_s})
        if len(views) == _MAX_LISTED:
            break
    return views


def is_degraded(circuits: Collection[dict[str, Any]], configured: Collection[str]) -> bool:
    """Return whether a configured deployment is not used as usual. Names of wildcards come from clients."""
    return any(each["name"] in configured for each in circuits)
