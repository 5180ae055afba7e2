"""Searches in large bodies. One search of Python's can take 10 ns for each byte, during which no other thread runs."""

from typing import Final

SLICE_BYTES: Final = 256 * 1024


def is_blank(text: str) -> bool:
    """Return whether `text.strip()` would be empty, without copying the text."""
    return not text or text.isspace()


def find(body: bytes, part: bytes, start: int, slice_bytes: int = SLICE_BYTES) -> int:
    """Do the same as `body.find(part, start)`, slice by slice. `part` must not be empty."""
    if len(body) - start <= slice_bytes:
        return body.find(part, start)
    overlap = len(part) - 1
    while start < len(body):
        found = body.find(part, start, start + slice_bytes + overlap)
        if found >= 0:
            return found
        start += slice_bytes
    return -1


def contains(body: bytes, part: bytes, start: int = 0) -> bool:
    """Return whether `part`, which must be short, is in the body from `start`."""
    if len(body) - start <= SLICE_BYTES:
        return body.rfind(part, start) >= 0  # takes half the time of `find` and `in`, unless it is at the beginning
    return find(body, part, start) >= 0
