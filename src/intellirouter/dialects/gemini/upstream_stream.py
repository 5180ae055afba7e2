"""Reads an upstream's stream. See `framing` for how it is cut, `answer_in` for what its chunks say.

A stream with `alt=sse` has no terminator: only the end of its body says that it is over, so `StreamEnded` comes from
`end`, and a body that ends before every candidate has a finish reason was cut off. The JSON array ends with its
bracket.
"""

from typing import Final

from intellirouter.core import Deployment, errors
from intellirouter.dialects.gemini.framing import ChunkReader
from intellirouter.dialects.gemini.upstream_response import AnswerReader
from intellirouter.dialects.gemini.wire import read_json
from intellirouter.dialects.ir import Event, StreamEnded

_DONE: Final = b"[DONE]"
"""No event of Google's; proxies add it."""


class ContentDecoder:
    """Implements `protocols.StreamDecoder`."""

    def __init__(self, deployment: Deployment) -> None:
        self._chunks = ChunkReader()
        self._answer = AnswerReader(deployment)
        self._is_over = False

    def feed(self, data: bytes) -> list[Event]:
        if self._is_over:
            return []
        events = self._events(self._chunks.feed(data))
        if self._chunks.is_closed:
            events += self._over()
        return events

    def end(self) -> list[Event]:
        if self._is_over:
            return []
        return self._events(self._chunks.end()) + self._over()

    def _events(self, chunks: list[bytes]) -> list[Event]:
        events: list[Event] = []
        for chunk in chunks:
            if chunk and chunk != _DONE:
                events += self._answer.take(read_json(chunk), chunk)
        return events

    def _over(self) -> list[Event]:
        if not self._answer.is_complete:
            raise errors.UpstreamMalformed("The upstream's stream ended without a finish reason: it was cut off.")
        self._is_over = True
        return [*self._answer.finish(), StreamEnded()]
