"""Why a request does not stay where its session was served last, and about how much that costs. Pure."""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from intellirouter.catalog import ResolvedModel
from intellirouter.core import format_usd
from intellirouter.routing.strategies import Affinity
from intellirouter.routing.strategies.stickiness import cached_input_microusd


class BrokenAffinity(Struct, frozen=True):
    """The reason. Everything is empty if the request stays, or if it has no session yet."""

    cause: str = ""
    lost_microusd: int = 0
    note: str = ""
    """Cause and loss as a part of the decision's reason."""


NOT_BROKEN: Final = BrokenAffinity()


def broken_affinity(
    affinity: Affinity, resolved: ResolvedModel, first: str, reasons: Mapping[str, str]
) -> BrokenAffinity:
    """Return why `first`, the first deployment of the pool, is not the one where the session is.

    `first` is empty if only fallbacks are left. `reasons`: why deployments cannot be used now.
    """
    home = affinity.home
    if not home or home == first:
        return NOT_BROKEN
    deployment = resolved.by_name.get(home)
    if deployment is None:
        cause = "it is no longer a deployment of the model"
    elif home in reasons:
        cause = reasons[home]
    elif deployment not in resolved.pool:
        if not first:
            return NOT_BROKEN
        cause = "it is only a fallback"
    else:
        cause = f"{first} is preferred nevertheless"
    lost = 0 if deployment is None else cached_input_microusd(deployment, affinity.cached_tokens)
    price = f" (about {format_usd(lost)} USD of cached input lost)" if lost else ""
    return BrokenAffinity(cause, lost, f"affinity to {home} broken: {cause}{price}")
