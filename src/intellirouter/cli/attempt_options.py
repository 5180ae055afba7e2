"""The options with which commands limit the attempts that the gateway makes for their request."""

import inspect
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from intellirouter.cli.command_signature import own_parameters, with_signature
from intellirouter.cli.gateway_command import GatewayOptions
from intellirouter.cli.lazy import LazyModule

if TYPE_CHECKING:
    from intellirouter import client, core
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
PriorityOption = Annotated[
    Literal["interactive", "normal", "batch"] | None,
    typer.Option(
        "--priority",
        metavar="LEVEL",
        help="Who is next at a deployment at its limit: interactive, normal or batch. Cannot raise that of the key.",
    ),
]


_SHARED: Final = (
    ("retries", RetriesOption),
    ("fallbacks", FallbacksOption),
    ("timeout", TimeoutOption),
    ("max_cost", MaxCostOption),
    ("priority", PriorityOption),
)
_LIMITS: Final = "limits"


def limiting_attempts(function: Callable[..., None]) -> Callable[..., None]:
    """Decorate the function of a gateway command: the options replace its parameter `limits`."""
    own = [each for each in own_parameters(function) if each.name != _LIMITS]
    shared = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in _SHARED
    ]

    def command(options: GatewayOptions, **values: Any) -> None:
        given = {name: values.pop(name) for name, _ in _SHARED}
        function(options, limits=_limits_of(**given), **values)

    return with_signature(command, function, [*own, *shared])


def _limits_of(
    *,
    retries: int | None,
    fallbacks: bool | None,
    timeout: float | None,
    max_cost: float | None,
    priority: "core.Priority | None",
) -> "client.AttemptLimits | None":
    """Return the limits that these options set; None if they set none."""
    if all(each is None for each in (retries, fallbacks, timeout, max_cost, priority)):
        return None
    return client.AttemptLimits(
        retries=retries,
        fallbacks=fallbacks,
        timeout_s=timeout,
        max_cost_usd=None if max_cost is None else Decimal(str(max_cost)),
        priority=priority,
    )
