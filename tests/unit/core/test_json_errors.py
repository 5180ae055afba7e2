"""Descriptions of invalid JSON."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from msgspec import Struct

from intellirouter.core.json_errors import describe_json_error


class Item(Struct):
    size: int
    name: str | None = None


class Document(Struct):
    items: list[Item]
    text: str | list[str] | None = None


decode: Callable[[bytes], Any] = msgspec.json.Decoder(Document).decode


@pytest.mark.parametrize(
    ("data", "description"),
    [
        (b"[]", "it must be an object, not an array"),
        (b"{}", "`items` is missing"),
        (b'{"items":[{}]}', "`items[0].size` is missing"),
        (b'{"items":[{"size":"1"}]}', "`items[0].size` must be an integer, not a string"),
        (b'{"items":[{"size":1,"name":2}]}', "`items[0].name` must be a string or null, not an integer"),
        (b'{"items":[],"text":1}', "`text` must be one of a string, an array or null, not an integer"),
        (b'{"items":[{"size":1e999}]}', "`items[0].size` is not valid (number out of range)"),
        (b'{"items":[', "the JSON is cut off"),
        (b"<html>", "it is not valid JSON (invalid character at byte 0)"),
        (b'{"items":[]} x', "it is not valid JSON (trailing characters at byte 14)"),
        (b'{"x":' + b"[" * 100_000, "it is nested too deeply"),
    ],
)
def test_description_is_plain_english(data: bytes, description: str) -> None:
    with pytest.raises((msgspec.DecodeError, RecursionError)) as caught:
        decode(data)
    assert describe_json_error(caught.value) == description


def test_invalid_utf8_is_named_as_such() -> None:
    with pytest.raises(UnicodeDecodeError) as caught:
        b"\xff".decode()
    assert describe_json_error(caught.value) == "it is not valid UTF-8"
