"""Members that occur more than once are found, whatever surrounds them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intellirouter.core import errors
from intellirouter.dialects.wire.duplicates import check_unique

NAMES = ("model", "stream")


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b'{"model":"a","model":"b"}', "model"),
        (b'{"model":"a","model":"a"}', "model"),
        (b'{"model":"a","x":{"model":1},"model":"b"}', "model"),
        (rb'{"model":"a","mod\u0065l":"b"}', "model"),
        (rb'{"\u006dodel":"a","model":"b"}', "model"),
        (rb'{"mo\u0064el":"a","mod\u0065l":"b"}', "model"),
        (rb'{"model":"a","\u006D\u006Fdel":"b"}', "model"),
        (b'{"stream":true,"model":"a","stream":false}', "stream"),
        (rb'{"stream":true,"model":"a","\u0073tream":true}', "stream"),
        (b' { "model" : "a" ,\r\n\t"model"\n:\t"b" } ', "model"),
        (b'{"x":"]}{\\"model\\":","model":[1,{"a":"}"}],"model":2}', "model"),
        (b'{"stream":12,"stream":1}', "stream"),
        (b'{"stream":1,"stream":12}', "stream"),
        (b'{"x":[{"y":"}"},1],"x":[2],"model":"a","model":"b"}', "model"),
        (b'{"x":1,"x":12,"model":"a","model":"b"}', "model"),
    ],
)
def test_duplicate_is_refused(body: bytes, name: str) -> None:
    with pytest.raises(errors.InvalidRequest) as caught:
        check_unique(body, NAMES)
    assert (caught.value.param, caught.value.code) == (name, "duplicate_parameter")
    assert caught.value.message == f"The parameter '{name}' is given more than once."


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"model":"a","stream":true}',
        b'{"model":"model","stream":"stream"}',
        b'{"model":"a","tools":[{"model":{"model":1}}],"metadata":{"stream":1,"model":2}}',
        rb'{"model":"a","x\"model":"b","y":"\"model\":"}',
        rb'{"model":"a","x":"\u006dodel \u00e9","z":{"mod\u0065l":1}}',
        b'{"model":"a","x":1,"x":[2,"}"],"y":{"model":1}}',
        b'{"Model":"a","model":"b","model ":"c"}',
    ],
)
def test_unique_members_are_accepted(body: bytes) -> None:
    check_unique(body, NAMES)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text('model"\\{}[],: ', max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["model", "stream", "x"]), inner),
    max_leaves=6,
)


@given(st.lists(st.tuples(st.sampled_from(["model", "stream", "x", 'a"model']), _VALUES), max_size=6), st.booleans())
def test_a_duplicate_is_found_exactly_if_there_is_one(members: list[tuple[str, object]], is_spaced: bool) -> None:
    separators = (" ,\n", " : ") if is_spaced else (",", ":")
    pieces = [json.dumps(name) + separators[1] + json.dumps(value, separators=separators) for name, value in members]
    body = ("{" + separators[0].join(pieces) + "}").encode()
    names = [name for name, _ in members if name in NAMES]
    if len(set(names)) < len(names):
        with pytest.raises(errors.InvalidRequest):
            check_unique(body, NAMES)
    else:
        check_unique(body, NAMES)
