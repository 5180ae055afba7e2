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
_SHORT_BYTES: Final = 4096
_MAX_ESCAPES: Final = 8000
"""Bodies with more escape sequences or quotation marks are not examined."""
_ESCAPED: Final = re.compile(rb"\\.", re.DOTALL)
_NOT_OUTLINE: Final = bytes(set(range(256)) - set(b"[]{},"))


def is_large(body: bytes) -> bool:
    """Return whether a body must be decoded off the event loop."""
    size = len(body)
    if size <= SMALL_BYTES:
        return False
    if size > MEDIUM_BYTES:
        return True
    if count_containers(body, FEW_CONTAINERS) <= FEW_CONTAINERS and count(body, b",", FEW_VALUES) <= FEW_VALUES:
        return False
    # Most of the marks may be in strings.
    if count(body, b"\\", _MAX_ESCAPES) > _MAX_ESCAPES or count(body, b'"', _MAX_ESCAPES) > _MAX_ESCAPES:
        return True
    outline = outline_of(body)
    values = outline.count(b",")
    return values > FEW_VALUES or len(outline) - values > 2 * FEW_CONTAINERS


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
    plain = _ESCAPED.sub(b"", body) if b"\\" in body else body
    return b"".join(plain.split(b'"')[::2]).translate(None, _NOT_OUTLINE)
