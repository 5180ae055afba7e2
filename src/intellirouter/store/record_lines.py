"""The format of a spool segment: one line per record, `CRC-32 of the body in 8 hex digits, space, JSON body, LF`.

JSON contains no raw line feed, so a reader can always find the start of the next record. The checksum distinguishes a
whole record from a torn or damaged one. No I/O.
"""

import re
from typing import Final
from zlib import crc32

MAX_BODY_BYTES: Final = 8 * 1024 * 1024
"""A longer body loses its free text before it is written, so that a reader never needs more memory than this."""
PREFIX_BYTES: Final = 9
MAX_LINE_BYTES: Final = MAX_BODY_BYTES + PREFIX_BYTES + 1

_MAX_RESYNCS: Final = 256
"""How many positions of a damaged line are tried, as a limit on the work that garbage can cause."""
_LINE_START = re.compile(rb"(?=[0-9a-f]{8} \{)")


def encode_line(body: bytes) -> bytes:
    """Return the line for `body`, which is JSON without line feeds."""
    return b"%08x %b\n" % (crc32(body), body)


def split_lines(data: bytes, max_lines: int) -> tuple[list[bytes], list[bytes], int]:
    """Split up to `max_lines` lines off `data`. Return the bodies of whole records, damaged lines, and bytes consumed.

    A last line without LF is not consumed. Empty lines are skipped. Garbage before a whole record on the same line is
    returned as damaged, and the record as whole.
    """
    lines = data.split(b"\n", max_lines)
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
    for count, match in enumerate(_LINE_START.finditer(line, 1)):
        if count == _MAX_RESYNCS:
            break
        start = match.start()
        body = line[start + PREFIX_BYTES :]
        if line[start : start + PREFIX_BYTES] == b"%08x " % crc32(body):
            bodies.append(body)
            damaged.append(line[:start])
            return
    damaged.append(line)
