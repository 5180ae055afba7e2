"""Ollama's wire: option names, times. Source: Ollama's `api/types.go`."""

import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from intellirouter.core import errors

DIALECT: Final = "ollama"
RAW: Final = "_raw"
"""The member that holds arguments which are no JSON object: the wire knows objects only."""

INTEGERS: Final = {"num_predict": "max_output_tokens", "top_k": "top_k", "seed": "seed"}
NUMBERS: Final = {
    "temperature": "temperature",
    "top_p": "top_p",
    "min_p": "min_p",
    "repeat_penalty": "repetition_penalty",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
}
"""Options by the name of the intermediate form's knob. `stop` is the third kind; all others are Ollama's own."""
OPTION_PREFIX: Final = "options."
_MAX_INTEGER: Final = 2**53


def read_options(options: dict[str, Any] | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the sampling knobs, and the options that only Ollama knows as `options.NAME`. Raises `InvalidRequest`.

    A negative `num_predict` means "no limit", which is what not saying one means.
    """
    knobs: dict[str, Any] = {}
    own: dict[str, Any] = {}
    for name, value in (options or {}).items():
        if value is None:
            continue
        if name in INTEGERS:
            knobs[INTEGERS[name]] = _integer(name, value)
        elif name in NUMBERS:
            knobs[NUMBERS[name]] = _number(name, value)
        elif name == "stop":
            knobs["stop"] = _strings(value)
        else:
            own[OPTION_PREFIX + name] = value
    if knobs.get("max_output_tokens", 0) < 0:
        del knobs["max_output_tokens"]
    return knobs, own


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(name, "a number")
    try:
        return float(value)
    except OverflowError:
        raise _wrong(name, "a number of usual size") from None


def _integer(name: str, value: Any) -> int:
    """Read an integer; 128.0 is one, too: Ollama takes it."""
    number = _number(name, value)
    if abs(number) > _MAX_INTEGER:
        raise _wrong(name, "an integer of at most 53 bits")
    return int(value)


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _wrong("stop", "an array of strings")
    return value


def _wrong(name: str, expected: str) -> errors.InvalidRequest:
    return errors.InvalidRequest(
        f"Invalid option '{name}': expected {expected}.", code="invalid_type", param=OPTION_PREFIX + name
    )


@lru_cache(maxsize=64)
def _second(epoch_s: int) -> str:
    return datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def time_text(epoch_ns: int) -> str:
    """Return a time as RFC 3339 with nanoseconds, in UTC."""
    second, rest = divmod(epoch_ns, 1_000_000_000)
    return f"{_second(second)}.{rest:09d}Z"


def created_text(epoch_s: int) -> str:
    """Return when an answer was made: as the upstream says it, now where it does not (or says nonsense)."""
    if epoch_s > 0:
        try:
            return f"{_second(epoch_s)}Z"
        except (OverflowError, ValueError, OSError):
            pass
    return time_text(time.time_ns())
