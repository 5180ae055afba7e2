"""Conversion between offsets in bytes of UTF-8, which Google counts, and offsets in characters.

An answer may have any number of citations, so no conversion reads more than a small part of the text.
"""

from typing import Final

_BLOCK: Final = 1024
_CONTINUATION_BYTES: Final = bytes(range(0x80, 0xC0))
"""The bytes of a character after its first one."""


class GrowingText:
    """A text that arrives in pieces, addressed by byte offsets."""

    __slots__ = ("_chars_before", "_data", "_pieces")

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._data = bytearray()
        self._chars_before = [0]
        """The number of characters that begin before each block of the encoded text."""

    def append(self, text: str) -> None:
        self._pieces.append(text)

    def size_bytes(self) -> int:
        return len(self._encoded())

    def has_at(self, start: int, end: int, segment: bytes) -> bool:
        """Return whether the bytes from `start` to `end` are `segment`, which must not be empty."""
        return end - start == len(segment) and self._encoded()[start:end] == segment

    def char_offset(self, offset: int) -> int:
        """Return the offset in characters for one in bytes; -1 if the text is shorter."""
        data = self._encoded()
        if offset > len(data):
            return -1
        while len(self._chars_before) * _BLOCK <= len(data):
            start = (len(self._chars_before) - 1) * _BLOCK
            self._chars_before.append(self._chars_before[-1] + _count_chars(data[start : start + _BLOCK]))
        block = offset // _BLOCK
        chars = self._chars_before[block] + _count_chars(data[block * _BLOCK : offset])
        is_inside_char = offset < len(data) and 0x80 <= data[offset] < 0xC0
        return chars - 1 if is_inside_char else chars

    def _encoded(self) -> bytearray:
        if self._pieces:
            self._data += "".join(self._pieces).encode("utf-8", "replace")
            self._pieces = []
        return self._data


def _count_chars(encoded: bytes | bytearray) -> int:
    """Return how many characters begin in a piece of UTF-8."""
    return len(encoded.translate(None, _CONTINUATION_BYTES))


class ByteOffsets:
    """The byte offsets of the characters of a complete text."""

    __slots__ = ("_bytes_before", "_is_ascii", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._is_ascii = text.isascii()
        self._bytes_before = [0]
        """The size of the encoded text before each block of characters."""
        if not self._is_ascii:
            for start in range(0, len(text), _BLOCK):
                self._bytes_before.append(self._bytes_before[-1] + _encoded_bytes(text[start : start + _BLOCK]))

    def byte_offset(self, offset: int) -> int:
        """Return the offset in bytes for one in characters, which may be after the end of the text."""
        offset = min(offset, len(self._text))
        if self._is_ascii:
            return offset
        block = offset // _BLOCK
        return self._bytes_before[block] + _encoded_bytes(self._text[block * _BLOCK : offset])


def _encoded_bytes(text: str) -> int:
    return len(text.encode("utf-8", "replace"))
