"""The settings of circuit breakers and of pools."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from intellirouter.config.section import Section
from intellirouter.config.value_types import Seconds
from intellirouter.core import DEFAULT_BREAKER, DEFAULT_POOL

_Failures = Annotated[int, Field(ge=0, le=10_000)]
_Rate = Annotated[float, Field(ge=0, le=1)]
_Share = Annotated[float, Field(gt=0, le=1)]
_SlowCall = Annotated[float, Field(ge=0, le=86_400)]
_Window = Annotated[float, Field(ge=1, le=3600)]
_Attempts = Annotated[int, Field(ge=1, le=100_000)]
_Probes = Annotated[int, Field(ge=1, le=1000)]
_Wait = Annotated[float, Field(ge=0, le=3600)]

_SWITCHES = {"on": True, "off": False}
_ENABLED = (
    "Whether the circuit can open. `breaker: off` is the same as `breaker: {enabled: false}`. Retry-After of a "
    "deployment is respected in any case."
)
_CONSECUTIVE = "Number of failures in a row after which the circuit opens. With 0, they do not open it."
_ERROR_RATE = (
    "Share of failed attempts within the window from which the circuit opens. With 0, the share does not open it."
)
_SLOW_CALL = (
    "Time after which an attempt that succeeds is slow, in seconds: until the first content of a streamed response, or "
    "the headers of other responses. With 0, no attempt is slow."
)
_SLOW_RATE = "Share of slow attempts within the window from which the circuit opens."
_WINDOW = "Length of the window for error_rate, slow_call_rate and the outliers of a pool, in seconds."
_MIN_ATTEMPTS = "Number of attempts that the window must have for error_rate and slow_call_rate."
_OPEN = "Time for which the circuit is open, in seconds. It doubles with each probe that fails, with jitter."
_MAX_OPEN = "Maximum time for which the circuit is open, in seconds."
_PROBES = "Number of requests that test the deployment at the same time when that time has passed."
_PANIC = (
    "If a larger share of a model's deployments is unavailable, open circuits are ignored, so that the others do not "
    "get all requests. With 1, they are never ignored."
)
_GAP = (
    "A deployment whose success rate within the window is lower than that of the model's other deployments by at least "
    "this much is tried after them. With 1, success rates are not compared."
)
_GAP_ATTEMPTS = "Number of attempts within the window that both need for this comparison."
_MAX_WAIT = (
    "Maximum time that a request waits until a deployment becomes available, in seconds, if none is: before the first "
    "attempt if all have sent Retry-After, otherwise when all attempts have failed. With 0, requests do not wait."
)


class DefaultBreaker(Section):
    """Circuit breakers of deployments, for models and deployments that do not set their own. `off` disables them."""

    enabled: bool = Field(default=True, description=_ENABLED)
    consecutive_failures: _Failures = Field(default=DEFAULT_BREAKER.consecutive_failures, description=_CONSECUTIVE)
    error_rate: _Rate = Field(default=DEFAULT_BREAKER.error_rate, description=_ERROR_RATE)
    slow_call_s: _SlowCall = Field(default=DEFAULT_BREAKER.slow_call_s, description=_SLOW_CALL)
    slow_call_rate: _Share = Field(default=DEFAULT_BREAKER.slow_call_rate, description=_SLOW_RATE)
    window_s: _Window = Field(default=DEFAULT_BREAKER.window_s, description=_WINDOW)
    min_attempts: _Attempts = Field(default=DEFAULT_BREAKER.min_attempts, description=_MIN_ATTEMPTS)
    open_s: Seconds = Field(default=DEFAULT_BREAKER.open_s, description=_OPEN)
    max_open_s: Seconds = Field(default=DEFAULT_BREAKER.max_open_s, description=_MAX_OPEN)
    half_open_probes: _Probes = Field(default=DEFAULT_BREAKER.half_open_probes, description=_PROBES)


class Breaker(Section):
    """Circuit breaker. Each setting overrides that of the deployment's model, or else that of the defaults.

    A deployment has one circuit breaker, by whatever name it is called. `off` disables it.
    """

    enabled: bool | None = Field(default=None, description=_ENABLED)
    consecutive_failures: _Failures | None = Field(default=None, description=_CONSECUTIVE)
    error_rate: _Rate | None = Field(default=None, description=_ERROR_RATE)
    slow_call_s: _SlowCall | None = Field(default=None, description=_SLOW_CALL)
    slow_call_rate: _Share | None = Field(default=None, description=_SLOW_RATE)
    window_s: _Window | None = Field(default=None, description=_WINDOW)
    min_attempts: _Attempts | None = Field(default=None, description=_MIN_ATTEMPTS)
    open_s: Seconds | None = Field(default=None, description=_OPEN)
    max_open_s: Seconds | None = Field(default=None, description=_MAX_OPEN)
    half_open_probes: _Probes | None = Field(default=None, description=_PROBES)


class DefaultPool(Section):
    """What happens when deployments of a model are unavailable, for models that do not set their own."""

    panic_threshold: _Share = Field(default=DEFAULT_POOL.panic_threshold, description=_PANIC)
    outlier_gap: _Share = Field(default=DEFAULT_POOL.outlier_gap, description=_GAP)
    outlier_min_attempts: _Attempts = Field(default=DEFAULT_POOL.outlier_min_attempts, description=_GAP_ATTEMPTS)
    max_wait_s: _Wait = Field(default=DEFAULT_POOL.max_wait_s, description=_MAX_WAIT)


class Pool(Section):
    """What happens when deployments of the model are unavailable. Each setting overrides that of the defaults."""

    panic_threshold: _Share | None = Field(default=None, description=_PANIC)
    outlier_gap: _Share | None = Field(default=None, description=_GAP)
    outlier_min_attempts: _Attempts | None = Field(default=None, description=_GAP_ATTEMPTS)
    max_wait_s: _Wait | None = Field(default=None, description=_MAX_WAIT)


def expand_switch(value: Any) -> Any:
    """Return the section that `off` or `on` stands for. YAML 1.1 reads them as booleans if they are not quoted."""
    if isinstance(value, str):
        value = _SWITCHES.get(value.lower(), value)
    return {"enabled": value} if isinstance(value, bool) else value


DefaultBreakerField = Annotated[
    DefaultBreaker, BeforeValidator(expand_switch, json_schema_input_type=DefaultBreaker | Literal["on", "off"] | bool)
]
BreakerField = Annotated[
    Breaker, BeforeValidator(expand_switch, json_schema_input_type=Breaker | Literal["on", "off"] | bool)
]
