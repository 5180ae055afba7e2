"""The indexes of all tenants, within one limit. If it is reached, the tenant with the most bytes gives up entries.

So a tenant alone can use all of it, and no tenant can push out another one that uses less than an equal share.
"""

from collections.abc import Callable
from typing import TypeVar

from intellirouter.cache.semantic.embedder import Vector
from intellirouter.cache.semantic.similar_index import MIN_COSINE, Entry, Match, SimilarIndex

T = TypeVar("T")


class TenantIndexes:
    """One `SimilarIndex` per tenant, with the same methods. Use it on one event loop only."""

    def __init__(self, dimensions: int, max_bytes: int) -> None:
        self._dimensions = dimensions
        self._max_bytes = max_bytes
        self._indexes: dict[str, SimilarIndex] = {}
        self._size_bytes = 0

    @property
    def size_bytes(self) -> int:
        return self._size_bytes

    def __len__(self) -> int:
        return sum([len(each) for each in self._indexes.values()])

    def resize(self, max_bytes: int) -> None:
        """Use another limit from now on. With 0 bytes, everything is removed."""
        self._max_bytes = max_bytes
        if max_bytes == 0:
            self._indexes.clear()
            self._size_bytes = 0
        for index in self._indexes.values():
            index.max_bytes = max_bytes
        self._shrink()

    def find_text(self, tenant: str, partition_key: bytes, canonical_text: str, *, now_s: float) -> Entry | None:
        if (index := self._indexes.get(tenant)) is None:
            return None
        return self._changed(tenant, index, lambda: index.find_text(partition_key, canonical_text, now_s=now_s))

    def find(
        self, tenant: str, partition_key: bytes, vector: Vector, *, now_s: float, min_cosine: float = MIN_COSINE
    ) -> list[Match]:
        if (index := self._indexes.get(tenant)) is None:
            return []
        return self._changed(
            tenant, index, lambda: index.find(partition_key, vector, now_s=now_s, min_cosine=min_cosine)
        )

    def touch(self, tenant: str, partition_key: bytes, answer_key: bytes) -> None:
        if (index := self._indexes.get(tenant)) is not None:
            index.touch(partition_key, answer_key)

    def add(self, tenant: str, partition_key: bytes, entry: Entry, vector: Vector) -> None:
        if not self._max_bytes:
            return
        index = self._indexes.get(tenant)
        if index is None:
            index = self._indexes[tenant] = SimilarIndex(self._dimensions, max_bytes=self._max_bytes)
        self._changed(tenant, index, lambda: index.add(partition_key, entry, vector))
        self._shrink()

    def remove(self, tenant: str, partition_key: bytes, answer_key: bytes) -> None:
        if (index := self._indexes.get(tenant)) is not None:
            self._changed(tenant, index, lambda: index.remove(partition_key, answer_key))

    def _changed(self, tenant: str, index: SimilarIndex, change: Callable[[], T]) -> T:
        """Make a change to one index, and count its bytes."""
        before = index.size_bytes
        try:
            return change()
        finally:
            self._size_bytes += index.size_bytes - before
            if index.size_bytes == 0:
                del self._indexes[tenant]

    def _shrink(self) -> None:
        """Drop entries until the rest fits. Each pass over the tenants drops one."""
        while self._size_bytes > self._max_bytes:
            tenant, largest = max(self._indexes.items(), key=lambda item: item[1].size_bytes)
            self._changed(tenant, largest, largest.drop_oldest)
