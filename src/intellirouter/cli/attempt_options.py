"""The options with which commands limit the attempts that the gateway makes for their request."""

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Final

import typer

from intellirouter.cli.lazy import LazyModule

if TYPE_CHECKING:
    from intellirouter import client
else:
    client = LazyModule("intellirouter.client")

_MAX_RETRIES: Final = 10
_MAX_S: Final = 999_999.0

RetriesOption = Annotated[
    int | None,
    typer.Option(
        "--retries", metavar="N", min=0, max=_MAX_RETRIES, help="Retry at most N times. Cannot raise the setting."
    ),
]
FallbacksOption = Annotated[
    bool | None,
    typer.Option(
        "--fallbacks/--no-fallbacks", help="Whether fallbacks and degradation steps may answer. Default: yes."
    ),
]
TimeoutOption = Annotated[
    float | None,
    typer.Option(
        "--timeout", metavar="S", min=0.001, max=_MAX_S, help="Seconds until the answer begins, or is complete."
    ),
]
MaxCostOption = Annotated[
    float | None,
    typer.Option("--max-cost", metavar="USD", min=0.000001, max=_MAX_S, help="Limit of the cost of unusable answers."),
]


def attempt_limits(
    retries: int | None, fallbacks: bool | None, timeout_s: float | None, max_cost_usd: float | None
) -> "client.AttemptLimits | None":
    """Return the limits that these options set; None if they set none."""
    if retries is None and fallbacks is None and timeout_s is None and max_cost_usd is None:
        return None
    return client.AttemptLimits(
        retries=retries,
        fallbacks=fallbacks,
        timeout_s=timeout_s,
        max_cost_usd=None if max_cost_usd is None else Decimal(str(max_cost_usd)),
    )
