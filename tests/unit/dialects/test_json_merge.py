"""The three-way merge of JSON: properties with generated documents, and examples from requests."""

import copy
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intellirouter.dialects.adapt.json_merge import Layout, merge

NAMES = st.sampled_from(["role", "content", "name", "tools", "id", "options"])
EXTRA_NAMES = st.sampled_from(["x_trace", "x_note", "x_flag"])
WORDS = st.text("abcdefghij", min_size=3, max_size=8)
SCALARS = st.none() | st.integers(2, 99) | WORDS
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)
OBJECTS = st.dictionaries(NAMES, DOCUMENTS, max_size=4)
EXTRAS = st.dictionaries(EXTRA_NAMES, SCALARS, min_size=1, max_size=2)


@st.composite
def elaborated(draw: st.DrawFn, value: Any) -> Any:
    """Return the document as another writer has it: with members that the first writer does not know."""
    if isinstance(value, dict):
        more = draw(EXTRAS) if draw(st.booleans()) else {}
        return {**{name: draw(elaborated(member)) for name, member in value.items()}, **more}
    if isinstance(value, list):
        return [draw(elaborated(element)) for element in value]
    return value


@st.composite
def turns(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Return messages with unique names, which identify them when their text changes."""
    texts = draw(st.lists(WORDS, max_size=6, unique=True))
    roles = st.sampled_from(["u", "a"])
    return [{"role": draw(roles), "name": f"message {at}", "content": text} for at, text in enumerate(texts)]


@st.composite
def edited_turns(draw: st.DrawFn, base: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the messages with some removed, changed and added, like after an edit by a stage."""
    ours: list[dict[str, Any]] = []
    for number, turn in enumerate(base):
        match draw(st.sampled_from(["keep", "keep", "remove", "change", "add"])):
            case "keep":
                ours.append(turn)
            case "change":
                ours.append({**turn, "content": f"{turn['content']} changed"})
            case "add":
                ours += [{"role": "s", "content": f"added {number}"}, turn]
            case _:
                pass
    if draw(st.booleans()):
        ours.append({"role": "s", "content": "added last"})
    return ours


def without_extras(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_extras(member) for name, member in value.items() if not name.startswith("x_")}
    return [without_extras(each) for each in value] if isinstance(value, list) else value


def extras_of(value: Any) -> list[Any]:
    """Return all members that only `theirs` has, with their values, at any depth."""
    if isinstance(value, dict):
        own = [(name, member) for name, member in value.items() if name.startswith("x_")]
        return own + [extra for member in value.values() for extra in extras_of(member)]
    return [extra for each in value for extra in extras_of(each)] if isinstance(value, list) else []


@given(base=DOCUMENTS, data=st.data())
def test_without_a_change_the_result_is_theirs(base: Any, data: st.DataObject) -> None:
    theirs = data.draw(elaborated(base))
    assert merge(base, copy.deepcopy(base), theirs) == theirs


@given(base=OBJECTS, ours=OBJECTS)
def test_the_result_is_ours_if_theirs_equals_base(base: dict[str, Any], ours: dict[str, Any]) -> None:
    assert merge(base, ours, copy.deepcopy(base)) == ours


@given(base=OBJECTS, ours=OBJECTS, extras=EXTRAS)
def test_disjoint_changes_of_both_sides_are_kept(
    base: dict[str, Any], ours: dict[str, Any], extras: dict[str, Any]
) -> None:
    assert merge(base, ours, {**base, **extras}) == {**ours, **extras}


@given(base=OBJECTS, data=st.data())
def test_members_of_theirs_are_kept_if_ours_changes_other_members(base: dict[str, Any], data: st.DataObject) -> None:
    """No member of theirs is lost when ours changes objects to other objects, or adds some."""
    theirs = data.draw(elaborated(base))
    changed = {name: {**value, "more": 2} for name, value in base.items() if isinstance(value, dict)}
    ours = {**base, **changed, "added": 1}
    merged = merge(base, ours, theirs)
    assert without_extras(merged) == ours
    assert extras_of(merged) == extras_of(theirs)


@given(base=turns(), data=st.data())
def test_lists_are_merged_element_by_element(base: list[dict[str, Any]], data: st.DataObject) -> None:
    theirs, ours = data.draw(elaborated(base)), data.draw(edited_turns(base))
    merged = merge({"messages": base}, {"messages": ours}, {"messages": theirs})["messages"]
    assert without_extras(merged) == ours
    names = {turn.get("name") for turn in ours}
    kept = [turn for turn in theirs if turn["name"] in names]
    assert extras_of(merged) == extras_of(kept)


@given(base=turns(), data=st.data())
def test_elements_that_only_theirs_has_keep_their_place(base: list[dict[str, Any]], data: st.DataObject) -> None:
    """The writer of base omits some elements. If the edit removes nothing, all of them are kept."""
    theirs = data.draw(elaborated(base))
    place = data.draw(st.integers(0, len(theirs)))
    theirs.insert(place, {"only": "theirs"})
    ours = [{"role": "s", "content": "added first"}, *base, {"role": "s", "content": "added last"}]
    merged = merge({"messages": base}, {"messages": ours}, {"messages": theirs})["messages"]
    assert [turn for turn in merged if turn.get("role") != "s"] == theirs
    assert [turn for turn in without_extras(merged) if "only" not in turn] == ours


@given(base=turns(), data=st.data())
def test_the_same_change_on_both_sides_is_applied_once(base: list[dict[str, Any]], data: st.DataObject) -> None:
    theirs, ours = data.draw(elaborated(base)), data.draw(edited_turns(base))
    documents = {"messages": base}, {"messages": ours}, {"messages": theirs}
    once = merge(*documents)
    assert merge(documents[0], documents[1], once) == once


@given(base=DOCUMENTS, ours=DOCUMENTS, data=st.data())
def test_merge_does_not_change_its_arguments(base: Any, ours: Any, data: st.DataObject) -> None:
    theirs = data.draw(elaborated(base))
    before = copy.deepcopy((base, ours, theirs))
    merge(base, ours, theirs)
    assert (base, ours, theirs) == before


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "merged"),
    [
        # A member is removed, changed or added. What the client has written in another way is kept.
        ({"a": 2, "b": 3}, {"b": 3}, {"a": 2, "b": 3, "x": 1}, {"b": 3, "x": 1}),
        ({"a": 2}, {"a": 4}, {"a": 2, "x": 1}, {"a": 4, "x": 1}),
        ({"a": 2}, {"a": 2, "b": 5}, {"x": 1}, {"x": 1, "b": 5}),
        # The encoder writes a default that the client omitted. It is still omitted, unless the edit changes it.
        ({"a": 2, "n": 9}, {"a": 4, "n": 9}, {"a": 2}, {"a": 4}),
        ({"a": 2, "n": 9}, {"a": 2, "n": 8}, {"a": 2}, {"a": 2, "n": 8}),
        # Both sides have added a member.
        ({}, {"o": {"p": 2}}, {"o": {"q": 3}}, {"o": {"p": 2, "q": 3}}),
        ({}, {"o": "ours"}, {"o": "theirs"}, {"o": "ours"}),
        # A text became a list of parts.
        ({"c": "hi"}, {"c": ["hi", "more"]}, {"c": "hi"}, {"c": ["hi", "more"]}),
        ({"c": "hi"}, {"c": ["hi", "more"]}, {"c": [{"text": "hi"}]}, {"c": ["hi", "more"]}),
    ],
)
def test_merges_of_members(base: Any, ours: Any, theirs: Any, merged: Any) -> None:
    assert merge(base, ours, theirs) == merged


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "merged"),
    [
        (["ab", "cd"], ["new", "ab", "cd"], ["ab", "cd"], ["new", "ab", "cd"]),
        (["ab", "cd"], ["ab", "new", "cd"], ["ab", "xx", "cd"], ["ab", "new", "xx", "cd"]),
        (["ab", "cd"], ["ab", "cd", "new"], ["ab", "cd", "xx"], ["ab", "cd", "xx", "new"]),
        (["ab", "cd"], ["cd"], ["ab", "xx", "cd"], ["xx", "cd"]),
        # The first element of the encoder has no counterpart. It is not added, and the edit gets the right place.
        (["sys", "ab"], ["new", "sys", "ab"], ["ab", "xx"], ["new", "ab", "xx"]),
        # It is changed, and an element of theirs has no counterpart either, so the pairs are unknown.
        (["sys", "ab"], ["other", "ab"], ["ab", "xx"], ["other", "ab"]),
        (["sys", "ab"], ["ab"], ["ab", "xx"], ["ab"]),
        # All elements of theirs have a counterpart, so the element is new.
        (["sys", "ab"], ["other", "ab"], ["ab"], ["other", "ab"]),
        (["sys", "ab"], ["ab"], ["ab"], ["ab"]),
        # Both sides have added the same element.
        (["ab"], ["new", "ab"], ["new", "ab"], ["new", "ab"]),
        ([], ["new"], ["xx"], ["new", "xx"]),
    ],
)
def test_merges_of_elements(base: Any, ours: Any, theirs: Any, merged: Any) -> None:
    assert merge(base, ours, theirs) == merged


def test_elements_are_paired_by_content_in_any_spelling() -> None:
    base = [{"role": "user", "content": "a long question"}, {"role": "assistant", "content": "an answer"}]
    theirs = [
        {"type": "hidden"},
        {"role": "user", "content": [{"type": "text", "text": "a long question", "mark": 1}]},
        {"role": "assistant", "content": [{"type": "text", "text": "an answer"}], "mark": 2},
    ]
    ours = [base[0], {"role": "assistant", "content": "another"}]
    changed = {"role": "assistant", "content": "another", "mark": 2}
    assert merge(base, ours, theirs) == [theirs[0], theirs[1], changed]


def test_the_layout_maps_the_spelling_of_members() -> None:
    layout = Layout(member_name=lambda name: name.replace("_", ""), as_list=lambda value: [value])
    base = {"genConfig": {"topP": 2}, "contents": [{"parts": [{"text": "one"}]}]}
    ours = {"genConfig": {"topP": 3}, "contents": [{"parts": [{"text": "one"}, {"text": "two"}]}]}
    theirs = {"genConfig": {"top_P": 2, "x": 1}, "_contents": {"parts": {"text": "one", "y": 2}}}
    assert merge(base, ours, theirs, layout) == {
        "genConfig": {"top_P": 3, "x": 1},
        "_contents": [{"parts": [{"text": "one", "y": 2}, {"text": "two"}]}],
    }


def test_synonyms_are_removed_if_a_member_is_taken_from_ours() -> None:
    layout = Layout(synonyms={"limit": ("old_limit",), "input": ("instructions",)})
    assert merge({"limit": 2}, {"limit": 3}, {"old_limit": 2, "x": 1}, layout) == {"limit": 3, "x": 1}
    assert merge({"limit": 2}, {}, {"old_limit": 2, "x": 1}, layout) == {"x": 1}
    assert merge({"limit": 2}, {"limit": 2}, {"old_limit": 2}, layout) == {"old_limit": 2}
    base, theirs = {"input": ["sys", "ab"]}, {"instructions": "sys", "input": ["ab"]}
    assert merge(base, {"input": ["sys", "ab", "new"]}, theirs, layout) == {
        "instructions": "sys",
        "input": ["ab", "new"],
    }
    assert merge(base, {"input": ["other", "ab"]}, theirs, layout) == {"input": ["other", "ab"]}
    assert merge(base, {"input": ["ab"]}, theirs, layout) == {"input": ["ab"]}


@pytest.mark.parametrize("text", ["same", None])
def test_long_lists_take_bounded_time(text: str | None) -> None:
    base = [{"role": "user", "content": text or f"turn {number}"} for number in range(5_000)]
    theirs = [{"role": "user", "content": f"{turn['content']} "} for turn in base]
    ours = [{"role": "system", "content": "new"}, *base[:2_500], {"role": "user", "content": "x"}, *base[2_501:]]
    started = time.process_time()
    merged = merge(base, ours, theirs)
    assert time.process_time() - started < 2.0
    assert len(merged) == 5_001
    assert merged[0] == {"role": "system", "content": "new"}
