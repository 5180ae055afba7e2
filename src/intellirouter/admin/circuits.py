"""The circuit breakers for the health report, from the same record that the router reads."""

import math
from collections.abc import Collection
from typing import Any, Final

from intellirouter.catalog import HealthBoard
from intellirouter.resilience import Breaker

_MAX_LISTED: Final = 100


def circuits_view(board: HealthBoard, now_s: float) -> list[dict[str, Any]]:
    """Return the deployments whose circuit is not closed, or that have asked not to be called. At most 100."""
    views = []
    for name, health in board.suspects():
        breaker = health.breaker
        state = breaker.state_at(now_s)
        if state == "closed" and now_s >= breaker.retry_at_s:
            continue
        view = {
            "name": name,
            "state": "deferred" if state == "closed" else state,
            "detail": _detail(breaker, now_s),
            "is_available": breaker.is_available(now_s),
            "available_in_s": round(max(0.0, breaker.available_at_s - now_s), 1),
        }
        views.append(view)
        if len(views) == _MAX_LISTED:
            break
    return views


def is_degraded(circuits: Collection[dict[str, Any]], configured: Collection[str]) -> bool:
    """Return whether a configured deployment is unavailable. Names of wildcards come from clients."""
    return any(each["name"] in configured and not each["is_available"] for each in circuits)


def _detail(breaker: Breaker, now_s: float) -> str:
    sentences = []
    if breaker.cause:
        left_s = breaker.open_until_s - now_s
        if left_s > 0:
            probe = f"A probe is due in {math.ceil(left_s)} s."
        else:
            probe = "A probe is in progress." if breaker.is_probed(now_s) else "A probe is due."
        sentences = [f"The circuit has opened after {breaker.cause}.", probe]
    if now_s < breaker.retry_at_s:
        sentences.append(f"It has asked not to be called for another {math.ceil(breaker.retry_at_s - now_s)} s.")
    return " ".join(sentences)
