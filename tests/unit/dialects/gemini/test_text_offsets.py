"""Offsets in bytes and in characters: the same as by encoding the whole text."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intellirouter.dialects.gemini import text_offsets
from intellirouter.dialects.gemini.text_offsets import ByteOffsets, GrowingText

TEXTS = st.lists(st.text(st.sampled_from("aé€😀 "), max_size=30), max_size=8)


@pytest.fixture(autouse=True, scope="module")
def _short_blocks() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_offsets, "_BLOCK", 8)
        yield


@given(TEXTS, st.integers(0, 400))
def test_character_offsets_of_a_growing_text(pieces: list[str], offset: int) -> None:
    text = GrowingText()
    for piece in pieces:
        text.append(piece)
        text.char_offset(1)
    encoded = "".join(pieces).encode()
    expected = len(encoded[:offset].decode("utf-8", "ignore")) if offset <= len(encoded) else -1
    assert text.char_offset(offset) == expected
    assert text.size_bytes() == len(encoded)


@given(st.text(st.sampled_from("aé€😀 "), max_size=90), st.integers(0, 100))
def test_byte_offsets_of_a_text(text: str, offset: int) -> None:
    assert ByteOffsets(text).byte_offset(offset) == len(text[:offset].encode())


def test_segments_are_found_at_their_offsets_only() -> None:
    text = GrowingText()
    text.append("wörd and")
    assert text.has_at(0, 5, "wörd".encode())
    assert not text.has_at(0, 6, "wörd".encode())
    assert not text.has_at(1, 6, "wörd".encode())
