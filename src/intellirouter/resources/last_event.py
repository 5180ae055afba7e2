"""Finds the response object in an answer of the Responses API: the whole body, or the last event of the stream."""

from typing import Final

from intellirouter.dialects import responses_storage

_MAX_EVENT_BYTES: Final = 16 * 1024 * 1024


class LastEvent:
    """Takes an answer piece by piece, and keeps what may be its last event."""

    def __init__(self, *, is_stream: bool) -> None:
        self._is_stream = is_stream
        self._tail = b""

    def take(self, data: bytes) -> None:
        """Keep the last event: everything after the last blank line but one."""
        if not self._is_stream:
            self._tail = data
            return
        tail = self._tail + data
        cut = tail.rfind(b"\n\n", 0, max(0, len(tail) - 2))
        self._tail = tail[cut + 2 :] if cut >= 0 else tail[-_MAX_EVENT_BYTES:]

    def response(self) -> bytes | None:
        """Return the response object; None if the stream was cut off."""
        return responses_storage.final_response(self._tail) if self._is_stream else self._tail
