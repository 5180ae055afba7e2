"""Reads the stream of an upstream. `framing` splits it into chunks, `upstream_response` reads the chunks.

An SSE stream has no terminator, so `StreamEnded` is returned by `end`. If the body ends before every candidate has a
finish reason, the stream was cut off. A JSON array ends with its closing bracket.
"""

from typing import Final

from intellirouter.core import Deployment, errors
from intellirouter.dialects.gemini.framing import ChunkReader
from intellirouter.dialects.gemini.upstream_response import ResponseReader
from intellirouter.dialects.gemini.wire import read_json
from intellirouter.dialects.ir import Event, StreamEnded

_OPENAI_DONE: Final = b"[DONE]"
"""The end of OpenAI streams, which some proxies add."""


class ContentDecoder:
    """Implements `protocols.StreamDecoder`."""

    def __init__(self, deployment: Deployment) -> None:
        self._chunks = ChunkReader()
        self._response = ResponseReader(deployment)
        self._is_finished = False

    @property
    def buffered_bytes(self) -> int:
        return self._chunks.buffered_bytes

    def feed(self, data: bytes) -> list[Event]:
        if self._is_finished:
            return []
        events = self._read_chunks(self._chunks.feed(data))
        if self._chunks.is_closed:
            events += self._finish()
        return events

    def end(self) -> list[Event]:
        if self._is_finished:
            return []
        return self._read_chunks(self._chunks.end()) + self._finish()

    def _read_chunks(self, chunks: list[bytes]) -> list[Event]:
        events: list[Event] = []
        for chunk in chunks:
            if chunk and chunk != _OPENAI_DONE:
                events += self._response.read(read_json(chunk), chunk)
        return events

    def _finish(self) -> list[Event]:
        if not self._response.is_complete:
            raise errors.UpstreamMalformed("The upstream's stream was cut off before the finish reason.")
        self._is_finished = True
        return [*self._response.finish(), StreamEnded()]
