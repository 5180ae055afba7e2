"""Members of requests that may occur only once, which is checked while a request is decoded, without a search.

`duplicates` explains why. The decoder calls a function for each occurrence of a member whose type is one of the classes
here, however its name is written.
"""

from typing import Any, ClassVar, Final, Generic, TypeVar

import msgspec

from intellirouter.dialects.wire.duplicates import duplicate_parameter

T = TypeVar("T")


class UniqueModel(str):
    """The value of the top-level member `model`."""

    __slots__ = ()
    member: ClassVar = "model"
    value_types: ClassVar = frozenset({str})
    expected: ClassVar = "str"
    """The name of the type in the errors of msgspec."""


class UniqueStream(int):
    """The value of the top-level member `stream`, a boolean or null, which means false.

    Do not declare it as optional: the decoder would not call the function for null, and would miss a second member.
    """

    __slots__ = ()
    member: ClassVar = "stream"
    value_types: ClassVar = frozenset({bool, type(None)})
    expected: ClassVar = "bool | null"


NOT_STREAMED: Final = UniqueStream(False)


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
        found: list[type] = []

        def read(member_type: Any, value: Any) -> Any:
            if member_type in found:
                raise duplicate_parameter(member_type.member)
            found.append(member_type)
            if value.__class__ in member_type.value_types:
                return member_type() if value is None else member_type(value)
            got = _TYPE_NAMES[value.__class__]
            raise TypeError(f"Expected `{member_type.expected}`, got `{got}`")  # becomes a `ValidationError`

        return msgspec.json.decode(body, type=self._type, dec_hook=read)
