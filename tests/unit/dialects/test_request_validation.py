"""Decoding errors have the messages, `param` and `code` of OpenAI's API. Also: model names, and counts."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from intellirouter.core import errors
from intellirouter.dialects.wire.lenient import as_int
from intellirouter.dialects.wire.request_validation import check_model, decode_body


class Inner(Struct):
    size: int
    tags: dict[str, float] | None = None


class Document(Struct):
    model: str
    inner: list[Inner] | None = None
    flag: bool | None = None
    kind: str | int | None = None
    model_name: Any = None


decoder = msgspec.json.Decoder(Document)


def rejection(body: bytes) -> errors.InvalidRequest:
    with pytest.raises(errors.InvalidRequest) as caught:
        decode_body(decoder, body)
    assert caught.value.__cause__ is None
    assert (caught.value.status, caught.value.type) == (400, "invalid_request_error")
    return caught.value


def test_a_valid_body_is_decoded() -> None:
    assert decode_body(decoder, b' {"model":"m","unknown":[{}]} ') == Document("m")


def test_the_last_of_duplicate_members_counts() -> None:
    assert decode_body(decoder, b'{"model":"x","model":"m"}').model == "m"


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"model":"m"',
        b'{"model":"m"}}',
        b'{"model":"m",}',
        b"{'model':'m'}",
        b"model=m",
        b'{"model":"m","x":NaN}',
        b'{"model":"m","x":Infinity}',
        b'{"model":"m","x":-Infinity}',
        rb'{"model":"\ud800"}',
        rb'{"model":"\udc00\ud800"}',
        rb'{"model":"m","x":"\ud83d"}',
        rb'{"model":"m","x":"\q"}',
        b'{"model":"m\n"}',
        b'{"model":"\xff"}',
        b'{"model":"m","x":"\xff"}',
        b'{"model":"\xed\xa0\x80"}',
        b'\xef\xbb\xbf{"model":"m"}',
        '{"model":"m"}'.encode("utf-16"),
        b"\0" * 100,
    ],
)
def test_invalid_json_is_rejected(body: bytes) -> None:
    error = rejection(body)
    assert (error.code, error.param) == ("invalid_json", None)
    assert error.message.startswith("We could not parse the JSON body of your request: ")
    assert error.hint == "The body must be one JSON object in UTF-8."


@pytest.mark.parametrize("body", [b"", b" \r\n"])
def test_empty_body_is_named_as_such(body: bytes) -> None:
    error = rejection(body)
    assert (error.code, error.message) == ("invalid_json", "The request body is empty.")


@pytest.mark.parametrize("body", [b"[]", b"null", b'"model"', b"5", b"true", b"[" * 100_000])
def test_a_body_that_is_not_an_object_is_rejected(body: bytes) -> None:
    error = rejection(body)
    assert (error.code, error.param, error.message) == ("invalid_type", None, "The body must be a JSON object.")


@pytest.mark.parametrize(
    "body",
    [
        b'{"x":' * 100_000,
        b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"model_name":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_deep_nesting_is_rejected(body: bytes) -> None:
    assert rejection(body).code == "limit_exceeded"


@pytest.mark.parametrize(
    ("body", "code", "param", "message"),
    [
        ("{}", "missing_required_parameter", "model", "You must provide a model parameter."),
        (
            '{"model":null}',
            "invalid_type",
            "model",
            "Invalid type for 'model': expected a string, but got null instead.",
        ),
        (
            '{"model":7}',
            "invalid_type",
            "model",
            "Invalid type for 'model': expected a string, but got an integer instead.",
        ),
        (
            '{"model":"m","inner":[{"size":1},{}]}',
            "missing_required_parameter",
            "inner[1].size",
            "Missing required parameter: 'inner[1].size'.",
        ),
        (
            '{"model":"m","inner":[5]}',
            "invalid_type",
            "inner[0]",
            "Invalid type for 'inner[0]': expected an object, but got an integer instead.",
        ),
        (
            '{"model":"m","inner":{}}',
            "invalid_type",
            "inner",
            "Invalid type for 'inner': expected an array or null, but got an object instead.",
        ),
        (
            '{"model":"m","inner":[{"size":1.5}]}',
            "invalid_type",
            "inner[0].size",
            "Invalid type for 'inner[0].size': expected an integer, but got a number instead.",
        ),
        (
            '{"model":"m","inner":[{"size":1,"tags":{"a":true}}]}',
            "invalid_type",
            "inner[0].tags[...]",
            "Invalid type for 'inner[0].tags[...]': expected a number, but got a boolean instead.",
        ),
        (
            '{"model":"m","flag":"x"}',
            "invalid_type",
            "flag",
            "Invalid type for 'flag': expected a boolean or null, but got a string instead.",
        ),
        (
            '{"model":"m","kind":[]}',
            "invalid_type",
            "kind",
            "Invalid type for 'kind': expected one of an integer, a string or null, but got an array instead.",
        ),
        (
            '{"model":"m","inner":[{"size":1e999}]}',
            "invalid_value",
            "inner[0].size",
            "Invalid value for 'inner[0].size': number out of range.",
        ),
    ],
)
def test_an_error_names_the_member(body: str, code: str, param: str, message: str) -> None:
    error = rejection(body.encode())
    assert (error.code, error.param) == (code, param)
    assert error.message == message


def test_an_unknown_decoding_error_is_passed_on() -> None:
    def refuse(kind: type, value: object) -> object:
        del kind, value
        raise ValueError("is odd")

    class Thing:
        pass

    class Holder(Struct):
        thing: Thing

    with pytest.raises(errors.InvalidRequest) as caught:
        decode_body(msgspec.json.Decoder(Holder, dec_hook=refuse), b'{"thing":1}')
    assert (caught.value.code, caught.value.param) == ("invalid_value", "thing")
    assert caught.value.message == "Invalid value for 'thing': is odd."


@given(st.binary(max_size=60) | st.text(st.sampled_from('{}[]":,\\ue0model1 nul'), max_size=60).map(str.encode))
def test_any_bytes_are_decoded_or_rejected(body: bytes) -> None:
    error = None
    try:
        document = decode_body(decoder, body)
    except errors.InvalidRequest as caught:
        error = caught
    if error is None:
        assert isinstance(document.model, str)
    else:
        assert error.message
        assert error.code


@pytest.mark.parametrize("name", ["m", "a/b:c-1.5", "\u6a21\u578b", "two words", "x" * 512])
def test_valid_model_names_are_accepted(name: str) -> None:
    check_model(name)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("", "invalid_value"),
        ("x" * 513, "string_above_max_length"),
        ("a\r\nx: y", "invalid_value"),
        ("a\0", "invalid_value"),
        ("a\u202eb", "invalid_value"),
    ],
)
def test_invalid_model_names_are_rejected_and_not_quoted(name: str, code: str) -> None:
    with pytest.raises(errors.InvalidRequest) as caught:
        check_model(name)
    assert (caught.value.code, caught.value.param) == (code, "model")
    assert len(caught.value.message) < 200
    assert caught.value.message.isprintable()


@pytest.mark.parametrize(
    ("value", "count"),
    [
        (5, 5),
        (5.9, 5),
        (0, 0),
        (-3, 0),
        (-0.5, 0),
        (True, 0),
        (None, 0),
        ("5", 0),
        ([5], 0),
        ({}, 0),
        (1e300, int(1e300)),
    ],
)
def test_as_int_accepts_any_value(value: Any, count: int) -> None:
    assert as_int(value) == count
