"""Rendezvous hashing: everybody agrees, shares are as they should be, and few keys move."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intellirouter.core import rendezvous_order, weighted_rendezvous_order

NAMES = st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=8, unique=True)
KEYS = st.binary(max_size=64)


def keys(count: int) -> list[bytes]:
    return [b"key %d" % number for number in range(count)]


@given(KEYS, NAMES)
def test_order_has_all_names_and_depends_on_the_key_only(key: bytes, names: list[str]) -> None:
    order = rendezvous_order(key, names)
    assert sorted(order) == sorted(names)
    assert rendezvous_order(key, reversed(names)) == order
    assert weighted_rendezvous_order(key, dict.fromkeys(names, 1.0)) == order


@given(KEYS, NAMES, st.data())
def test_removing_a_name_does_not_change_the_order_of_the_others(
    key: bytes, names: list[str], data: st.DataObject
) -> None:
    gone = data.draw(st.sampled_from(names))
    left = [each for each in names if each != gone]
    assert rendezvous_order(key, left) == [each for each in rendezvous_order(key, names) if each != gone]
    weights = {name: 1.0 + number for number, name in enumerate(names)}
    before = weighted_rendezvous_order(key, weights)
    del weights[gone]
    assert weighted_rendezvous_order(key, weights) == [each for each in before if each != gone]


def test_equal_names_get_equal_shares() -> None:
    counts = Counter(rendezvous_order(key, ["a", "b", "c", "d"])[0] for key in keys(4000))
    assert all(850 < number < 1150 for number in counts.values()), counts


def test_only_the_keys_of_a_name_that_leaves_move() -> None:
    before = {key: rendezvous_order(key, "abcd")[0] for key in keys(1000)}
    after = {key: rendezvous_order(key, "abd")[0] for key in keys(1000)}
    moved = {key for key in before if before[key] != after[key]}
    assert moved == {key for key in before if before[key] == "c"}
    assert set(Counter(after[key] for key in moved)) == {"a", "b", "d"}  # and they are spread over the others


@pytest.mark.parametrize("heavy", [2.0, 4.0])
def test_shares_follow_the_weights(heavy: float) -> None:
    weights = {"light": 1.0, "heavy": heavy}
    counts = Counter(weighted_rendezvous_order(key, weights)[0] for key in keys(4000))
    assert counts["heavy"] / counts["light"] == pytest.approx(heavy, rel=0.15)


def test_weight_zero_is_last() -> None:
    assert {weighted_rendezvous_order(key, {"a": 0.0, "b": 0.001})[0] for key in keys(50)} == {"b"}


def test_any_text_can_be_a_name() -> None:
    assert sorted(rendezvous_order(b"", ["\ud800", "ä", ""])) == sorted(["\ud800", "ä", ""])
