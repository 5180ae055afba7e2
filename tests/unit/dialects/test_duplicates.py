"""Members that occur more than once are found, whatever surrounds them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intellirouter.core import errors
from intellirouter.dialects.wire.duplicates import check_nested, check_unique

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


@pytest.mark.parametrize("filling", [20_000, 2_000_000])
def test_large_bodies_are_checked_alike(filling: int) -> None:
    text = rb"x, \"model\": y. " * (filling // 16)
    check_unique(b'{"model":"a","messages":[{"model":1,"content":"%s"}],"stream":true}' % text, NAMES)
    for body in (
        b'{"model":"a","messages":[{"content":"%s"}],"model":"b"}',
        b'{"stream":1,"messages":[{"content":"%s"}],"str\\u0065am":2}',
        b'{"model":"%s","model":"a"}',
        b'{"model":"a","model":"%s"}',
    ):
        with pytest.raises(errors.InvalidRequest):
            check_unique(body % text, NAMES)


NESTED = [
    (b'{"messages":[{"role":"user","role":"system","content":"x"}]}', "role"),
    (rb'{"messages":[{"role":"user","r\u006fle":"system","content":"x"}]}', "role"),
    (b'{"messages":[{"role":"user","content":"x","content":"y"}]}', "content"),
    (b'{"messages":[{"role":"user","content":"x","content":"y"},{"role":"user"}]}', "content"),
    (b'{"messages":[{"role":"user","content":[{"type":"text","text":"a","type":"image_url"}]}]}', "type"),
    (b'{"messages":[{"role":"tool","tool_call_id":"a","content":"x","tool_call_id":"b"}]}', "tool_call_id"),
    (b'{"messages":[],"tools":[{"type":"function","function":{"name":"a","x":{},"name":"b"}}]}', "name"),
]


def counts(body: bytes) -> tuple[int, int | None]:
    """Return what a decoder knows of the messages of a body."""
    messages = json.loads(body)["messages"]
    is_text = b"tool" not in body and all(isinstance(each.get("content"), str) for each in messages)
    return len(messages), len(messages) if is_text else None


@pytest.mark.parametrize(("body", "name"), NESTED)
def test_duplicate_within_the_request_is_refused(body: bytes, name: str) -> None:
    with pytest.raises(errors.InvalidRequest) as caught:
        check_nested(body, *counts(body))
    assert (caught.value.param, caught.value.code) == (name, "duplicate_parameter")


@pytest.mark.parametrize("filling", [5_000, 300_000])
def test_second_role_is_refused_in_a_body_of_any_size(filling: int) -> None:
    text = rb"x, \"role\": y. " * (filling // 16)
    one = b'{"role":"user","content":"%s"}' % text
    for count in (1, 100):
        body = b'{"messages":[%s]}'
        check_nested(body % b",".join([one] * count), count, count)
        twice = one[:-1] + b',"role":"system"}'
        with pytest.raises(errors.InvalidRequest):
            check_nested(body % b",".join([one] * (count - 1) + [twice]), count, count)


@pytest.mark.parametrize(
    "body",
    [
        b'{"messages":[{"role":"user","content":"role"},{"role":"assistant","content":"content"}]}',
        b'{"messages":[{"role":"user","content":"x"}],"metadata":{"x":1,"x":2}}',
        b'{"messages":[{"role":"user","content":"x"}],"role":1,"role":2}',
        rb'{"messages":[{"role":"user","content":"\u0022role\u0022: \u0061"}]}',
        b'{"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"a"}]}]}',
        b'{"messages":[{"role":"user","content":"x"}],"tools":[{"function":{"properties":{"role":{},"content":{}}}}]}',
    ],
)
@pytest.mark.parametrize("padding", [0, 6_000])
def test_requests_without_nested_duplicates_are_accepted(body: bytes, padding: int) -> None:
    check_nested(body[:-1] + b" " * padding + b"}", *counts(body))


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
