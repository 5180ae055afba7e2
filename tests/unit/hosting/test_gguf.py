import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intellirouter.hosting.errors import ArtifactInvalid
from intellirouter.hosting.gguf import read_gguf_header

BuildGguf = Callable[..., bytes]


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_header_is_read(tmp_path: Path, gguf: BuildGguf) -> None:
    header = read_gguf_header(write(tmp_path / "w", gguf(version=2, trained_ctx_tokens=777)))
    assert (header.version, header.tensor_count, header.architecture) == (2, 2, "llama")
    assert header.trained_ctx_tokens == 777


def count_header(tensors: int, entries: int, rest: bytes = b"") -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, entries) + rest


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty"),
        (b"PK\x03\x04 a zip", "not a GGUF file"),
        (b"GG", "not a GGUF file"),
        (b"GGUF", "truncated"),
        (b"GGUF" + struct.pack("<I", 99), "version 99"),
        (b"GGUF" + struct.pack(">I", 3), "version 50331648"),
        (b"GGUF" + struct.pack("<I", 1), "version 1"),
        (count_header(1, 1), "truncated"),
        (count_header(0, 0), "no tensors and therefore no weights"),
        (count_header(2**60, 0), "not plausible"),
        (count_header(1, 2**60), "not plausible"),
        (count_header(1, 1, struct.pack("<Q", 1) + b"k" + struct.pack("<I", 77)), "unknown type 77"),
        (count_header(1, 1, struct.pack("<Q", 1) + b"k" + struct.pack("<IIQ", 9, 77, 1)), "array of unknown type 77"),
        (count_header(1, 1, struct.pack("<Q", 1) + b"k" + struct.pack("<IIQ", 9, 8, 2**63)), "truncated"),
        (count_header(1, 1, struct.pack("<Q", 1) + b"k" + struct.pack("<IIQ", 9, 4, 2**63)), "truncated"),
        (count_header(1, 1, struct.pack("<Q", 2**63)), "truncated"),
        (count_header(1, 0, struct.pack("<Q", 0) + struct.pack("<I", 4_000_000)), "4000000 dimensions"),
    ],
)
def test_invalid_files_are_refused_with_a_reason(tmp_path: Path, data: bytes, reason: str) -> None:
    path = write(tmp_path / "weights.gguf", data)
    with pytest.raises(ArtifactInvalid, match=reason) as caught:
        read_gguf_header(path)
    assert str(path) in caught.value.message


def test_missing_files_and_directories_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactInvalid, match="does not exist"):
        read_gguf_header(tmp_path / "nothing.gguf")
    with pytest.raises(ArtifactInvalid, match="not a regular file"):
        read_gguf_header(tmp_path)


def test_every_truncation_is_detected(tmp_path: Path, gguf: BuildGguf) -> None:
    whole = gguf(weights=b"w" * 64)
    for length in range(len(whole)):
        with pytest.raises(ArtifactInvalid):
            read_gguf_header(write(tmp_path / "w", whole[:length]))
    assert read_gguf_header(write(tmp_path / "w", whole)).tensor_count == 2


@pytest.mark.parametrize(("kind", "size_bytes"), [(0, 1024), (1, 512), (2, 144), (12, 144), (14, 210), (30, 512)])
def test_the_size_of_the_weights_follows_from_their_type(tmp_path: Path, kind: int, size_bytes: int) -> None:
    table = struct.pack("<Q", 1) + b"t" + struct.pack("<IQQIQ", 2, 64, 4, kind, 0)
    whole = count_header(1, 0, table) + b"w" * size_bytes
    assert read_gguf_header(write(tmp_path / "w", whole)).tensor_count == 1
    with pytest.raises(ArtifactInvalid, match=f"is truncated: the weights have {size_bytes} bytes"):
        read_gguf_header(write(tmp_path / "w", whole[:-1]))


@given(damage=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=8))
def test_damaged_files_never_crash_the_reader(
    tmp_path_factory: pytest.TempPathFactory, gguf: BuildGguf, damage: list[tuple[int, int]]
) -> None:
    data = bytearray(gguf())
    for position, value in damage:
        data[position % len(data)] = value
    path = write(tmp_path_factory.getbasetemp() / "damaged.gguf", bytes(data))
    refusal = None
    try:
        header = read_gguf_header(path)
    except ArtifactInvalid as error:
        refusal = error.message
    assert refusal.startswith(str(path)) if refusal else header.version in {2, 3}
