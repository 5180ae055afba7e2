"""A relay whose stream is also decoded and checked."""

from collections.abc import Callable

from intellirouter.core import errors, estimate_tokens
from intellirouter.dialects.adapt.answer_checks import StreamGuard
from intellirouter.dialects.adapt.wrapped_relay import WrappedRelay
from intellirouter.dialects.ir import CONTENT_EVENTS, Event, take_failure
from intellirouter.dialects.protocols import StreamDecoder, StreamRelay


class GuardedRelay(WrappedRelay):
    """Checks the stream of another relay, whose bytes are relayed unchanged.

    Only the finish waits until the answer has been checked: what follows the last content is released at the end.
    """

    def __init__(self, relay: StreamRelay, decoder: StreamDecoder, guard: StreamGuard) -> None:
        super().__init__(relay)
        self._decoder = decoder
        self._guard = guard
        self._error: errors.UpstreamMalformed | None = None
        self._has_new_content = False
        self._finish = b""

    @property
    def is_finished(self) -> bool:
        return self._error is not None or self._relay.is_finished

    @property
    def error(self) -> errors.UpstreamError | None:
        return self._error or self._relay.error

    @property
    def produced_tokens(self) -> int:
        return max(self._relay.produced_tokens, estimate_tokens(self._guard.watched_chars))

    @property
    def buffered_bytes(self) -> int:
        return self._relay.buffered_bytes + self._guard.late_chars

    @property
    def is_heavy(self) -> bool:
        return self._relay.is_heavy or self._guard.late_chars > 0

    def feed(self, data: bytes) -> bytes:
        had_content = self._relay.has_content
        out = self._relay.feed(data)
        if not self._is_valid(self._decoder.feed, data, had_content=had_content):
            # An event is malformed: the relay returns what came before it.
            return out if self._relay.error is not None else b""
        if self._relay.finish_reason is None:
            return out
        if not self._has_new_content:
            self._finish += out
            return b""
        # Some vendors send a finish reason with each chunk, and choices finish one after another.
        out, self._finish = self._finish, out
        return out

    def _is_valid(self, read: Callable[..., list[Event]], *data: bytes, had_content: bool) -> bool:
        """Return whether the guard accepts the events. Raises its error if the client has not been sent any content."""
        self._has_new_content = False
        try:
            events = read(*data)
            failed = take_failure(events)
            self._guard.watch(events)
            if self._relay.finish_reason is not None:
                self._has_new_content = any(event.__class__ in CONTENT_EVENTS for event in events)
            if failed is not None and isinstance(failed.error, errors.UpstreamMalformed):
                raise failed.error  # The relay reports all others.
        except errors.UpstreamMalformed as error:
            if not had_content:
                raise
            self._error = error
        return self._error is None

    def end(self) -> bytes:
        if self._error is None:
            out = self._relay.end()
            if self._relay.error is not None or self._is_valid(self._decoder.end, had_content=True):
                return self._finish + out
        assert self._error is not None  # noqa: S101 - the only remaining case
        return self._relay.fail(self._error)
