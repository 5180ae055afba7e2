"""Finds stored texts that are similar to a new one, within one partition. Needs the extra `semantic`.

All state is in memory and belongs to one event loop. A text that was stored with the same canonical text is found in a
dictionary. Vectors of a partition are rows of one matrix, so that any other lookup is one product. Entries refer to
answers by their key in the cache of answers. If an answer was dropped there, its entry is removed when it is found.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from intellirouter.cache.semantic.embedder import Matrix, Vector
from intellirouter.cache.semantic.reading import Reading

MIN_COSINE: Final = 0.7
"""Similarity of texts that are worth comparing. It is low because the guard decides; see DESIGN.md."""
_FIRST_ROWS: Final = 1
_BYTES_PER_ENTRY: Final = 540
"""The entry, its key, its hash and its places in dictionaries, without its vector and its reading, on CPython 3.11."""
_BYTES_PER_PARTITION: Final = 950


@dataclass(frozen=True, eq=False)
class Entry:
    """A stored text: the key of its answer, and what the guard compares."""

    answer_key: bytes
    reading: Reading
    expires_at_s: float

    @cached_property
    def text_hash(self) -> int:
        """The hash of the canonical text. Two texts can have the same one, so the guard compares them anyway."""
        return hash(self.reading.canonical_text)


@dataclass(frozen=True)
class Match:
    entry: Entry
    cosine: float


class SimilarIndex:
    """The stored texts of all partitions, bounded in bytes and in entries. Drops the least recently used."""

    def __init__(self, dimensions: int, *, max_bytes: int, max_entries_per_partition: int = 2_000) -> None:
        if dimensions < 1 or max_bytes < 1 or max_entries_per_partition < 1:
            raise ValueError("The limits of the index must be at least 1.")
        self._dimensions = dimensions
        self.max_bytes = max_bytes
        self._max_entries = max_entries_per_partition
        self._partitions: OrderedDict[bytes, _Partition] = OrderedDict()
        self._size_bytes = 0

    @property
    def size_bytes(self) -> int:
        """The memory of all entries, estimated; the vectors exactly."""
        return self._size_bytes

    def __len__(self) -> int:
        return sum(len(partition.entries) for partition in self._partitions.values())

    def find(
        self, partition_key: bytes, vector: Vector, *, now_s: float, min_cosine: float = MIN_COSINE, limit: int = 5
    ) -> list[Match]:
        """Return the most similar entries that have not expired, best first. Does not count as use: see `touch`."""
        partition = self._partitions.get(partition_key)
        if partition is None:
            return []
        matches = partition.find(vector, min_cosine, limit)
        live = [match for match in matches if match.entry.expires_at_s > now_s]
        for match in matches:
            if match.entry.expires_at_s <= now_s:
                self.remove(partition_key, match.entry.answer_key)
        return live

    def find_text(self, partition_key: bytes, canonical_text: str, *, now_s: float) -> Entry | None:
        """Return the latest entry with this canonical text, if it has not expired. Needs no vector."""
        partition = self._partitions.get(partition_key)
        entry = None if partition is None else partition.with_text(canonical_text)
        if entry is not None and entry.expires_at_s <= now_s:
            self.remove(partition_key, entry.answer_key)
            return None
        return entry

    def touch(self, partition_key: bytes, answer_key: bytes) -> None:
        """Count an entry as used, so that it is dropped later."""
        partition = self._partitions.get(partition_key)
        if partition is not None and answer_key in partition.entries:
            partition.entries.move_to_end(answer_key)
            self._partitions.move_to_end(partition_key)

    def add(self, partition_key: bytes, entry: Entry, vector: Vector) -> bool:
        """Store a text, in place of an entry with the same answer key. Return False if it is larger than the index."""
        if vector.shape != (self._dimensions,):
            raise ValueError(f"The vector has the shape {vector.shape}, not ({self._dimensions},).")
        smallest = _BYTES_PER_PARTITION + _FIRST_ROWS * 4 * self._dimensions + _size_of(entry)
        if smallest > self.max_bytes:
            return False
        partition = self._partitions.get(partition_key)
        if partition is None:
            partition = self._partitions[partition_key] = _Partition(self._dimensions)
            self._size_bytes += partition.size_bytes
        self._partitions.move_to_end(partition_key)
        before = partition.size_bytes
        partition.put(entry, vector)
        if len(partition.entries) > self._max_entries:
            partition.remove(next(iter(partition.entries)))
        self._size_bytes += partition.size_bytes - before
        self._shrink()
        return True

    def remove(self, partition_key: bytes, answer_key: bytes) -> None:
        """Drop an entry, for instance because its answer was dropped."""
        partition = self._partitions.get(partition_key)
        if partition is None or answer_key not in partition.entries:
            return
        before = partition.size_bytes
        partition.remove(answer_key)
        self._size_bytes += partition.size_bytes - before
        self._drop_if_empty(partition_key, partition)

    def drop_oldest(self) -> None:
        """Drop the entry used longest ago of the partition used longest ago. The index must not be empty."""
        key, partition = next(iter(self._partitions.items()))
        self.remove(key, next(iter(partition.entries)))

    def clear(self) -> None:
        self._partitions.clear()
        self._size_bytes = 0

    def _shrink(self) -> None:
        """Drop entries until the limit is kept."""
        while self._size_bytes > self.max_bytes:
            self.drop_oldest()

    def _drop_if_empty(self, key: bytes, partition: "_Partition") -> None:
        if not partition.entries:
            del self._partitions[key]
            self._size_bytes -= partition.size_bytes


def _size_of(entry: Entry) -> int:
    return _BYTES_PER_ENTRY + len(entry.answer_key) + entry.reading.size_bytes


def _zeros(rows: int, columns: int) -> Matrix:
    import numpy as np  # noqa: PLC0415 - optional extra

    return np.zeros((rows, columns), dtype=np.float32)


class _Partition:
    """The entries of one partition, least recently used first, and the matrix of their vectors."""

    def __init__(self, dimensions: int) -> None:
        self.entries: OrderedDict[bytes, Entry] = OrderedDict()
        self._row_of: dict[bytes, int] = {}
        self._key_of_text: dict[int, bytes] = {}
        """The answer key of the latest entry with a canonical text, by its hash."""
        self._key_at: list[bytes] = []
        """The answer key of each row in use. Rows in use are always the first ones."""
        self._matrix = _zeros(_FIRST_ROWS, dimensions)
        self._entry_bytes = 0

    @property
    def size_bytes(self) -> int:
        return _BYTES_PER_PARTITION + self._matrix.nbytes + self._entry_bytes

    def put(self, entry: Entry, vector: Vector) -> None:
        if entry.answer_key in self.entries:
            self.remove(entry.answer_key)
        row = len(self._key_at)
        if row == len(self._matrix):
            self._resize(2 * row)
        self._matrix[row] = vector
        self._key_at.append(entry.answer_key)
        self._row_of[entry.answer_key] = row
        self.entries[entry.answer_key] = entry
        self._key_of_text[entry.text_hash] = entry.answer_key
        self._entry_bytes += _size_of(entry)

    def remove(self, key: bytes) -> None:
        """Drop an entry. The last row takes its place."""
        entry = self.entries.pop(key)
        self._entry_bytes -= _size_of(entry)
        if self._key_of_text.get(entry.text_hash) == key:
            del self._key_of_text[entry.text_hash]
        row, last_key = self._row_of.pop(key), self._key_at.pop()
        if last_key != key:
            self._matrix[row] = self._matrix[len(self._key_at)]
            self._key_at[row] = last_key
            self._row_of[last_key] = row
        if len(self._matrix) > _FIRST_ROWS and len(self._key_at) <= len(self._matrix) // 4:
            self._resize(max(_FIRST_ROWS, len(self._matrix) // 2))

    def with_text(self, canonical_text: str) -> Entry | None:
        key = self._key_of_text.get(hash(canonical_text))
        return None if key is None else self.entries[key]

    def find(self, vector: Vector, min_cosine: float, limit: int) -> list[Match]:
        import numpy as np  # noqa: PLC0415 - optional extra

        cosines = self._matrix[: len(self._key_at)] @ vector
        rows = np.flatnonzero(cosines >= min_cosine)
        if len(rows) > limit:
            rows = rows[np.argpartition(-cosines[rows], limit)[:limit]]
        return list(self._matches(rows[np.argsort(-cosines[rows], kind="stable")].tolist(), cosines))

    def _matches(self, rows: list[int], cosines: Vector) -> Iterator[Match]:
        for row in rows:
            yield Match(self.entries[self._key_at[row]], float(cosines[row]))

    def _resize(self, rows: int) -> None:
        matrix = _zeros(rows, self._matrix.shape[1])
        used = len(self._key_at)
        matrix[:used] = self._matrix[:used]
        self._matrix = matrix
