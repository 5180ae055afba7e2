"""The nesting of JSON is limited before it is decoded, in linear time."""

import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intellirouter.core import errors
from intellirouter.dialects import check_depth


def depth_of(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max((depth_of(each) for each in value.values()), default=0)
    if isinstance(value, list):
        return 1 + max((depth_of(each) for each in value), default=0)
    return 0


@pytest.mark.parametrize("pair", [(b"[", b"]"), (b'{"a":', b"}")], ids=["arrays", "objects"])
def test_nesting_is_accepted_up_to_the_limit(pair: tuple[bytes, bytes]) -> None:
    opening, closing = pair
    check_depth(opening * 8 + b"1" + closing * 8, 8)
    with pytest.raises(errors.InvalidRequest, match="deeper than 8 levels") as caught:
        check_depth(opening * 9 + b"1" + closing * 9, 8)
    assert (caught.value.code, caught.value.status) == ("limit_exceeded", 400)


def test_many_values_without_nesting_are_accepted() -> None:
    check_depth(b"[" + b"[],{}," * 1000 + b"0]", 2)


@pytest.mark.parametrize("text", [b"[" * 50, rb"\"[[[[[[[[[[", rb"\\", b"}{" * 20, rb"[\\\"["])
def test_brackets_in_strings_are_not_counted(text: bytes) -> None:
    check_depth(b'{"a":"' + text + b'","b":["' + text + b'","","' + text + b'"]}', 2)


def test_deep_nesting_is_rejected_immediately() -> None:
    with pytest.raises(errors.InvalidRequest):
        check_depth(b"[" * 100_000, 128)


@pytest.mark.parametrize("end", [b"", b'"', b"\\", b'"]'])
def test_a_body_of_escaped_quotes_takes_linear_time(end: bytes) -> None:
    body = b"[]" * 129 + b'"' + b'\\"' * 500_000 + end
    started = time.process_time()
    check_depth(body, 128)
    assert time.process_time() - started < 2.0  # quadratic time would be almost an hour


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.sampled_from('[]{}"\\a')),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.sampled_from('[{"\\')), inner, max_size=3),
)


@given(json_values, st.integers(0, 6))
def test_the_check_agrees_with_the_depth_of_the_decoded_value(value: object, limit: int) -> None:
    body = msgspec.json.encode(value)
    if depth_of(value) > limit:
        with pytest.raises(errors.InvalidRequest):
            check_depth(body, limit)
    else:
        check_depth(body, limit)
