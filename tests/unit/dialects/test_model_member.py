"""The name of the model in answers is replaced, and every other byte stays."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intellirouter.dialects.wire.model_member import member_spans, replace_in_document, replace_in_stream

TOP = ("model",)
NEW = b'"new"'
ANSWERS = {
    "first": (b'{"model":"old","x":1}', b'{"model":"new","x":1}'),
    "after scalars": (
        b'{"id":"a", "created":1, "model" : "old", "b":[]}',
        b'{"id":"a", "created":1, "model" : "new", "b":[]}',
    ),
    "after a list": (b'{"data":[{"model":"inner"}],"model":"old"}', b'{"data":[{"model":"inner"}],"model":"new"}'),
    "after a nested one": (b'{"a":{"model":"inner"},"model":"old"}', b'{"a":{"model":"inner"},"model":"new"}'),
    "only nested": (b'{"a":{"model":"inner"}}', b'{"a":{"model":"inner"}}'),
    "in a string": (rb'{"a":"\"model\":\"old\"","model":"old"}', rb'{"a":"\"model\":\"old\"","model":"new"}'),
    "in a key": (rb'{"a\"model":"old","b":1}', rb'{"a\"model":"old","b":1}'),
    "as a value": (b'{"object":"model","model":"old"}', b'{"object":"model","model":"new"}'),
    "null": (b'{"model":null}', b'{"model":"new"}'),
    "escapes": (rb'{"model":"o\"ld"}', b'{"model":"new"}'),
    "a number": (b'{"model":1}', b'{"model":"new"}'),
    "a number at the end": (b'{"a":[],"model": -1.5e3 }', b'{"a":[],"model": "new" }'),
    "a number on lines": (b'{\n  "a": [],\n  "model": 12\n}', b'{\n  "a": [],\n  "model": "new"\n}'),
    "true": (b'{"a":{},"model":true,"b":1}', b'{"a":{},"model":"new","b":1}'),
    "a list": (b'{"model":["old","]"],"b":1}', b'{"model":"new","b":1}'),
    "an object": (b'{"model":{"id":"old","model":"x"},"b":1}', b'{"model":"new","b":1}'),
    "twice": (b'{"model":"old","a":1,"model":"old"}', b'{"model":"new","a":1,"model":"new"}'),
    "twice, apart": (
        b'{"model":"old","a":{"model":"x"},"model":null}',
        b'{"model":"new","a":{"model":"x"},"model":"new"}',
    ),
    "an escaped name": (rb'{"m\u006fdel":"old"}', rb'{"m\u006fdel":"new"}'),
    "an escaped name as the second": (
        rb'{"model":"old","a":"\u0061","\u006Dodel":"old"}',
        rb'{"model":"new","a":"\u0061","\u006Dodel":"new"}',
    ),
    "an escaped name within": (rb'{"a":{"m\u006fdel":"x"}}', rb'{"a":{"m\u006fdel":"x"}}'),
    "truncated": (b'{"model":12', b'{"model":"new"'),
    "on lines": (b'{\n  "id": "a",\n  "model": "old"\n}', b'{\n  "id": "a",\n  "model": "new"\n}'),
    "absent": (b'{"id":"a"}', b'{"id":"a"}'),
}


@pytest.mark.parametrize(("body", "expected"), list(ANSWERS.values()), ids=list(ANSWERS))
def test_the_member_of_a_document_is_replaced(body: bytes, expected: bytes) -> None:
    assert replace_in_document(body, TOP, NEW) == expected


@pytest.mark.parametrize("body", [b'{"id":"a"}', b'{"a":{"model":"inner"}}'])
def test_a_document_without_the_member_is_the_same_object(body: bytes) -> None:
    assert replace_in_document(body, TOP, NEW) is body


EVENTS = {
    "a number": (
        b'data: {"model":7}\n\ndata: {"a":[],"model":7}\n\n',
        b'data: {"model":"new"}\n\ndata: {"a":[],"model":"new"}\n\n',
    ),
    "twice": (
        b'data: {"model":"old","a":1,"model":"old"}\n\ndata: {"model":"old"}\n\n',
        b'data: {"model":"new","a":1,"model":"new"}\n\ndata: {"model":"new"}\n\n',
    ),
    "an escaped name": (
        b'data: {"m\\u006fdel":"old","a":1}\n\ndata: {"model":"old"}\n\n',
        b'data: {"m\\u006fdel":"new","a":1}\n\ndata: {"model":"new"}\n\n',
    ),
    "lines with escaped names": (
        b'{"mode\\u006c":"old","a":1}\n{"a":{},"model":false}\n',
        b'{"mode\\u006c":"new","a":1}\n{"a":{},"model":"new"}\n',
    ),
    "one": (b'data: {"id":"a","model":"old"}\n\n', b'data: {"id":"a","model":"new"}\n\n'),
    "many": (
        b'data:{"model":"old"}\n\ndata: {"model":"old"}\n\n',
        b'data:{"model":"new"}\n\ndata: {"model":"new"}\n\n',
    ),
    "comment": (b': "model" {\n\ndata: {"model":"old"}\n\n', b': "model" {\n\ndata: {"model":"new"}\n\n'),
    "with type": (b'event: x\ndata: {"a":[],"model":"old"}\n\n', b'event: x\ndata: {"a":[],"model":"new"}\n\n'),
    "nested": (
        b'data: {"model":"old","a":{"model":"inner"}}\n\ndata: [DONE]\n\n',
        b'data: {"model":"new","a":{"model":"inner"}}\n\ndata: [DONE]\n\n',
    ),
    "carriage returns": (b'data: {"a":[],"model":"old"}\r\n\r\n', b'data: {"a":[],"model":"new"}\r\n\r\n'),
    "several data lines": (
        b'id: 1\ndata: {"a":[],\ndata: "model":"old"}\n\n',
        b'id: 1\ndata: {"a":[],\ndata: "model":"new"}\n\n',
    ),
    "lines of JSON": (
        b'{"model":"old","a":1}\n{"a":{},"model":"old"}\n',
        b'{"model":"new","a":1}\n{"a":{},"model":"new"}\n',
    ),
    "an array": (
        b'[{"a":{"model":"x"},"model":"old"},\r\n{"model":"old"}',
        b'[{"a":{"model":"x"},"model":"new"},\r\n{"model":"new"}',
    ),
    "the end of an array": (b',\r\n{"a":[],"model":"old"}]', b',\r\n{"a":[],"model":"new"}]'),
    "an indented array": (
        b'[{\n  "a": [\n    {\n      "model": "inner"\n    }\n  ],\n  "model": "old"\n}',
        b'[{\n  "a": [\n    {\n      "model": "inner"\n    }\n  ],\n  "model": "new"\n}',
    ),
    "only nested, indented": (
        b'[{\n  "a": [\n    {"model": "inner"}\n  ]\n}',
        b'[{\n  "a": [\n    {"model": "inner"}\n  ]\n}',
    ),
    "without it": (b'data: {"a":1}\n\n', b'data: {"a":1}\n\n'),
}


@pytest.mark.parametrize(("block", "expected"), list(EVENTS.values()), ids=list(EVENTS))
def test_the_member_of_each_event_is_replaced(block: bytes, expected: bytes) -> None:
    assert replace_in_stream(block, TOP, NEW) == expected


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (
            b'event: message_start\ndata: {"type":"message_start","message":{"id":"m","model":"old"}}\n\n',
            b'event: message_start\ndata: {"type":"message_start","message":{"id":"m","model":"new"}}\n\n',
        ),
        (
            b'data: {"message":{"tools":[{"model":"tool"}],"model":"old"},"model":"top"}\n\n',
            b'data: {"message":{"tools":[{"model":"tool"}],"model":"new"},"model":"top"}\n\n',
        ),
        (
            b'data: {"message":{"model":"old"},"m\\u0065ssage":{"model":null,"mod\\u0065l":3}}\n\n',
            b'data: {"message":{"model":"new"},"m\\u0065ssage":{"model":"new","mod\\u0065l":"new"}}\n\n',
        ),
        (b'data: {"item":{"message":{"model":"x"}}}\n\n', b'data: {"item":{"message":{"model":"x"}}}\n\n'),
        (b'data: {"message":"text","x":{"model":"y"}}\n\n', b'data: {"message":"text","x":{"model":"y"}}\n\n'),
    ],
)
def test_a_member_within_another_is_replaced(event: bytes, expected: bytes) -> None:
    assert replace_in_stream(event, ("message", "model"), NEW) == expected


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6) | st.just("model"),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "model", 'b"', "{"]), inner, max_size=3)
    ),
    max_leaves=8,
)
_OBJECTS = st.dictionaries(st.sampled_from(["a", "b", "}", 'c\\"']), _VALUES, max_size=4)


@given(before=_OBJECTS, after=_OBJECTS, old=_VALUES, is_ascii=st.booleans())
def test_only_the_member_differs(
    before: dict[str, object], after: dict[str, object], old: object, is_ascii: bool
) -> None:
    document = {**before, "model": old, **{f"z{name}": value for name, value in after.items()}}
    body = json.dumps(document, ensure_ascii=is_ascii).encode()
    assert json.loads(replace_in_document(body, TOP, NEW)) == {**document, "model": "new"}
    assert len(member_spans(body + b"\n" + body, TOP)) == 2
    block = b"data: " + body + b"\n\n"
    assert replace_in_stream(block + block, TOP, NEW).count(b"\n\n") == 2
    assert json.loads(replace_in_stream(block, TOP, NEW)[6:]) == {**document, "model": "new"}
