"""How a record lies in a segment: one line, `crc32 of the body in 8 hex digits, space, JSON body, LF`. No I/O.

JSON never holds a raw line feed, so lines are the framing and a reader can always find the next record. The
checksum tells a whole record from a torn or damaged one.
"""

import re
from typing import Final
from zlib import crc32

MAX_BODY_BYTES: Final = 8 * 1024 * 1024
"""A longer body loses its free text before it is spooled, so that a reader never needs more memory than this."""
PREFIX_BYTES: Final = 9
MAX_FRAME_BYTES: Final = MAX_BODY_BYTES + PREFIX_BYTES + 1

_MAX_RESYNCS: Final = 256
"""How many places of one damaged line are tried; bounds the work that garbage can cause."""
_FRAME_START = re.compile(rb"(?=[0-9a-f]{8} \{)")


def encode_frame(body: bytes) -> bytes:
    """Return the line for `body` (JSON without line feeds)."""
    return b"%08x %b\n" % (crc32(body), body)


def split_frames(data: bytes, max_frames: int) -> tuple[list[bytes], list[bytes], int]:
    """Take up to `max_frames` lines from `data`: (bodies of whole records, damaged lines, bytes consumed).

    A last line without LF is not consumed. Empty lines are passed over. Garbage that stands right before a whole
    record on the same line is reported as damage and the record is still found.
    """
    lines = data.split(b"\n", max_frames)
    rest = lines.pop()
    bodies: list[bytes] = []
    damaged: list[bytes] = []
    for line in lines:
        body = line[PREFIX_BYTES:]
        if line[:PREFIX_BYTES] == b"%08x " % crc32(body):
            bodies.append(body)
        elif line:
            _resync(line, bodies, damaged)
    return bodies, damaged, len(data) - len(rest)


def _resync(line: bytes, bodies: list[bytes], damaged: list[bytes]) -> None:
    for count, match in enumerate(_FRAME_START.finditer(line, 1)):
        if count == _MAX_RESYNCS:
            break
        start = match.start()
        body = line[start + PREFIX_BYTES :]
        if line[start : start + PREFIX_BYTES] == b"%08x " % crc32(body):
            bodies.append(body)
            damaged.append(line[:start])
            return
    damaged.append(line)
