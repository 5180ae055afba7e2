"""Ollama's wire format: names of options, and times. Source: Ollama's `api/types.go`."""

import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from intellirouter.core import errors

DIALECT: Final = "ollama"
RAW: Final = "_raw"
"""The member for arguments that are not a JSON object, because Ollama's arguments are always objects."""

INTEGERS: Final = {"num_predict": "max_output_tokens", "top_k": "top_k", "seed": "seed"}
NUMBERS: Final = {
    "temperature": "temperature",
    "top_p": "top_p",
    "min_p": "min_p",
    "repeat_penalty": "repetition_penalty",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
}
"""The fields of `ir.Sampling` by option. The only other one is `stop`; all other options are Ollama's own."""
OPTION_PREFIX: Final = "options."
_MAX_INTEGER: Final = 2**53


def read_options(options: dict[str, Any] | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the fields of `ir.Sampling`, and Ollama's own options as `options.NAME`. Raises `InvalidRequest`.

    A `num_predict` that is not positive means "no limit", as does a missing one.
    """
    sampling: dict[str, Any] = {}
    own: dict[str, Any] = {}
    for name, value in (options or {}).items():
        if value is None:
            continue
        if name in INTEGERS:
            sampling[INTEGERS[name]] = _integer(name, value)
        elif name in NUMBERS:
            sampling[NUMBERS[name]] = _number(name, value)
        elif name == "stop":
            sampling["stop"] = _strings(value)
        else:
            own[OPTION_PREFIX + name] = value
    if sampling.get("max_output_tokens", 1) < 1:
        del sampling["max_output_tokens"]
    return sampling, own


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _invalid_option(name, "a number")
    try:
        return float(value)
    except OverflowError:
        raise _invalid_option(name, "a number in the range of 64-bit floats") from None


def _integer(name: str, value: Any) -> int:
    """Return an integer. Like Ollama, this accepts 128.0."""
    number = _number(name, value)
    if abs(number) > _MAX_INTEGER:
        raise _invalid_option(name, "an integer of at most 53 bits")
    return int(value)


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _invalid_option("stop", "an array of strings")
    return value


def _invalid_option(name: str, expected: str) -> errors.InvalidRequest:
    return errors.InvalidRequest(
        f"Invalid option '{name}': expected {expected}.", code="invalid_type", param=OPTION_PREFIX + name
    )


@lru_cache(maxsize=64)
def _second_text(epoch_s: int) -> str:
    return datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def time_text(epoch_ns: int) -> str:
    """Return a time as RFC 3339 with nanoseconds, in UTC."""
    second, rest = divmod(epoch_ns, 1_000_000_000)
    return f"{_second_text(second)}.{rest:09d}Z"


def now_ns() -> int:
    """Return the current time in nanoseconds since the Unix epoch."""
    return time.time_ns()


def created_text(epoch_s: int) -> str:
    """Return the time of creation as text; the current time if the upstream has sent none, or an invalid one."""
    if epoch_s > 0:
        try:
            return f"{_second_text(epoch_s)}Z"
        except (OverflowError, ValueError, OSError):
            pass
    return time_text(time.time_ns())
