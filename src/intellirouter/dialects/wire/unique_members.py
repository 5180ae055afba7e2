"""Members of requests that may occur only once, which is checked while a request is decoded, without a search.

`duplicates` explains why. The decoder calls a function for each occurrence of a member whose type is one of the classes
here, however its name is written.
"""

from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

import msgspec

from intellirouter.dialects.wire.duplicates import duplicate_parameter

T = TypeVar("T")


class UniqueModel(str):
    """The value of the top-level member `model`."""

    __slots__ = ()


class UniqueStream(int):
    """The value of the top-level member `stream`, a boolean."""

    __slots__ = ()


_MEMBERS: Final[dict[type, tuple[str, type, str]]] = {
    UniqueModel: ("model", str, "str"),
    UniqueStream: ("stream", bool, "bool | null"),
}
"""The name of each member, the type of its values, and how msgspec's errors call it."""
_TYPE_NAMES: Final[dict[type, str]] = {
    str: "str",
    bool: "bool",
    int: "int",
    float: "float",
    list: "array",
    dict: "object",
    type(None): "null",
}


class UniqueDecoder(Generic[T]):
    """Decodes requests of a type with such members, as `msgspec.json.Decoder` does.

    Raises `InvalidRequest` if a request has one of them more than once.
    """

    __slots__ = ("_type",)

    def __init__(self, decoded_type: type[T]) -> None:
        self._type = decoded_type

    def decode(self, body: bytes) -> T:
        return msgspec.json.decode(body, type=self._type, dec_hook=_reader())


def _reader() -> Callable[[type, Any], Any]:
    """Return the function that the decoder calls for each member of one request."""
    found: list[type] = []

    def read(unique_type: type, value: Any) -> Any:
        name, expected, title = _MEMBERS[unique_type]
        if unique_type in found:
            raise duplicate_parameter(name)
        found.append(unique_type)
        if value.__class__ is not expected:
            raise TypeError(f"Expected `{title}`, got `{_TYPE_NAMES[value.__class__]}`")  # a `ValidationError`, then
        return unique_type(value)

    return read
