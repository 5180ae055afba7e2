"""The indexes of the tenants share one limit, and the largest tenant gives up entries first."""

import pytest

pytest.importorskip("numpy", reason="the extra `semantic` is not installed")

import numpy as np

from intellirouter.cache.semantic.reading import read_text
from intellirouter.cache.semantic.similar_index import Entry
from intellirouter.cache.semantic.tenant_indexes import TenantIndexes

PARTITION = b"p"
VECTOR = np.array([1.0, 0.0], dtype=np.float32)


def entry(number: int, expires_at_s: float = 1e9) -> Entry:
    return Entry(b"%d" % number, read_text(f"What is the meaning of the number {number}?"), expires_at_s)


def test_largest_tenant_gives_up_its_oldest_entries() -> None:
    indexes = TenantIndexes(2, 1 << 16)
    indexes.add("small", PARTITION, entry(0), VECTOR)
    for number in range(1, 200):
        indexes.add("large", PARTITION, entry(number), VECTOR)
        assert indexes.size_bytes <= 1 << 16
    assert indexes.find_text("small", PARTITION, entry(0).reading.canonical_text, now_s=0) is not None
    assert indexes.find_text("large", PARTITION, entry(1).reading.canonical_text, now_s=0) is None
    assert indexes.find_text("large", PARTITION, entry(199).reading.canonical_text, now_s=0) is not None


def test_tenants_find_their_own_entries_only() -> None:
    indexes = TenantIndexes(2, 1 << 16)
    indexes.add("a", PARTITION, entry(1), VECTOR)
    assert [match.entry.answer_key for match in indexes.find("a", PARTITION, VECTOR, now_s=0)] == [b"1"]
    assert indexes.find("b", PARTITION, VECTOR, now_s=0) == []


def test_bytes_are_counted_back_to_zero() -> None:
    indexes = TenantIndexes(2, 1 << 16)
    for number in range(9):
        indexes.add(f"t{number % 3}", PARTITION, entry(number, expires_at_s=10.0 if number < 3 else 1e9), VECTOR)
    assert len(indexes) == 9
    for tenant in ("t0", "t1", "t2"):
        assert len(indexes.find(tenant, PARTITION, VECTOR, now_s=20.0)) == 2
    for number in range(9):
        indexes.remove(f"t{number % 3}", PARTITION, b"%d" % number)
    assert (len(indexes), indexes.size_bytes) == (0, 0)


def test_lower_limit_and_zero() -> None:
    indexes = TenantIndexes(2, 1 << 16)
    for number in range(20):
        indexes.add("a", PARTITION, entry(number), VECTOR)
    indexes.resize(10_000)
    assert 0 < indexes.size_bytes <= 10_000
    indexes.resize(0)
    indexes.add("a", PARTITION, entry(1), VECTOR)
    assert (len(indexes), indexes.size_bytes) == (0, 0)


def test_entry_that_was_used_is_kept_longer() -> None:
    indexes = TenantIndexes(2, 1 << 16)
    for number in range(10):
        indexes.add("a", PARTITION, entry(number), VECTOR)
    indexes.touch("a", PARTITION, b"0")
    indexes.resize(indexes.size_bytes - 1)
    assert indexes.find_text("a", PARTITION, entry(0).reading.canonical_text, now_s=0) is not None
    assert indexes.find_text("a", PARTITION, entry(1).reading.canonical_text, now_s=0) is None


def test_text_that_expired_is_removed() -> None:
    indexes = TenantIndexes(2, 1 << 16)
    indexes.add("a", PARTITION, entry(1, expires_at_s=5.0), VECTOR)
    assert indexes.find_text("a", PARTITION, entry(1).reading.canonical_text, now_s=5.0) is None
    assert len(indexes) == 0
