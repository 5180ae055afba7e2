"""Whether JSON that arrives in pieces is complete."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intellirouter.dialects.wire.json_progress import JsonProgress

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("pieces", "is_complete"),
    [
        ([], False),
        ([""], False),
        (["  "], False),
        (["{}"], True),
        (["{", "}"], True),
        (['{"a":', "1"], False),
        (['{"a":"}"'], False),
        (['{"a":"}"', "}"], True),
        (['{"a":"\\', '"}'], False),
        (['{"a":"\\', '"}"}'], True),
        (['{"a":"\\\\', '"}'], True),
        (['{"a":"\\', "", '"', '"}'], True),
        (["[[", "]", "]"], True),
        (["[[]"], False),
        (['"text"'], True),
        (['"te'], False),
        (["12"], False),
        (["}"], False),
    ],
)
def test_is_complete_for_pieces_of_json(pieces: list[str], is_complete: bool) -> None:
    progress = JsonProgress()
    for piece in pieces:
        progress.add(piece)
    assert progress.is_complete is is_complete


@given(st.dictionaries(st.text(max_size=5), JSON, max_size=4), st.data())
def test_an_object_is_complete_exactly_at_its_end(value: dict[str, object], data: st.DataObject) -> None:
    text = msgspec.json.encode(value).decode()
    progress = JsonProgress()
    at = 0
    while at < len(text):
        step = data.draw(st.integers(1, max(1, len(text) - at)))
        progress.add(text[at : at + step])
        at += step
        assert progress.is_complete is (at >= len(text))


def test_checking_twice_gives_the_same_result() -> None:
    progress = JsonProgress()
    progress.add('{"a":[1')
    assert not progress.is_complete
    assert not progress.is_complete
    progress.add("]}")
    assert progress.is_complete
    assert progress.is_complete
