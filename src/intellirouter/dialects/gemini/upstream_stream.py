"""Reads the stream of an upstream. `framing` splits it into chunks, `upstream_response` reads the chunks.

An SSE stream has no terminator, so `StreamEnded` is returned by `end`. If the body ends before every candidate has a
finish reason, the stream was cut off. A JSON array ends with its closing bracket.
"""

from typing import Final

from intellirouter.core import Deployment, errors
from intellirouter.dialects.gemini.framing import ChunkReader
from intellirouter.dialects.gemini.upstream_errors import decode_error_event
from intellirouter.dialects.gemini.upstream_response import ResponseReader
from intellirouter.dialects.gemini.wire import read_json
from intellirouter.dialects.ir import Event, StreamEnded, StreamFailed

_OPENAI_DONE: Final = b"[DONE]"
"""The end of OpenAI streams, which some proxies add."""


class ContentDecoder:
    """Implements `protocols.StreamDecoder`."""

    def __init__(self, deployment: Deployment) -> None:
        self._chunks = ChunkReader()
        self._response = ResponseReader(deployment)
        self._name = deployment.name
        self._is_finished = False

    @property
    def buffered_bytes(self) -> int:
        return self._chunks.buffered_bytes

    def feed(self, data: bytes) -> list[Event]:
        if self._is_finished:
            return []
        return self._read_chunks(self._chunks.feed(data), is_last=self._chunks.is_closed)

    def end(self) -> list[Event]:
        if self._is_finished:
            return []
        return self._read_chunks(self._chunks.end(), is_last=True)

    def _read_chunks(self, chunks: list[bytes], *, is_last: bool) -> list[Event]:
        events: list[Event] = []
        count = 0
        try:
            for chunk in chunks:
                if chunk and chunk != _OPENAI_DONE:
                    events += self._response.read(read_json(chunk), chunk)
                count += 1
            self._chunks.check(self._decode_error)
            if is_last:
                events += self._finish()
        except errors.UpstreamError as error:
            events.append(StreamFailed(error=error, read_documents=count))
        return events

    def _decode_error(self, data: bytes) -> errors.UpstreamError:
        return decode_error_event(data, self._name)

    def _finish(self) -> list[Event]:
        if not self._response.is_complete:
            raise errors.UpstreamMalformed("The upstream's stream was cut off before the finish reason.")
        self._is_finished = True
        return [*self._response.finish(), StreamEnded()]
