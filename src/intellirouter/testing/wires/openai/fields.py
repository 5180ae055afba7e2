"""Reading a request's fields as OpenAI does: null means absent, a wrong type is a 400 that names the field."""

from typing import Any, TypeVar

from intellirouter.testing.wires.openai.reply import VendorError

T = TypeVar("T")

_NAMES: dict[type, str] = {
    str: "a string",
    int: "an integer",
    float: "a decimal",
    bool: "a boolean",
    list: "an array",
    dict: "an object",
}


def optional(request: dict[str, Any], name: str, kind: type[T]) -> T | None:
    """Return the field, or None when it is absent or null. Raises `VendorError` when it is not of `kind`."""
    value = request.get(name)
    if value is None:
        return None
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise wrong_type(name, _NAMES[kind], value)
    return value


def wrong_type(name: str, expected: str, value: Any) -> VendorError:
    got = "null" if value is None else _NAMES.get(type(value), "something else")
    return VendorError(
        400,
        f"Invalid type for '{name}': expected {expected}, but got {got} instead.",
        param=name,
        code="invalid_type",
    )
