"""Reads members of a client's JSON: null means default, a wrong type is `InvalidRequest` with its place."""

from collections.abc import Mapping
from typing import Any, Final

from intellirouter.core import errors

DIALECT: Final = "openai_responses"

_NAMES: Final = {
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    list: "an array",
    dict: "an object",
    type(None): "null",
}


def wrong_type(param: str, expected: str, value: Any) -> errors.InvalidRequest:
    got = _NAMES.get(type(value), "something else")
    return errors.InvalidRequest(
        f"Invalid type for '{param}': expected {expected}, but got {got} instead.", code="invalid_type", param=param
    )


def missing(param: str) -> errors.InvalidRequest:
    return errors.InvalidRequest(
        f"Missing required parameter: '{param}'.", code="missing_required_parameter", param=param
    )


def bad_value(param: str, value: str, supported: str) -> errors.InvalidRequest:
    return errors.InvalidRequest(
        f"Invalid value for '{param}': {value[:100]!r}. Supported values are: {supported}.",
        code="invalid_value",
        param=param,
    )


def text_of(source: Mapping[str, Any], name: str, path: str) -> str:
    """Return an optional string, empty when it is missing or null."""
    value = source.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise wrong_type(f"{path}.{name}" if path else name, "a string", value)
    return value


def required_text(source: Mapping[str, Any], name: str, path: str) -> str:
    """Return a string that must be there; it may be empty."""
    if source.get(name) is None:
        raise missing(f"{path}.{name}" if path else name)
    return text_of(source, name, path)


def required_name(source: Mapping[str, Any], name: str, path: str) -> str:
    """Return a string that must be there and say something."""
    value = required_text(source, name, path)
    if not value:
        param = f"{path}.{name}" if path else name
        raise errors.InvalidRequest(
            f"Invalid '{param}': empty string. Expected a string with minimum length 1.",
            code="string_below_min_length",
            param=param,
        )
    return value


def flag_of(source: Mapping[str, Any], name: str, path: str) -> bool | None:
    value = source.get(name)
    if value is not None and not isinstance(value, bool):
        raise wrong_type(f"{path}.{name}" if path else name, "a boolean", value)
    return value


def object_of(source: Mapping[str, Any], name: str, path: str) -> dict[str, Any] | None:
    value = source.get(name)
    if value is not None and not isinstance(value, dict):
        raise wrong_type(f"{path}.{name}" if path else name, "an object", value)
    return value


def list_of(source: Mapping[str, Any], name: str, path: str) -> list[Any]:
    value = source.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise wrong_type(f"{path}.{name}" if path else name, "an array", value)
    return value


def as_object(value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise wrong_type(path, "an object", value)
    return value


def rest_of(source: Mapping[str, Any], known: frozenset[str]) -> dict[str, Any]:
    """Return what has no slot: reported when the upstream is of another dialect. Null says nothing."""
    return {name: value for name, value in source.items() if name not in known and value is not None}
