"""Reads the members of a client's JSON object: typed, with OpenAI's words for what is wrong; null means default."""

from collections.abc import Mapping
from typing import Any, Final

from intellirouter.core import errors

_MAX_NUMBER: Final = 2**53
_NAMES: Final = {
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    list: "an array",
    dict: "an object",
    type(None): "null",
}


class Members:
    """Takes members out of an object one by one; what is left over is what we do not know."""

    __slots__ = ("_left", "path")

    def __init__(self, value: Mapping[str, Any], path: str = "") -> None:
        self._left = dict(value)
        self.path = path

    def place(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name

    def any(self, name: str) -> Any:
        return self._left.pop(name, None)

    def text(self, name: str) -> str:
        value = self._left.pop(name, None)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise wrong_type(self.place(name), "a string", value)
        return value

    def flag(self, name: str) -> bool | None:
        value = self._left.pop(name, None)
        if value is not None and not isinstance(value, bool):
            raise wrong_type(self.place(name), "a boolean", value)
        return value

    def number(self, name: str) -> float | None:
        value = self._left.pop(name, None)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise wrong_type(self.place(name), "a number", value)
        return value

    def whole(self, name: str) -> int | None:
        value = self.number(name)
        if value is None:
            return None
        if abs(value) > _MAX_NUMBER:
            raise errors.InvalidRequest(
                f"Invalid '{self.place(name)}': the integer is out of range.",
                code="invalid_value",
                param=self.place(name),
            )
        if value % 1:
            raise wrong_type(self.place(name), "an integer", value)
        return int(value)

    def object(self, name: str) -> dict[str, Any]:
        value = self._left.pop(name, None)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise wrong_type(self.place(name), "an object", value)
        return value

    def members(self, name: str) -> "Members":
        return Members(self.object(name), self.place(name))

    def array(self, name: str) -> list[Any]:
        value = self._left.pop(name, None)
        if value is None:
            return []
        if not isinstance(value, list):
            raise wrong_type(self.place(name), "an array", value)
        return value

    def texts(self, name: str) -> list[str]:
        values = self.array(name)
        for index, value in enumerate(values):
            if not isinstance(value, str):
                raise wrong_type(f"{self.place(name)}[{index}]", "a string", value)
        return values

    def required(self, name: str) -> str:
        """Return a text that must be there."""
        value = self.text(name)
        if not value:
            raise missing(self.place(name))
        return value

    def rest(self) -> dict[str, Any]:
        """Return what was not taken."""
        return {name: value for name, value in self._left.items() if value is not None}


def wrong_type(param: str, expected: str, value: Any) -> errors.InvalidRequest:
    got = _NAMES.get(type(value), "something else")
    return errors.InvalidRequest(
        f"Invalid type for '{param}': expected {expected}, but got {got} instead.", code="invalid_type", param=param
    )


def missing(param: str) -> errors.InvalidRequest:
    return errors.InvalidRequest(
        f"Missing required parameter: '{param}'.", code="missing_required_parameter", param=param
    )


def wrong_value(param: str, value: str, supported: str) -> errors.InvalidRequest:
    return errors.InvalidRequest(
        f"Invalid value: {value[:100]!r}. Supported values are: {supported}.", code="invalid_value", param=param
    )
