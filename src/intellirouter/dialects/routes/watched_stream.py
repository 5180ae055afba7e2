"""The base of relayed and translated streams: it watches the upstream's events."""

from collections.abc import Iterable
from operator import length_hint
from typing import Final

from intellirouter.core import Usage, errors, estimate_tokens
from intellirouter.dialects.adapt.answer_checks import RepetitionGuard
from intellirouter.dialects.ir import (
    CONTENT_EVENTS,
    ChoiceFinished,
    Event,
    Stop,
    StreamEnded,
    StreamStarted,
    TextDelta,
    UsageUpdate,
)
from intellirouter.dialects.protocols import StreamDecoder, StreamEncoder

MAX_HELD_BYTES: Final = 256 * 1024
"""How much of a stream is held back until it contains content."""


class WatchedStream:
    """Implements the state of a `StreamRelay`. Subclasses produce the client's bytes."""

    def __init__(self, decoder: StreamDecoder, encoder: StreamEncoder, guard: RepetitionGuard) -> None:
        self._decoder = decoder
        self._encoder = encoder
        self._guard = guard
        self.has_content = False
        self.is_finished = False
        self.is_heavy = False
        self.usage: Usage | None = None
        self.finish_reason: str | None = None
        self.content_events = 0
        self.error: errors.UpstreamError | None = None
        self._is_unclear = False
        self._guard_error: errors.UpstreamMalformed | None = None

    def fail(self, error: errors.GatewayError) -> bytes:
        """Return the error event that ends the stream."""
        return self._encoder.fail(error)

    @property
    def produced_tokens(self) -> int:
        return max(self.content_events, estimate_tokens(self._guard.watched_chars))

    def _watch(self, events: Iterable[Event]) -> None:
        for event in events:
            if event.__class__ is TextDelta:
                self.has_content = True
                self.content_events += event.pieces
            elif event.__class__ in CONTENT_EVENTS:
                self.has_content = True
                self.content_events += 1
            elif isinstance(event, ChoiceFinished):
                self.has_content = True
                self._note_finish(event.stop)
            elif isinstance(event, UsageUpdate):
                self.usage = event.usage
            elif isinstance(event, StreamStarted):
                self.usage = event.usage or self.usage
            elif isinstance(event, StreamEnded):
                self.is_finished = True

    def _note_finish(self, stop: Stop) -> None:
        """Note the reason, unless it is unknown whether this choice or one before it is complete."""
        reason = stop.known_reason
        self._is_unclear = self._is_unclear or reason is None
        self.finish_reason = None if self._is_unclear else reason

    def _watch_guarded(self, events: list[Event]) -> None:
        """Watch events after the guard has checked them.

        Sets `_guard_error` after the first content, and removes the event that caused it and those after it. Before
        that, it raises the error, because another attempt is possible.
        """
        unchecked = iter(events)
        try:
            self._guard.watch(unchecked)
        except errors.UpstreamMalformed as error:
            if not self.has_content:
                raise
            self._watch(events)  # There will be no other attempt, so this one's usage counts.
            del events[len(events) - length_hint(unchecked) - 1 :]
            self._guard_error = error
        else:
            self._watch(events)

    def _abort(self, error: errors.UpstreamError) -> None:
        """Raise the error if the stream has no content yet; otherwise end the stream with it."""
        if not self.has_content:
            raise error
        self.error, self.is_finished = error.with_traceback(None), True  # whose frames refer to the answer
