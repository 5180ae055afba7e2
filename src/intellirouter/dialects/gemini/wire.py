"""Reads JSON members, base64 and opaque tokens of the dialect.

The API uses the JSON format of protocol buffers: names may be written `inlineData` or `inline_data`, numbers may be
strings, a list with one item may be written as the item, and null means absent.

Source: Google, Generative Language API reference (`v1beta`) and Vertex AI's `publishers.models`.
"""

import base64
import binascii
import math
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec
from msgspec import structs

from intellirouter.core import errors
from intellirouter.core.json_errors import describe_json_error
from intellirouter.dialects.ir import Opaque, Reasoning, unwrap_token, wrap_token
from intellirouter.dialects.wire import json_reader as members
from intellirouter.dialects.wire import large_json

DIALECT: Final = "gemini"
MAX_COUNT: Final = 2**53
"""JSON integers are unbounded, but the integers that count and price tokens are not."""

WRAPPED_MARK: Final = b"aXJ0MS"
"""The first characters of every wrapped token in base64. A body without them has no wrapped token. See `ir.tokens`."""
_WRAPPED_PREFIX: Final = WRAPPED_MARK.decode()
_REDACTED_FLAG: Final = "redacted"


@lru_cache(maxsize=1024)
def camel(name: str) -> str:
    """Return the name of a member in camel case: `inline_data` becomes `inlineData`."""
    if "_" not in name or name.startswith("_"):
        return name
    first, *rest = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)


def standard_base64(text: str) -> str:
    """Return padded base64 in the standard alphabet. Google's Python SDK uses the URL-safe alphabet."""
    if "-" in text or "_" in text:
        text = text.replace("-", "+").replace("_", "/")
    return text + "=" * (-len(text) % 4) if len(text) % 4 else text


def read_token(value: str) -> Opaque:
    """Read a thought signature from a client: Google's own, or a wrapped token of another dialect."""
    if not value.startswith(_WRAPPED_PREFIX):
        return Opaque(value=value, dialect=DIALECT)
    try:
        text = base64.b64decode(standard_base64(value), validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        return Opaque(value=value, dialect=DIALECT)
    return unwrap_token(text, DIALECT)


def write_token(token: Opaque) -> str:
    """Return a thought signature for a client. It must be valid base64, because SDKs decode and encode it."""
    if token.dialect == DIALECT:
        return token.value
    return base64.b64encode(wrap_token(token).encode()).decode()


def write_reasoning_token(token: Opaque, item_id: str, *, is_redacted: bool) -> str:
    """Return the signature of reasoning. For other dialects, it also contains the id and whether it is redacted."""
    if token.dialect != DIALECT:
        token = structs.replace(token, value=f"{_REDACTED_FLAG if is_redacted else ''}:{item_id}:{token.value}")
    return write_token(token)


def read_reasoning(text: str, token: Opaque) -> Reasoning:
    """Read reasoning of another dialect, whose token was written by `write_reasoning_token`."""
    flag, first, rest = token.value.partition(":")
    item_id, second, value = rest.partition(":")
    if first and second and flag in {"", _REDACTED_FLAG}:
        token = structs.replace(token, value=value)
        return Reasoning(text=text, token=token, id=item_id, is_redacted=flag == _REDACTED_FLAG)
    return Reasoning(text=text, token=token)


class _Reader(members.Reader):
    def wrong_type(self, place: str, expected: str, value: Any) -> errors.InvalidRequest:
        return wrong_type(place, expected, value)


class Members(members.Members):
    """Takes members out of an object of a client, in camel case or snake case. Members that are left are unknown."""

    __slots__ = ()

    reader = _Reader()

    def __init__(self, value: Mapping[str, Any], path: str = "") -> None:
        super().__init__({camel(name): item for name, item in value.items() if item is not None}, path)

    def has(self, name: str) -> bool:
        return name in self._left

    def number(self, name: str) -> float | None:
        value = self._left.pop(name, None)
        return None if value is None else _read_number(self.path_of(name), value)

    def integer(self, name: str) -> int | None:
        value = self._left.pop(name, None)
        return None if value is None else read_integer(self.path_of(name), value)

    def array(self, name: str) -> list[Any]:
        """Return a list. A value that is not a list becomes a list with one item."""
        value = self._left.pop(name, None)
        if value is None:
            return []
        return value if isinstance(value, list) else [value]

    def each(self, name: str) -> "Iterator[Members]":
        """Yield the members of each object in a list."""
        for index, value in enumerate(self.array(name)):
            place = f"{self.path_of(name)}[{index}]"
            if not isinstance(value, dict):
                raise wrong_type(place, "an object", value)
            yield Members(value, place)

    def names(self) -> list[str]:
        return list(self._left)


def read_integer(place: str, value: Any) -> int:
    """Read an integer, which may also be a string or a float. Raises `InvalidRequest`."""
    number = _read_number(place, value)
    if not number.is_integer() or abs(number) > MAX_COUNT:
        raise errors.InvalidRequest(
            f"Invalid value at '{place}': expected an integer below 2^53.", code="invalid_value", param=place
        )
    return int(number)


def _read_number(place: str, value: Any) -> float:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise wrong_type(place, "a number", value) from None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong_type(place, "a number", value)
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise errors.InvalidRequest(
            f"Invalid value at '{place}': expected a finite number.", code="invalid_value", param=place
        )
    return number


def wrong_type(place: str, expected: str, value: Any) -> errors.InvalidRequest:
    actual = members.name_of_type(value)
    return errors.InvalidRequest(
        f"Invalid value at '{place}': expected {expected}, but got {actual}.", code="invalid_type", param=place
    )


def wrong_value(place: str, supported: str) -> errors.InvalidRequest:
    return errors.InvalidRequest(
        f"Invalid value at '{place}'. Supported values are: {supported}.", code="invalid_value", param=place
    )


_encode: Final = msgspec.json.Encoder().encode


def json_text(value: Any) -> str:
    """Return a value as JSON text."""
    return _encode(value).decode()


def read_json(body: bytes) -> Any:
    """Decode an upstream's JSON. Raises `UpstreamMalformed`."""
    try:
        if not body.isascii():
            body.decode()
        return large_json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        message = f"The upstream returned an invalid response: {describe_json_error(error)}."
        raise errors.UpstreamMalformed(message) from None


def first_of(value: Any) -> dict[str, Any] | None:
    """Return the object that an upstream sent, alone or first in a list, as in streams without `alt=sse`."""
    if isinstance(value, list) and value:
        value = value[0]
    return value if isinstance(value, dict) else None


def objects_in(value: Any) -> list[dict[str, Any]]:
    """Return the objects in a list of an upstream. Other items are ignored."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def optional_text(value: Any) -> str:
    return value if isinstance(value, str) else ""
