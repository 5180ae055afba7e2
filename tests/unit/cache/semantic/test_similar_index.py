"""The index of similar texts: lookups, limits and expiry."""

import random

import pytest

pytest.importorskip("numpy", reason="the extra `semantic` is not installed")

import numpy as np

from intellirouter.cache.semantic.reading import read_text
from intellirouter.cache.semantic.similar_index import Entry, SimilarIndex

READING = read_text("What is the capital of Chile?")
A, B = b"partition a", b"partition b"


def unit(*values: float) -> "np.ndarray[tuple[int], np.dtype[np.float32]]":
    vector = np.array(values, dtype=np.float32)
    return vector / np.linalg.norm(vector)


def entry(key: str, expires_at_s: float = 1e9) -> Entry:
    return Entry(key.encode(), READING, expires_at_s)


def index(max_bytes: int = 1 << 20, max_entries: int = 100) -> SimilarIndex:
    return SimilarIndex(2, max_bytes=max_bytes, max_entries_per_partition=max_entries)


def found(stored: SimilarIndex, partition: bytes, now_s: float = 0.0, **options: float) -> list[str]:
    matches = stored.find(partition, unit(1, 0), min_cosine=options.get("min_cosine", 0.5), now_s=now_s)
    return [match.entry.answer_key.decode() for match in matches]


def test_similar_texts_are_found_best_first() -> None:
    stored = index()
    stored.add(A, entry("close"), unit(1, 0.1))
    stored.add(A, entry("same"), unit(1, 0))
    stored.add(A, entry("far"), unit(0, 1))
    assert found(stored, A) == ["same", "close"]
    assert found(stored, A, min_cosine=0.999) == ["same"]
    match = stored.find(A, unit(2, 0), min_cosine=0.9, now_s=0)[0]
    assert match.cosine == pytest.approx(1.0)


def test_at_most_the_limit_is_returned() -> None:
    stored = index()
    for i in range(30):
        stored.add(A, entry(str(i)), unit(1, i / 100))
    matches = stored.find(A, unit(1, 0), min_cosine=0.5, now_s=0, limit=3)
    assert [match.entry.answer_key for match in matches] == [b"0", b"1", b"2"]


def test_partitions_never_see_each_other() -> None:
    stored = index()
    stored.add(A, entry("a"), unit(1, 0))
    stored.add(B, entry("b"), unit(1, 0))
    assert found(stored, A) == ["a"]
    assert found(stored, B) == ["b"]
    assert found(stored, b"other") == []


def test_expired_entries_are_not_found_and_are_dropped() -> None:
    stored = index()
    stored.add(A, entry("old", expires_at_s=10), unit(1, 0))
    stored.add(A, entry("new", expires_at_s=20), unit(1, 0.1))
    assert found(stored, A, now_s=9.9) == ["old", "new"]
    assert found(stored, A, now_s=10) == ["new"]
    assert len(stored) == 1


def test_an_entry_with_the_same_answer_is_replaced() -> None:
    stored = index()
    stored.add(A, entry("a"), unit(0, 1))
    stored.add(A, entry("a"), unit(1, 0))
    assert found(stored, A) == ["a"]
    assert len(stored) == 1


def test_the_least_recently_used_entry_of_a_full_partition_is_dropped() -> None:
    stored = index(max_entries=2)
    stored.add(A, entry("1"), unit(1, 0))
    stored.add(A, entry("2"), unit(1, 0.1))
    stored.touch(A, b"1")
    stored.add(A, entry("3"), unit(1, 0.2))
    assert found(stored, A) == ["1", "3"]


def test_memory_is_bounded_across_partitions_and_old_ones_go_first() -> None:
    stored = index(max_bytes=20_000)
    for i in range(40):
        assert stored.add(str(i).encode(), entry("x"), unit(1, 0))
        assert stored.size_bytes <= 20_000
    assert found(stored, b"39") == ["x"]
    assert found(stored, b"0") == []


def test_an_entry_that_is_larger_than_the_index_is_not_stored() -> None:
    stored = index(max_bytes=1_000)
    assert not stored.add(A, entry("a"), unit(1, 0))
    assert len(stored) == 0
    assert stored.size_bytes == 0


def test_removing_everything_frees_everything() -> None:
    stored = index()
    for i in range(50):
        stored.add(A, entry(str(i)), unit(1, i / 100))
    for i in range(50):
        stored.remove(A, str(i).encode())
    stored.remove(A, b"unknown")
    stored.touch(A, b"unknown")
    assert len(stored) == 0
    assert stored.size_bytes == 0
    stored.add(A, entry("a"), unit(1, 0))
    stored.clear()
    assert (len(stored), stored.size_bytes) == (0, 0)


def test_random_operations_agree_with_a_plain_dictionary() -> None:
    numbers = random.Random(7)
    stored = index(max_entries=1_000)
    expected: dict[tuple[bytes, str], float] = {}
    for _ in range(3_000):
        partition, key, slope = numbers.choice((A, B)), str(numbers.randrange(150)), numbers.random()
        if numbers.random() < 0.6:
            stored.add(partition, entry(key), unit(1, slope))
            expected[partition, key] = slope
        else:
            stored.remove(partition, key.encode())
            expected.pop((partition, key), None)
    assert len(stored) == len(expected)
    for partition in (A, B):
        best = sorted((slope, key) for (place, key), slope in expected.items() if place == partition)[:5]
        assert found(stored, partition) == [key for _, key in best]


@pytest.mark.parametrize("members", [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_limits_must_be_positive(members: tuple[int, int, int]) -> None:
    dimensions, max_bytes, max_entries = members
    with pytest.raises(ValueError, match="at least 1"):
        SimilarIndex(dimensions, max_bytes=max_bytes, max_entries_per_partition=max_entries)


def test_vectors_of_another_embedder_are_rejected() -> None:
    with pytest.raises(ValueError, match="shape"):
        index().add(A, entry("a"), np.ones(3, dtype=np.float32))
