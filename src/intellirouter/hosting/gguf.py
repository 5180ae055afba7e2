"""Reads and checks the header of a GGUF file, before an engine parses it.

Every length is checked against the size of the file, so that a crafted file costs neither time nor memory.
"""

import math
import struct
from pathlib import Path
from typing import BinaryIO, Final

from msgspec import Struct

from intellirouter.hosting.errors import ArtifactInvalid

MAGIC: Final = b"GGUF"
SUPPORTED_VERSIONS: Final = (2, 3)
MAX_TENSORS: Final = 100_000
MAX_METADATA: Final = 65_536
MAX_DIMENSIONS: Final = 8
MAX_KEPT_STRING_BYTES: Final = 256

_FIXED_BYTES: Final = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_BLOCKS: Final = {
    0: (1, 4),
    1: (1, 2),
    24: (1, 1),
    25: (1, 2),
    26: (1, 4),
    27: (1, 8),
    28: (1, 8),
    30: (1, 2),
    2: (32, 18),
    3: (32, 20),
    6: (32, 22),
    7: (32, 24),
    8: (32, 34),
    9: (32, 36),
    20: (32, 18),
    39: (32, 17),
    10: (256, 84),
    11: (256, 110),
    12: (256, 144),
    13: (256, 176),
    14: (256, 210),
    15: (256, 292),
    16: (256, 66),
    17: (256, 74),
    18: (256, 98),
    19: (256, 50),
    21: (256, 110),
    22: (256, 82),
    23: (256, 136),
    29: (256, 56),
    34: (256, 54),
    35: (256, 66),
}
"""By type of a tensor: the elements and the bytes of one block. Source: ggml, `type_traits`."""
_UNKNOWN_BLOCK: Final = (1, 0)
_STRING: Final = 8
_ARRAY: Final = 9
_INTEGERS: Final = {4: "<I", 5: "<i", 10: "<Q", 11: "<q"}


class GgufHeader(Struct, frozen=True):
    version: int
    tensor_count: int
    architecture: str
    trained_ctx_tokens: int | None
    """The context length that the model was trained for, or None if the file does not contain it."""


def read_gguf_header(path: Path) -> GgufHeader:
    """Read and check the header, metadata and tensor table of `path`.

    Raises `ArtifactInvalid` with the path and the reason: missing, empty, not GGUF, unsupported version, truncated.
    """
    try:
        size_bytes = path.stat().st_size
        if not path.is_file():
            raise ArtifactInvalid(f"{path} is not a regular file.")
        with path.open("rb") as source:
            return _Reader(source, path, size_bytes).header()
    except FileNotFoundError:
        raise ArtifactInvalid(f"{path} does not exist.") from None
    except OSError as error:
        raise ArtifactInvalid(f"{path} cannot be read: {error.strerror or error}.") from error


class _Reader:
    def __init__(self, source: BinaryIO, path: Path, size_bytes: int) -> None:
        self._source = source
        self._path = path
        self._left_bytes = size_bytes

    def header(self) -> GgufHeader:
        if self._left_bytes == 0:
            raise self._invalid("is empty")
        magic = self._source.read(4)
        if magic != MAGIC:
            raise self._invalid(f"is not a GGUF file: it starts with {magic!r} instead of {MAGIC!r}")
        self._left_bytes -= 4
        version = self._number("<I")
        if version not in SUPPORTED_VERSIONS:
            known = ", ".join(map(str, SUPPORTED_VERSIONS))
            raise self._invalid(
                f"has GGUF version {version}, but only the versions {known} (little-endian) are supported"
            )
        tensors, entries = self._number("<Q"), self._number("<Q")
        if tensors > MAX_TENSORS or entries > MAX_METADATA:
            raise self._invalid(f"declares {tensors} tensors and {entries} metadata entries, which is not plausible")
        if tensors == 0:
            raise self._invalid("has no tensors and therefore no weights")
        metadata = self._metadata(entries)
        last_byte = max(self._tensor_end() for _ in range(tensors))
        if last_byte > self._left_bytes:
            raise self._invalid(
                f"is truncated: the weights have {last_byte} bytes, but the file has only {self._left_bytes} of them"
            )
        architecture = str(metadata.get("general.architecture", "unknown"))
        trained = metadata.get(f"{architecture}.context_length")
        return GgufHeader(version, tensors, architecture, trained if isinstance(trained, int) else None)

    def _metadata(self, entries: int) -> dict[str, int | str]:
        kept: dict[str, int | str] = {}
        for _ in range(entries):
            key = self._string()
            kind = self._number("<I")
            if kind in _INTEGERS and key.endswith(".context_length"):
                kept[key] = self._number(_INTEGERS[kind])
            elif kind == _STRING and key == "general.architecture":
                kept[key] = self._string()
            else:
                self._skip_value(kind, key)
        return kept

    def _skip_value(self, kind: int, key: str) -> None:
        if kind == _STRING:
            self._skip(self._number("<Q"))
        elif kind == _ARRAY:
            self._skip_array(key)
        elif kind in _FIXED_BYTES:
            self._skip(_FIXED_BYTES[kind])
        else:
            raise self._invalid(f"has metadata of unknown type {kind} for {key!r}")

    def _skip_array(self, key: str) -> None:
        kind, count = self._number("<I"), self._number("<Q")
        if kind in _FIXED_BYTES:
            self._skip(count * _FIXED_BYTES[kind])
        elif kind == _STRING:
            if count * 8 > self._left_bytes:
                raise self._truncated()
            for _ in range(count):
                self._skip(self._number("<Q"))
        else:
            raise self._invalid(f"has an array of unknown type {kind} for {key!r}")

    def _tensor_end(self) -> int:
        """Read one entry of the tensor table. Return where its data end, relative to the beginning of all data."""
        self._skip(self._number("<Q"))
        dimensions = self._number("<I")
        if dimensions > MAX_DIMENSIONS:
            raise self._invalid(f"has a tensor with {dimensions} dimensions")
        elements = math.prod(self._number("<Q") for _ in range(dimensions))
        block_elements, block_bytes = _BLOCKS.get(self._number("<I"), _UNKNOWN_BLOCK)
        size_bytes = -(-elements // block_elements) * block_bytes
        return self._number("<Q") + max(size_bytes, 1)

    def _string(self) -> str:
        length = self._number("<Q")
        kept = self._take(min(length, MAX_KEPT_STRING_BYTES))
        self._skip(length - len(kept))
        return kept.decode("utf-8", "replace")

    def _number(self, form: str) -> int:
        (value,) = struct.unpack(form, self._take(struct.calcsize(form)))
        return int(value)

    def _take(self, count: int) -> bytes:
        if count > self._left_bytes:
            raise self._truncated()
        data = self._source.read(count)
        if len(data) < count:
            raise self._truncated()
        self._left_bytes -= count
        return data

    def _skip(self, count: int) -> None:
        if count > self._left_bytes:
            raise self._truncated()
        self._source.seek(count, 1)
        self._left_bytes -= count

    def _truncated(self) -> ArtifactInvalid:
        return self._invalid("is truncated: it ends within its header")

    def _invalid(self, what: str) -> ArtifactInvalid:
        return ArtifactInvalid(f"{self._path} {what}.")
