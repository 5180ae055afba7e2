"""Decoders whose failures are raised, for tests of what is an error."""

from intellirouter.dialects.ir import Event, StreamFailed
from intellirouter.dialects.protocols import StreamDecoder


class RaisingDecoder:
    """Implements `protocols.StreamDecoder`, but raises the error of a stream that failed."""

    def __init__(self, decoder: StreamDecoder) -> None:
        self._decoder = decoder

    @property
    def buffered_bytes(self) -> int:
        return self._decoder.buffered_bytes

    def feed(self, data: bytes) -> list[Event]:
        return _raised(self._decoder.feed(data))

    def end(self) -> list[Event]:
        return _raised(self._decoder.end())


def _raised(events: list[Event]) -> list[Event]:
    for event in events:
        if isinstance(event, StreamFailed):
            raise event.error
    return events
