"""Decodes chunked request bodies strictly (RFC 9112, section 7.1).

Extensions and trailers are discarded. Their size is limited.
"""

import re
from typing import Final

from intellirouter.serving.head import FIELD_LINE, BadRequest

_MAX_LINE_BYTES: Final = 4096
_MAX_OVERHEAD_BYTES: Final = 16 * 1024
"""Limit of extensions and trailers of one body."""
_MAX_FRAMING_BYTES: Final = 256 * 1024
_MAX_FRAMING_RATIO: Final = 2
"""Sizes and line ends of the chunks may have this many bytes, and in addition twice as many as the body."""
_MAX_CHUNK_BYTES: Final = 2**40
_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;[^\x00-\x08\x0a-\x1f\x7f]*)?")
_FORBIDDEN_TRAILERS: Final = frozenset(
    {b"content-length", b"transfer-encoding", b"host", b"authorization", b"content-type", b"trailer", b"connection"}
)


class ChunkDecoder:
    """Decodes one body. `feed` returns the pieces of the body; `rest` is set when the body is complete."""

    def __init__(self) -> None:
        self.rest: bytes | None = None
        """The bytes after the body; None until it is complete."""
        self._line = b""
        self._left = 0
        """Bytes of the current chunk that have not arrived yet."""
        self._needs_line_end = False
        self._is_in_trailers = False
        self._overhead = 0
        self._framing = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Return the pieces of the body in `data`. Raises `BadRequest`."""
        pieces: list[bytes] = []
        at, end = 0, len(data)
        while at < end:
            if self._left:
                piece = data[at : at + self._left] if at or self._left < end else data
                pieces.append(piece)
                self._left -= len(piece)
                self._framing -= _MAX_FRAMING_RATIO * len(piece)
                at += len(piece)
                self._needs_line_end = not self._left
                continue
            line_end = data.find(b"\n", at)
            if line_end < 0:
                self._hold(data[at:])
                break
            line = self._line + data[at : line_end + 1]
            self._line = b""
            at = line_end + 1
            self._framing += len(line)
            if self._framing > _MAX_FRAMING_BYTES:
                raise BadRequest("The chunks of the request body are too small.")
            if self._take_line(line):
                self.rest = data[at:]
                break
        return pieces

    def _hold(self, part: bytes) -> None:
        """Keep the beginning of a line. What cannot become a valid line is refused at once."""
        self._line += part
        if len(self._line) > _MAX_LINE_BYTES:
            raise BadRequest("A line of the chunked request body is too long.")
        head = self._line.removesuffix(b"\r")
        if self._needs_line_end:
            is_possible = self._line == b"\r"
        elif self._is_in_trailers:
            is_possible = b"\r" not in head
        else:
            is_possible = _SIZE.fullmatch(head) is not None
        if not is_possible:
            raise _malformed()

    def _take_line(self, line: bytes) -> bool:
        """Process a line. Returns whether it ends the body."""
        if not line.endswith(b"\r\n") or len(line) > _MAX_LINE_BYTES:
            raise _malformed()
        if self._needs_line_end:
            if line != b"\r\n":
                raise _malformed()
            self._needs_line_end = False
            return False
        text = line[:-2]
        if self._is_in_trailers:
            return self._take_trailer(text)
        match = _SIZE.fullmatch(text)
        if match is None:
            raise _malformed()
        self._count(len(text) - len(match[1]))
        self._left = int(match[1], 16)
        if self._left > _MAX_CHUNK_BYTES:
            raise _malformed()
        self._is_in_trailers = not self._left
        return False

    def _take_trailer(self, text: bytes) -> bool:
        if not text:
            return True
        self._count(len(text))
        match = FIELD_LINE.fullmatch(text)
        if match is None or match[1].lower() in _FORBIDDEN_TRAILERS:
            raise BadRequest("A trailer of the chunked request body is malformed or not allowed.")
        return False

    def _count(self, size: int) -> None:
        self._overhead += size
        if self._overhead > _MAX_OVERHEAD_BYTES:
            raise BadRequest(
                f"The chunked request body has more than {_MAX_OVERHEAD_BYTES} bytes of extensions and trailers."
            )


def _malformed() -> BadRequest:
    return BadRequest("The chunked request body is malformed.")
