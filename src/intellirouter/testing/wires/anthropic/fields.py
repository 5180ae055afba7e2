"""Read the fields of a request as Anthropic does: errors name the path of the field, unknown fields are rejected."""

from collections.abc import Collection
from typing import Any, Final, TypeVar

from intellirouter.testing.wires.anthropic.reply import invalid

T = TypeVar("T")
EXTRA: Final = "Extra inputs are not permitted"
_NAMES: Final[dict[type, str]] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    list: "list",
    dict: "dictionary",
}


def at(where: str, name: str | int) -> str:
    return f"{where}.{name}" if where else str(name)


def known_only(document: dict[str, Any], names: Collection[str], where: str = "") -> None:
    for name in document:
        if name not in names:
            raise invalid(at(where, name), EXTRA)


def optional(document: dict[str, Any], name: str, kind: type[T], where: str = "") -> T | None:
    """Return the field, or None if it is absent or null. Raises a 400 if it is not of `kind`."""
    value = document.get(name)
    return None if value is None else typed(value, kind, at(where, name))


def required(document: dict[str, Any], name: str, kind: type[T], where: str = "") -> T:
    if name not in document:
        raise invalid(at(where, name), "Field required")
    return typed(document[name], kind, at(where, name))


def typed(value: Any, kind: type[T], where: str) -> T:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return kind(value)  # type: ignore[call-arg] # float accepts an int
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise invalid(where, f"Input should be a valid {_NAMES[kind]}")
    return value


def one_of(value: Any, allowed: Collection[str], where: str) -> str:
    if value not in allowed:
        *most, last = [f"'{word}'" for word in allowed]
        raise invalid(where, f"Input should be {', '.join(most)} or {last}" if most else f"Input should be {last}")
    return str(value)
