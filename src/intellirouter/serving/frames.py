"""Reads the frames of a WebSocket client, and assembles its messages. Parses no more than it is asked for."""

from enum import Enum
from typing import Final

from msgspec import Struct

try:
    from websockets.speedups import apply_mask
except ImportError:
    from websockets.utils import apply_mask

UNRESERVED_BYTES: Final = 64 * 1024
"""How much of a message is buffered without a reservation."""
_STEP_BYTES: Final = 256 * 1024
MAX_FRAGMENTS: Final = 16_384
"""Enough for the largest message by default in fragments of 2 KiB."""
PING: Final = 9
PONG: Final = 10
_CONTINUATION: Final = 0
_TEXT: Final = 1
_BINARY: Final = 2
_CONTROL: Final = frozenset({8, PING, PONG})
_MAX_CONTROL_BYTES: Final = 125
_MASK_BYTES: Final = 4
_PROTOCOL_ERROR: Final = 1002
_INVALID_TEXT: Final = 1007
_POLICY: Final = 1008
_TOO_LARGE: Final = 1009


class FrameError(Exception):
    """The client has broken the protocol, or a limit. The socket must be closed."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Control(Struct, frozen=True):
    """A control frame."""

    opcode: int
    frame: bytes
    """All of it, as it was received."""


class Pending(Enum):
    """Why `read` has returned no message and no control frame."""

    MORE = "a part of a message was read"
    INPUT = "all input was read"
    MEMORY = "the next part of the message needs `wanted_bytes` more to be granted"


class _Head(Struct, frozen=True):
    """The head of a data frame, and the bytes before its payload."""

    opcode: int
    is_final: bool
    length: int
    mask: bytes


class FrameReader:
    """The input of one client. Payload is unmasked and moved to the message as it arrives, frame by frame."""

    __slots__ = (
        "_at",
        "_fragments",
        "_frame",
        "_input",
        "_is_text",
        "_left",
        "_max_message_bytes",
        "_message",
        "granted_bytes",
        "wanted_bytes",
    )

    def __init__(self, max_message_bytes: int) -> None:
        self.granted_bytes = UNRESERVED_BYTES
        """How long the current message may become."""
        self.wanted_bytes = 0
        self._max_message_bytes = max_message_bytes
        self._input = b""
        self._at = 0
        """Where the unread input begins."""
        self._message = bytearray()
        self._is_text: bool | None = None
        """None between messages."""
        self._fragments = 0
        self._frame: _Head | None = None
        """The data frame whose payload is being read."""
        self._left = 0
        """How much of it is missing."""

    @property
    def has_input(self) -> bool:
        """There are unread bytes."""
        return self._at < len(self._input)

    def feed(self, data: bytes) -> None:
        """Add input."""
        self._input = self._input[self._at :] + data if self.has_input else data
        self._at = 0

    def clear(self) -> None:
        """Forget everything that has arrived."""
        self._input, self._at = b"", 0
        self._message = bytearray()
        self._frame = self._is_text = None

    def read(self) -> str | bytes | Control | Pending:
        """Read one frame, or what has arrived of it. Raises `FrameError`."""
        if self._frame is None:
            control = self._read_head()
            if control is not None:
                return control
        return self._read_payload()

    def _read_head(self) -> Control | Pending | None:
        """Read the head of a frame. Return a control frame completely; None after the head of a data frame."""
        data, at = self._input, self._at
        if len(data) - at < 2:
            self._input, self._at = data[at:], 0
            return Pending.INPUT
        first, second = data[at], data[at + 1]
        opcode, length, start = first & 0x0F, second & 0x7F, at + 2
        self._check(first, second)
        if opcode not in _CONTROL and length > _MAX_CONTROL_BYTES:
            size = 2 if length == 126 else 8
            length = int.from_bytes(data[start : start + size])
            start += size
            if len(data) < start:
                return Pending.INPUT
        if opcode not in _CONTROL and len(self._message) + length > self._max_message_bytes:
            raise FrameError(_TOO_LARGE, f"Messages must have at most {self._max_message_bytes} bytes.")
        start += _MASK_BYTES
        end = start + length if opcode in _CONTROL else start
        if len(data) < end:
            return Pending.INPUT
        if opcode in _CONTROL:
            self._at = end
            return Control(opcode, data[at:end])
        self._begin(_Head(opcode, first >= 0x80, length, data[start - _MASK_BYTES : start]))
        self._at = start
        return None

    def _check(self, first: int, second: int) -> None:
        """Check the first two bytes of a frame."""
        opcode = first & 0x0F
        if first & 0x70:
            raise FrameError(_PROTOCOL_ERROR, "Reserved bits must be 0.")
        if not second & 0x80:
            raise FrameError(_PROTOCOL_ERROR, "Frames must be masked.")
        if opcode in _CONTROL:
            if first < 0x80 or second & 0x7F > _MAX_CONTROL_BYTES:
                raise FrameError(_PROTOCOL_ERROR, "Control frames must have one fragment of at most 125 bytes.")
        elif opcode not in {_CONTINUATION, _TEXT, _BINARY}:
            raise FrameError(_PROTOCOL_ERROR, "Unknown opcode.")
        elif (opcode == _CONTINUATION) is (self._is_text is None):
            expected = "Unexpected" if self._is_text is None else "Expected a"
            raise FrameError(_PROTOCOL_ERROR, f"{expected} continuation frame.")

    def _begin(self, head: _Head) -> None:
        """Start with the payload of a data frame."""
        if head.opcode != _CONTINUATION:
            self._is_text = head.opcode == _TEXT
            self._fragments = 0
        self._fragments += 1
        if self._fragments > MAX_FRAGMENTS:
            raise FrameError(_POLICY, f"Messages must have at most {MAX_FRAGMENTS} fragments.")
        self._frame, self._left = head, head.length

    def _read_payload(self) -> str | bytes | Pending:
        head, message = self._frame, self._message
        assert head is not None  # noqa: S101 - read by the caller
        needed = len(message) + self._left - self.granted_bytes
        if needed > 0:
            # A message of unknown size gets more than its next fragment, so that it does not wait for each of them.
            ahead = min(max(_STEP_BYTES, len(message)), self._max_message_bytes - self.granted_bytes)
            self.wanted_bytes = needed if head.is_final else max(needed, ahead)
            return Pending.MEMORY
        piece = self._input[self._at : self._at + self._left]
        if piece:
            shift = (head.length - self._left) % _MASK_BYTES
            message += apply_mask(piece, head.mask[shift:] + head.mask[:shift])
            self._at += len(piece)
            self._left -= len(piece)
        if self._left:
            self._input, self._at = b"", 0
            return Pending.INPUT
        self._frame = None
        return self._end_message() if head.is_final else Pending.MORE

    def _end_message(self) -> str | bytes:
        message, is_text = self._message, self._is_text
        self._message, self._is_text = bytearray(), None
        if not is_text:
            return bytes(message)
        try:
            return message.decode()
        except UnicodeDecodeError:
            raise FrameError(_INVALID_TEXT, "The text is not valid UTF-8.") from None
