"""Whether, and by which deployments, the rest of an answer can be requested whose stream has broken off."""

from collections.abc import Mapping, Sequence
from typing import Final

from intellirouter.core import HEDGE_LOST, Attempt, FallbackCause, errors

MAX_CONTINUATIONS: Final = 2
"""How many times one stream is continued."""


def may_be_continued(error: errors.GatewayError) -> bool:
    """Return whether another attempt can finish a stream that this error has ended.

    Not if the request or the model's output is at fault, or if the answer exceeds a limit of the gateway.
    """
    if isinstance(error, errors.UpstreamOutputInvalid):
        return False
    return isinstance(error, errors.HostError) or (isinstance(error, errors.UpstreamError) and error.retryable)


def continuation_order(
    order: Sequence[str],
    attempts: Sequence[Attempt],
    broken: str,
    cause: FallbackCause,
    causes: Mapping[str, frozenset[FallbackCause]],
) -> list[str]:
    """Return the deployments to ask for the rest, the best one first.

    `broken` is the one whose stream has broken off. It is asked again after all others. Those that have failed are not,
    nor are fallbacks that are not tried for this cause. `causes`: those of fallbacks that are not tried for all.
    """
    failed = {broken, *[each.deployment for each in attempts if each.outcome != HEDGE_LOST]}
    others = [name for name in order if name not in failed and cause in causes.get(name, (cause,))]
    return [*others, broken]
