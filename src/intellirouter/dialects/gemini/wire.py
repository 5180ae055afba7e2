"""The dialect's spellings: names in two cases, base64 in two alphabets, opaque tokens, and how members are read.

Source: Google, Generative Language API reference (`v1beta`) and Vertex AI's `publishers.models`, both in the JSON form
of protocol buffers: every name may be written `inlineData` or `inline_data`, whole numbers and numbers may be strings,
a list of one may be its only item, and null means absent.
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
from intellirouter.dialects.ir import Opaque, Reasoning, unwrap_token, wrap_token
from intellirouter.dialects.wire import json_reader as members

DIALECT: Final = "gemini"
MAX_COUNT: Final = 2**53
"""JSON's integers have no end; what is counted and priced with them has."""

WRAPPED_MARK: Final = b"aXJ0MS"
"""How every wrapped token begins once it is base64: a body without it holds none. See `ir.tokens.WRAPPED_PREFIX`."""
_WRAPPED: Final = WRAPPED_MARK.decode()
_REDACTED: Final = "redacted"
_URL_SAFE: Final = str.maketrans("-_", "+/")


@lru_cache(maxsize=1024)
def camel(name: str) -> str:
    """Return a member's name in camel case: `inline_data` is `inlineData`."""
    if "_" not in name or name.startswith("_"):
        return name
    first, *rest = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)


def standard_base64(text: str) -> str:
    """Return base64 in the standard alphabet, padded: Google's SDK for Python writes the URL-safe one."""
    if "-" in text or "_" in text:
        text = text.translate(_URL_SAFE)
    return text + "=" * (-len(text) % 4) if len(text) % 4 else text


def read_token(value: str) -> Opaque:
    """Read a thought signature that a client sends: Google's own, or another vendor's that we wrapped for it."""
    if not value.startswith(_WRAPPED):
        return Opaque(value=value, dialect=DIALECT)
    try:
        text = base64.b64decode(standard_base64(value), validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        return Opaque(value=value, dialect=DIALECT)
    return unwrap_token(text, DIALECT)


def write_token(token: Opaque) -> str:
    """Return the thought signature for a client. Signatures are bytes here: SDKs decode them and encode them again."""
    if token.dialect == DIALECT:
        return token.value
    return base64.b64encode(wrap_token(token).encode()).decode()


def write_thought_token(token: Opaque, item_id: str, *, is_redacted: bool) -> str:
    """Return the signature of a thought. Another vendor's takes along what a thought has no member for here."""
    if token.dialect != DIALECT:
        token = structs.replace(token, value=f"{_REDACTED if is_redacted else ''}:{item_id}:{token.value}")
    return write_token(token)


def read_thought(text: str, token: Opaque) -> Reasoning:
    """Read another vendor's thought, as `write_thought_token` sent it."""
    flag, first, rest = token.value.partition(":")
    item_id, second, value = rest.partition(":")
    if first and second and flag in {"", _REDACTED}:
        token = structs.replace(token, value=value)
        return Reasoning(text=text, token=token, id=item_id, is_redacted=flag == _REDACTED)
    return Reasoning(text=text, token=token)


class _Reader(members.Reader):
    def wrong_type(self, place: str, expected: str, value: Any) -> errors.InvalidRequest:
        return wrong_type(place, expected, value)


class Members(members.Members):
    """Takes members out of a client's object, whichever case they are spelled in; what is left over is unknown."""

    __slots__ = ()

    reader = _Reader()

    def __init__(self, value: Mapping[str, Any], path: str = "") -> None:
        super().__init__({camel(name): item for name, item in value.items() if item is not None}, path)

    def has(self, name: str) -> bool:
        return name in self._left

    def number(self, name: str) -> float | None:
        value = self._left.pop(name, None)
        return None if value is None else _number(self.path_of(name), value)

    def integer(self, name: str) -> int | None:
        value = self._left.pop(name, None)
        return None if value is None else whole_number(self.path_of(name), value)

    def array(self, name: str) -> list[Any]:
        """Return a list; a value alone is a list of one."""
        value = self._left.pop(name, None)
        if value is None:
            return []
        return value if isinstance(value, list) else [value]

    def each(self, name: str) -> "Iterator[Members]":
        """Walk through a list of objects."""
        for index, value in enumerate(self.array(name)):
            place = f"{self.path_of(name)}[{index}]"
            if not isinstance(value, dict):
                raise wrong_type(place, "an object", value)
            yield Members(value, place)

    def names(self) -> list[str]:
        return list(self._left)


def whole_number(place: str, value: Any) -> int:
    """Read a whole number, also from a string or a float. Raises `InvalidRequest`."""
    number = _number(place, value)
    if not number.is_integer() or abs(number) > MAX_COUNT:
        raise errors.InvalidRequest(
            f"Invalid value at '{place}': expected an integer below 2^53.", code="invalid_value", param=place
        )
    return int(number)


def _number(place: str, value: Any) -> float:
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
    got = members.name_of_type(value)
    return errors.InvalidRequest(
        f"Invalid value at '{place}': expected {expected}, but got {got}.", code="invalid_type", param=place
    )


def wrong_value(place: str, supported: str) -> errors.InvalidRequest:
    return errors.InvalidRequest(
        f"Invalid value at '{place}': use one of {supported}.", code="invalid_value", param=place
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
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise errors.UpstreamMalformed(f"The upstream's answer is no JSON: {error}") from None


def first_of(value: Any) -> dict[str, Any] | None:
    """Return the object that an upstream sent, alone or (as for streams without `alt=sse`) first in a list."""
    if isinstance(value, list) and value:
        value = value[0]
    return value if isinstance(value, dict) else None


def objects_in(value: Any) -> list[dict[str, Any]]:
    """Return the objects of an upstream's list; what is no object is left out."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def text_of(value: Any) -> str:
    return value if isinstance(value, str) else ""
