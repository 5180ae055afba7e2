"""Reads of members that are specific to this dialect, in addition to those of `wire.json_reader`."""

from collections.abc import Mapping
from typing import Any, Final

from intellirouter.core import errors
from intellirouter.dialects.wire.json_reader import READER, join_path, wrong_type

DIALECT: Final = "openai_responses"


def invalid_value(param: str, value: str, supported: str) -> errors.InvalidRequest:
    return errors.InvalidRequest(
        f"Invalid value for '{param}': {value[:100]!r}. Supported values are: {supported}.",
        code="invalid_value",
        param=param,
    )


def required_string(source: Mapping[str, Any], name: str, path: str) -> str:
    """Return a required string, which must not be empty."""
    value = READER.required(source, name, path)
    if not value:
        param = join_path(path, name)
        raise errors.InvalidRequest(
            f"Invalid '{param}': empty string. Expected a string with minimum length 1.",
            code="string_below_min_length",
            param=param,
        )
    return value


def as_object(value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise wrong_type(path, "an object", value)
    return value
