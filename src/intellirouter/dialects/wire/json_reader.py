"""Typed reads of the members of a client's JSON. Null means the default; a wrong type raises `InvalidRequest`.

`Reader` reads members. `Members` also removes them, so that the unknown members remain. The error messages are those of
OpenAI. Dialects with other messages or more tolerance derive from these classes.
"""

from collections.abc import Mapping
from typing import Any, Final, Self

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


def name_of_type(value: Any) -> str:
    """Return the name of a JSON value's type in error messages."""
    return _NAMES.get(type(value), "a value of another type")


def join_path(path: str, name: str) -> str:
    """Return the path of a member of the object at `path`."""
    return f"{path}.{name}" if path else name


def wrong_type(path: str, expected: str, value: Any) -> errors.InvalidRequest:
    return errors.InvalidRequest(
        f"Invalid type for '{path}': expected {expected}, but got {name_of_type(value)} instead.",
        code="invalid_type",
        param=path,
    )


def missing(path: str) -> errors.InvalidRequest:
    return errors.InvalidRequest(
        f"Missing required parameter: '{path}'.", code="missing_required_parameter", param=path
    )


def wrong_value(path: str, value: str, supported: str) -> errors.InvalidRequest:
    return errors.InvalidRequest(
        f"Invalid value: {value[:100]!r}. Supported values are: {supported}.", code="invalid_value", param=path
    )


def unknown_members(source: Mapping[str, Any], known: frozenset[str]) -> dict[str, Any]:
    """Return the members that are not known, without null values."""
    return {name: value for name, value in source.items() if name not in known and value is not None}


class Reader:
    """Reads members of an object at `path`."""

    def wrong_type(self, path: str, expected: str, value: Any) -> errors.InvalidRequest:
        return wrong_type(path, expected, value)

    def missing(self, path: str) -> errors.InvalidRequest:
        return missing(path)

    def text(self, source: Mapping[str, Any], name: str, path: str = "") -> str:
        """Return an optional string; empty if it is missing or null."""
        value = source.get(name)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise self.wrong_type(join_path(path, name), "a string", value)
        return value

    def required(self, source: Mapping[str, Any], name: str, path: str = "") -> str:
        """Return a required string, which may be empty."""
        if source.get(name) is None:
            raise self.missing(join_path(path, name))
        return self.text(source, name, path)

    def flag(self, source: Mapping[str, Any], name: str, path: str = "") -> bool | None:
        value = source.get(name)
        if value is not None and not isinstance(value, bool):
            raise self.wrong_type(join_path(path, name), "a boolean", value)
        return value

    def object(self, source: Mapping[str, Any], name: str, path: str = "") -> dict[str, Any] | None:
        value = source.get(name)
        if value is not None and not isinstance(value, dict):
            raise self.wrong_type(join_path(path, name), "an object", value)
        return value

    def array(self, source: Mapping[str, Any], name: str, path: str = "") -> list[Any]:
        value = source.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.wrong_type(join_path(path, name), "an array", value)
        return value


READER: Final = Reader()


class Members:
    """Reads members of an object and removes them. What remains are the unknown members."""

    __slots__ = ("_left", "path")

    reader: Reader = READER

    def __init__(self, value: Mapping[str, Any], path: str = "") -> None:
        self._left = dict(value)
        self.path = path

    def path_of(self, name: str) -> str:
        return join_path(self.path, name)

    def has_none_of(self, names: frozenset[str]) -> bool:
        """Return whether none of these members is present. Saves reading rare members one by one."""
        return names.isdisjoint(self._left)

    def take(self, name: str) -> Any:
        return self._left.pop(name, None)

    def text(self, name: str) -> str:
        if self._left.get(name) is None:
            return ""
        value = self.reader.text(self._left, name, self.path)
        self._left.pop(name, None)
        return value

    def flag(self, name: str) -> bool | None:
        if self._left.get(name) is None:
            return None
        value = self.reader.flag(self._left, name, self.path)
        self._left.pop(name, None)
        return value

    def object(self, name: str) -> dict[str, Any] | None:
        if self._left.get(name) is None:
            return None
        value = self.reader.object(self._left, name, self.path)
        self._left.pop(name, None)
        return value

    def array(self, name: str) -> list[Any]:
        if self._left.get(name) is None:
            return []
        values = self.reader.array(self._left, name, self.path)
        self._left.pop(name, None)
        return values

    def number(self, name: str) -> float | None:
        value = self._left.pop(name, None)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.reader.wrong_type(self.path_of(name), "a number", value)
        return value

    def integer(self, name: str) -> int | None:
        return self.integer_within(name, _MAX_NUMBER)

    def integer_within(self, name: str, limit: int) -> int | None:
        """Return an integer whose absolute value is at most `limit`."""
        value = self.number(name)
        if value is None:
            return None
        if abs(value) > limit:
            path = self.path_of(name)
            raise errors.InvalidRequest(
                f"Invalid '{path}': the integer is out of range.", code="invalid_value", param=path
            )
        if value % 1:
            raise self.reader.wrong_type(self.path_of(name), "an integer", value)
        return int(value)

    def members(self, name: str) -> Self:
        return type(self)(self.object(name) or {}, self.path_of(name))

    def texts(self, name: str) -> list[str]:
        values = self.array(name)
        for index, value in enumerate(values):
            if not isinstance(value, str):
                raise self.reader.wrong_type(f"{self.path_of(name)}[{index}]", "a string", value)
        return values

    def required(self, name: str) -> str:
        """Return a required string, which must not be empty."""
        value = self.text(name)
        if not value:
            raise self.reader.missing(self.path_of(name))
        return value

    def rest(self) -> dict[str, Any]:
        """Return the members that have not been read, without null values."""
        return {name: value for name, value in self._left.items() if value is not None}
