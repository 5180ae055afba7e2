"""Edits in JSON bytes change what they should, and no other byte."""

import json
import tracemalloc
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intellirouter.dialects.wire.json_edit import append_member, json_string, model_spans, replace, top_level_spans

NAMES = ["model", "models", "Model", "a", "", "messages", "\u00e9", '"model"', "\\", "{", "mod\u0435l"]
VALUES = ["m", "", "a\u00e9\U0001f600", '"model":"x"', "}{][,:", "\\", 'x\\"', "\n\t\0", "model"]
SPACES = ["", " ", "\n", "\t", "\r\n  "]


def spelled(text: str, draw: Any) -> str:
    """Return a JSON string of `text`: unescaped, ASCII only, or with every letter escaped."""
    way = draw(st.integers(0, 3))
    if way == 0:
        return json.dumps(text, ensure_ascii=False)
    if way == 1:
        return json.dumps(text)
    units = text.encode("utf-16-be")
    hexes = [units[place : place + 2].hex() for place in range(0, len(units), 2)]
    if way == 2:
        return '"' + "".join("\\u" + each for each in hexes) + '"'
    return '"' + "".join("\\u" + each.upper() for each in hexes) + '"'


@st.composite
def written(draw: Any, depth: int = 0) -> str:
    """Return a JSON value as text, with any spelling and spacing."""
    kind = draw(st.integers(0, 5 if depth < 3 else 3))
    space = draw(st.sampled_from(SPACES))
    if kind == 4:
        return "[" + space + (space + ",").join(draw(st.lists(written(depth=depth + 1), max_size=3))) + space + "]"
    if kind == 5:
        return draw(object_text(depth=depth + 1))
    plain = draw(st.sampled_from(["null", "true", "false", "0", "-1.50e+3", "12345678901234567890"]))
    return spelled(draw(st.sampled_from(NAMES + VALUES)), draw) if kind < 3 else plain


@st.composite
def object_text(draw: Any, depth: int = 0) -> str:
    members = draw(st.lists(st.tuples(st.sampled_from(NAMES), written(depth=depth)), max_size=4))
    return joined([(spelled(name, draw), value) for name, value in members], draw)


def joined(members: list[tuple[str, str]], draw: Any) -> str:
    spaces = iter(draw(st.lists(st.sampled_from(SPACES), min_size=40, max_size=40)))
    inner = ",".join(
        f"{next(spaces)}{name}{next(spaces)}:{next(spaces)}{value}{next(spaces)}" for name, value in members
    )
    return "{" + next(spaces) + inner + next(spaces) + "}"


@st.composite
def requests(draw: Any) -> tuple[bytes, str]:
    """Return a request with one or more top-level models, of which the last one counts."""
    others = draw(st.lists(st.tuples(st.sampled_from(NAMES[1:]), written()), max_size=4))
    members = [(spelled(name, draw), value) for name, value in others]
    model = ""
    places = sorted(draw(st.lists(st.integers(0, 8), min_size=1, max_size=3)))
    for place in places:
        model = draw(st.sampled_from(VALUES))
        members.insert(min(place, len(members)), (spelled("model", draw), spelled(model, draw)))
    text = joined(members, draw)
    model = json.loads(text)["model"]
    space = draw(st.sampled_from(SPACES))
    return (space + text + space).encode(), model


def pieces(body: bytes, spans: list[tuple[int, int]]) -> list[bytes]:
    """Return the bytes around the spans."""
    edges = [0, *(edge for span in spans for edge in span), len(body)]
    return [body[edges[place] : edges[place + 1]] for place in range(0, len(edges), 2)]


@given(requests(), st.sampled_from(["up", "", "\u00e9", 'q"\\', "m"]))
def test_only_the_model_is_replaced(request_and_model: tuple[bytes, str], upstream_model: str) -> None:
    body, model = request_and_model
    spans = model_spans(body, model)
    edited = replace(body, spans, json_string(upstream_model))
    assert json.loads(edited) == {**json.loads(body), "model": upstream_model}
    # All of them, so that a vendor that reads the first of several gets the same model.
    found = json.loads(edited, object_pairs_hook=lambda pairs: pairs)
    assert {value for name, value in found if name == "model"} == {upstream_model}
    around = pieces(body, spans)
    assert edited == json_string(upstream_model).join(around)
    for start, end in spans:
        assert isinstance(msgspec.json.decode(body[start:end]), str)


@given(object_text(), st.sampled_from(NAMES))
def test_all_top_level_members_of_a_name_are_found(text: str, name: str) -> None:
    body = text.encode()
    found = [json.loads(body[start:end]) for start, end in top_level_spans(body, name)]
    pairs = json.loads(text, object_pairs_hook=lambda pairs: pairs)
    assert [as_pairs(each) for each in found] == [as_pairs(value) for key, value in pairs if key == name]


def as_pairs(value: Any) -> Any:
    """Make objects comparable, whether decoded as dictionaries or as pairs (the last of equal names counts)."""
    if isinstance(value, dict):
        return {key: as_pairs(each) for key, each in value.items()}
    if isinstance(value, list):
        if value and all(isinstance(each, tuple) for each in value):
            return {key: as_pairs(each) for key, each in value}
        return {} if not value else [as_pairs(each) for each in value]
    return value


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"model":"m","messages":[]}', b'{"model":"U","messages":[]}'),
        (b'{"messages":[{"a":1}],"model":"m"}', b'{"messages":[{"a":1}],"model":"U"}'),
        (b'{"messages":[{"model":"m"}],"model":"m","x":[1]}', b'{"messages":[{"model":"m"}],"model":"U","x":[1]}'),
        (b'{"x":{"a":1},"model" :\n"m" ,"y":{}}', b'{"x":{"a":1},"model" :\n"U" ,"y":{}}'),
        (b'{"model":"m","model":"m"}', b'{"model":"U","model":"U"}'),
        (rb'{"model":"m","m\u006fdel":"m"}', rb'{"model":"U","m\u006fdel":"U"}'),
        (rb'{"m\u006Fdel":"m","x":"model"}', rb'{"m\u006Fdel":"U","x":"model"}'),
        (b'{"x":"model","model":"m"}', b'{"x":"model","model":"U"}'),
        (rb'{"x":"\"model\":\"m\"","model":"m"}', rb'{"x":"\"model\":\"m\"","model":"U"}'),
        (rb'{"model":"\u006d"}', rb'{"model":"U"}'),
        (b'{"\xff":{"model":"m"},"model":"m","y":[{}]}', b'{"\xff":{"model":"m"},"model":"U","y":[{}]}'),
        (b'{"x":[[]],"model":"m"}', b'{"x":[[]],"model":"U"}'),
    ],
)
def test_the_model_is_found_at_any_place(body: bytes, expected: bytes) -> None:
    assert replace(body, model_spans(body, "m"), b'"U"') == expected


def test_an_appended_member_is_the_last() -> None:
    assert append_member(b'{"a":1 \n} ', b'"b":2') == b'{"a":1,"b":2} '
    assert append_member(b'{"a":"}"}', b'"b":2') == b'{"a":"}","b":2}'


@given(object_text().filter(json.loads))
def test_an_appended_member_does_not_change_the_others(text: str) -> None:
    body = text.encode()
    edited = append_member(body, b'"new":[1]')
    assert json.loads(edited) == {**json.loads(text), "new": [1]}
    end = len(body) - 1
    assert edited == body[:end].rstrip() + b',"new":[1]' + b"}"


def test_escapes_do_not_increase_memory_usage() -> None:
    body = b'{"x":"' + rb"\n" * 1_000_000 + b'","model":"m","model":"m"}'
    tracemalloc.start()
    try:
        assert len(model_spans(body, "m")) == 2
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3 * len(body)
