"""The concurrency limits for the health report."""

from typing import Any, Final

from intellirouter.catalog import HealthBoard

_MAX_LISTED: Final = 100


def limits_view(board: HealthBoard) -> list[dict[str, Any]]:
    """Return the configured deployments with a concurrency limit. At most 100."""
    views = []
    for name, slots in board.limited():
        if slots.limit is None:  # a reload has removed the limit while requests were in flight
            continue
        kind = "adaptive limit" if slots.limit.is_adaptive else "limit"
        view = {
            "name": name,
            "state": "full" if slots.is_full else "ok",
            "detail": f"{slots.held} in flight, {kind} {slots.limit.value}, {slots.waiting} waiting",
            "limit": slots.limit.value,
            "is_adaptive": slots.limit.is_adaptive,
            "in_flight": slots.held,
            "waiting": slots.waiting,
            "max_waiting": slots.max_waiting,
        }
        views.append(view)
        if len(views) == _MAX_LISTED:
            break
    return views
