"""The ranges of numbers in requests of OpenAI's dialects, with OpenAI's messages and codes."""

from typing import Final, Protocol

from intellirouter.core import errors

_MAX_TEMPERATURE: Final = 2
_MAX_PENALTY: Final = 2
_MAX_TOP_LOGPROBS: Final = 20
_FORMATS: Final = frozenset({"text", "json_object", "json_schema"})
_VENDOR_FORMATS: Final = frozenset({"grammar", "regex", "structural_tag"})
"""Output formats that compatible vendors and servers have in addition."""


class _Sampled(Protocol):
    @property
    def temperature(self) -> float | None: ...

    @property
    def top_p(self) -> float | None: ...


class _Penalized(Protocol):
    @property
    def presence_penalty(self) -> float | None: ...

    @property
    def frequency_penalty(self) -> float | None: ...


def check_sampling(request: _Sampled) -> None:
    """Raise `InvalidRequest` if a sampling parameter is out of its range."""
    if request.temperature is not None:
        check_decimal("temperature", request.temperature, 0, _MAX_TEMPERATURE)
    if request.top_p is not None:
        check_decimal("top_p", request.top_p, 0, 1)


def check_penalties(request: _Penalized) -> None:
    if request.presence_penalty is not None:
        check_decimal("presence_penalty", request.presence_penalty, -_MAX_PENALTY, _MAX_PENALTY)
    if request.frequency_penalty is not None:
        check_decimal("frequency_penalty", request.frequency_penalty, -_MAX_PENALTY, _MAX_PENALTY)


def check_top_logprobs(value: int | None) -> None:
    if value is not None:
        check_integer("top_logprobs", value, 0, _MAX_TOP_LOGPROBS)


def check_decimal(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise _out_of_range("decimal", name, f"{value:g}", (low, high), is_below=value < low)


def check_integer(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise _out_of_range("integer", name, str(value), (low, high), is_below=value < low)


def _out_of_range(
    kind: str, name: str, value: str, bounds: tuple[float, float], *, is_below: bool
) -> errors.InvalidRequest:
    side, bound = ("below_min", f">= {bounds[0]}") if is_below else ("above_max", f"<= {bounds[1]}")
    problem = side.replace("_min", " minimum").replace("_max", " maximum")
    return errors.InvalidRequest(
        f"Invalid '{name}': {kind} {problem} value. Expected a value {bound}, but got {value} instead.",
        code=f"{kind}_{side}_value",
        param=name,
    )


def is_output_format(kind: str) -> bool:
    """Return whether OpenAI or a compatible vendor has this output format."""
    return kind in _FORMATS or kind in _VENDOR_FORMATS
