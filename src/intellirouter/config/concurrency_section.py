"""The settings of concurrency limits, of the queues in front of them, and of priorities."""

from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field

from intellirouter.config.breaker_section import expand_switch
from intellirouter.config.section import Section
from intellirouter.core import DEFAULT_ADAPTIVE_MAX, DEFAULT_CONCURRENCY, DEFAULT_QUEUE

_Limit = Annotated[int, Field(ge=1, le=100_000)]
_Tolerance = Annotated[float, Field(ge=1, le=100)]
_Waiting = Annotated[int, Field(ge=0, le=10_000)]
_Wait = Annotated[float, Field(ge=0, le=3600)]

PRIORITY_TEXT: Final = (
    "Whose requests get the next free slot of a deployment that is at its concurrency limit: interactive, then normal, "
    "then batch."
)
_ENABLED = "Whether there can be a limit. `concurrency: off` is the same as `concurrency: {enabled: false}`."
_MAX = (
    "Maximum number of requests in flight. If adaptive is set, the limit is never higher; the default is then "
    f"{DEFAULT_ADAPTIVE_MAX}. If neither is set, there is no limit. For a local model, it is at most host.slots."
)
_ADAPTIVE = (
    "Learns the limit from the time to the first content: it grows while that stays the same, and shrinks when that "
    "gets longer, or when the deployment is overloaded (429, 503, 529, timeouts)."
)
_MIN = "Minimum of an adaptive limit."
_INITIAL = "Adaptive limit before anything is learned."
_TOLERANCE = "From which multiple of its usual value on a time to the first content makes an adaptive limit shrink."
_QUEUE_MAX = "Maximum number of requests that wait for a slot. With 0, requests do not wait."
_QUEUE_WAIT = "Maximum time for which a request waits for a slot, in seconds. With 0, requests do not wait."


class DefaultConcurrency(Section):
    """Limit of the requests in flight of each deployment that does not set its own. There is none by default."""

    enabled: bool = Field(default=True, description=_ENABLED)
    max: _Limit | None = Field(default=None, description=_MAX)
    adaptive: bool = Field(default=DEFAULT_CONCURRENCY.adaptive, description=_ADAPTIVE)
    min: _Limit = Field(default=DEFAULT_CONCURRENCY.min, description=_MIN)
    initial: _Limit = Field(default=DEFAULT_CONCURRENCY.initial, description=_INITIAL)
    tolerance: _Tolerance = Field(default=DEFAULT_CONCURRENCY.tolerance, description=_TOLERANCE)


class Concurrency(Section):
    """Limit of the requests in flight of the deployment. Each setting overrides that of the defaults.

    A deployment has one limit, by whatever name it is called. `off` removes it.
    """

    enabled: bool | None = Field(default=None, description=_ENABLED)
    max: _Limit | None = Field(default=None, description=_MAX)
    adaptive: bool | None = Field(default=None, description=_ADAPTIVE)
    min: _Limit | None = Field(default=None, description=_MIN)
    initial: _Limit | None = Field(default=None, description=_INITIAL)
    tolerance: _Tolerance | None = Field(default=None, description=_TOLERANCE)


class DefaultQueue(Section):
    """Requests that wait for a deployment at its concurrency limit, for deployments that do not set their own."""

    max: _Waiting = Field(default=DEFAULT_QUEUE.max, description=_QUEUE_MAX)
    max_wait_s: _Wait = Field(default=DEFAULT_QUEUE.max_wait_s, description=_QUEUE_WAIT)


class Queue(Section):
    """Requests that wait for the deployment at its concurrency limit. Each setting overrides that of the defaults."""

    max: _Waiting | None = Field(default=None, description=_QUEUE_MAX)
    max_wait_s: _Wait | None = Field(default=None, description=_QUEUE_WAIT)


class ModelQueue(Section):
    """Requests for the model that wait for a deployment at its concurrency limit."""

    max_wait_s: _Wait | None = Field(
        default=None, description="Overrides the queue.max_wait_s of the deployments, for requests for this model."
    )


DefaultConcurrencyField = Annotated[
    DefaultConcurrency,
    BeforeValidator(expand_switch, json_schema_input_type=DefaultConcurrency | Literal["on", "off"] | bool),
]
ConcurrencyField = Annotated[
    Concurrency, BeforeValidator(expand_switch, json_schema_input_type=Concurrency | Literal["on", "off"] | bool)
]
