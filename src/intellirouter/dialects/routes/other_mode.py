"""Answers in the other mode than requested: events for a whole answer, and a whole answer for a stream.

Some upstreams ignore `stream`. The answer is good and paid for, so it is decoded by what it is, and encoded for the
client in the mode that the client has requested.
"""

import re
from typing import Final, Protocol

from intellirouter.core import AnswerLimits, Deployment, errors
from intellirouter.dialects.ir import Event, Response, StreamEnded, StreamFailed, collect, events_of
from intellirouter.dialects.protocols import Splitter, StreamDecoder
from intellirouter.dialects.wire.sse import LineSplitter

_EVENTS: Final = re.compile(rb"\s*(?:data|event|id|retry)?:")


class _Upstream(Protocol):
    dialect: str

    def decode(self, body: bytes, deployment: Deployment) -> Response: ...

    def stream(self, deployment: Deployment) -> StreamDecoder: ...

    def splitter(self) -> Splitter: ...


def is_event_stream(body: bytes) -> bool:
    """Return whether the body of a whole answer consists of events."""
    return _EVENTS.match(body) is not None


def _is_stream_of(upstream: _Upstream, body: bytes) -> bool:
    """Return whether the body of a whole answer is a stream of this upstream's dialect: events, or lines of JSON."""
    return is_event_stream(body) or (isinstance(upstream.splitter(), LineSplitter) and b"}\n{" in body)


def decode_whole(upstream: _Upstream, body: bytes, deployment: Deployment) -> tuple[Response, bool]:
    """Decode a whole answer, and return whether it is a stream.

    Raises `UpstreamMalformed`, or the error that the answer reports.
    """
    try:
        return upstream.decode(body, deployment), False
    except errors.UpstreamMalformed:
        if not _is_stream_of(upstream, body):
            raise
    decoder = upstream.stream(deployment)
    return collect([*decoder.feed(body), *decoder.end()], upstream.dialect), True


class WholeAnswerDecoder:
    """Decodes a whole answer as the events of a stream, at its end. Implements `protocols.StreamDecoder`."""

    def __init__(self, upstream: _Upstream, deployment: Deployment) -> None:
        self._upstream = upstream
        self._deployment = deployment
        self._limits: AnswerLimits = deployment.limits
        self._pieces: list[bytes] = []
        self.buffered_bytes = 0

    def feed(self, data: bytes) -> list[Event]:
        self._pieces.append(data)
        self.buffered_bytes += len(data)
        if self.buffered_bytes > self._limits.bytes:
            too_large = errors.UpstreamAnswerTooLarge(
                f"The upstream's response is larger than {self._limits.bytes} bytes.",
                hint="Raise server.max_answer_bytes if the model's answers can be this large.",
            )
            return [StreamFailed(error=too_large)]
        return []

    def end(self) -> list[Event]:
        body = b"".join(self._pieces)
        self._pieces.clear()
        self.buffered_bytes = 0
        try:
            events = list(events_of(self._upstream.decode(body, self._deployment)))
        except errors.UpstreamError as error:
            return [StreamFailed(error=error)]
        return events if isinstance(events[-1], StreamEnded) else [*events, StreamEnded()]
