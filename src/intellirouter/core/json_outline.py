"""What the brackets and commas of a JSON body say about the time to decode it. Nothing is decoded for that.

The size alone says little: a long text is decoded a hundred times as fast as messages of the same size.
"""

import re
from typing import Final

SMALL_BYTES: Final = 32 * 1024
"""Bodies of this size are always decoded on the event loop. The slowest takes about 20 ms."""
MEDIUM_BYTES: Final = 1024 * 1024
"""Larger bodies are never decoded on the event loop."""
FEW_CONTAINERS: Final = 1500
"""Objects and arrays of a larger body that is decoded on the event loop. 32 KiB can hold about as many messages."""
FEW_VALUES: Final = 14_000
"""Values of such a body. They take much less time than objects."""
_VERY_FEW_VALUES: Final = 1300
"""Values that may all be numbers that take long to decode: up to 30 µs each."""
_SHORT_BYTES: Final = 4096
_MAX_ESCAPES: Final = 8000
_MAX_QUOTES: Final = 8000
"""Bodies with more escape sequences or quotation marks are not examined."""
_MAX_LONG_CHARS: Final = 16 * 1024
_LONG_NUMBER_CHARS: Final = 20
_DIGITS: Final = frozenset(b"0123456789.")
_ONLY_NUMBERS: Final = bytes(byte if byte in _DIGITS else 0x20 for byte in range(256))
_STRIDE: Final = 4
_DIGITS_AS_ZERO: Final = bytes(0x30 if byte in _DIGITS else 0x20 for byte in range(256))
_LONG_RUN: Final = b"0" * (_LONG_NUMBER_CHARS // _STRIDE)
_ESCAPED: Final = re.compile(rb"\\.", re.DOTALL)
_NOT_OUTLINE: Final = bytes(set(range(256)) - set(b"[]{},"))


def is_large(body: bytes) -> bool:
    """Return whether a body must be decoded off the event loop."""
    size = len(body)
    if size <= SMALL_BYTES:
        return False
    if size > MEDIUM_BYTES:
        return True
    has_few_containers = count_containers(body, FEW_CONTAINERS) <= FEW_CONTAINERS
    commas = count(body, b",", FEW_VALUES)
    if has_few_containers and commas <= _VERY_FEW_VALUES:
        return False
    if b"\\" not in body:
        parts = body.split(b'"', _MAX_QUOTES + 1)
        return len(parts) > _MAX_QUOTES + 1 or _is_large_outside_strings(b"".join(parts[::2]))
    # Removing escape sequences takes ten times as long as all else, so it is avoided if there is little to decode.
    if has_few_containers and commas <= FEW_VALUES and not _may_have_long_numbers(body):
        return False
    if count(body, b"\\", _MAX_ESCAPES) > _MAX_ESCAPES or count(body, b'"', _MAX_QUOTES) > _MAX_QUOTES:
        return True
    return _is_large_outside_strings(_outside_strings(body))


def _may_have_long_numbers(body: bytes) -> bool:
    """Return whether there may be numbers that take long to decode, in strings or not. Looks at every fourth byte."""
    return body[::_STRIDE].translate(_DIGITS_AS_ZERO).find(_LONG_RUN) >= 0


def _is_large_outside_strings(outside: bytes) -> bool:
    outline = outside.translate(None, _NOT_OUTLINE)
    values = outline.count(b",")
    if values > FEW_VALUES or len(outline) - values > 2 * FEW_CONTAINERS:
        return True
    return len(outside) > _MAX_LONG_CHARS and count_long_numbers(outside) > _MAX_LONG_CHARS


def count_long_numbers(outside: bytes) -> int:
    """Return the size of all numbers with more digits than a 64-bit integer or a double has. They take long to decode.

    `outside` are the bytes outside of strings.
    """
    numbers = outside.translate(_ONLY_NUMBERS).split()
    return sum([len(each) for each in numbers if len(each.lstrip(b"0.")) >= _LONG_NUMBER_CHARS])


def count(body: bytes, mark: bytes, limit: int) -> int:
    """Return how often a byte occurs, wherever it is. Stops after `limit` + 1."""
    # `replace` is faster than the method `count`, which looks at every byte.
    return len(body) - len(body.replace(mark, b"", limit + 1))


def count_containers(body: bytes, limit: int) -> int:
    """Return the number of opening brackets, wherever they are. May stop at each kind after `limit` + 1."""
    if len(body) <= _SHORT_BYTES:
        return body.count(b"[") + body.count(b"{")
    return count(body, b"[", limit) + count(body, b"{", limit)


def outline_of(body: bytes) -> bytes:
    """Return the brackets and commas that are not in strings. `body` must not be large, but it may be malformed."""
    return _outside_strings(body).translate(None, _NOT_OUTLINE)


def _outside_strings(body: bytes) -> bytes:
    plain = _ESCAPED.sub(b"", body) if b"\\" in body else body
    return b"".join(plain.split(b'"')[::2])
