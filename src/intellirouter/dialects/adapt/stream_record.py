"""What a client has been sent of a stream that may have to be continued by another upstream.

A relayed stream is read with the codec for upstreams of the client's dialect, so that any relay can be recorded without
knowing of it. When it breaks off, an encoder is put into the state in which it would be if it had written the stream
itself. From then on, that encoder writes the stream, and what it writes is recorded as events.
"""

from collections.abc import Iterable

from msgspec import Struct

from intellirouter.core import Usage, errors
from intellirouter.dialects.adapt.wrapped_relay import WrappedRelay
from intellirouter.dialects.ir import (
    Collector,
    Event,
    PartEnded,
    Reasoning,
    StreamEnded,
    StreamStarted,
    Text,
    TextDelta,
    UsageUpdate,
    events_of,
    take_failure,
)
from intellirouter.dialects.protocols import ResumingEncoder, Splitter, StreamDecoder, StreamEncoder, StreamRelay


class UnfinishedText(Struct, frozen=True):
    """The text that an answer has so far, and the number of its part."""

    text: str
    part: int


class StreamRecord:
    """The state of one client's stream."""

    def __init__(self, decoder: StreamDecoder, encoder: StreamEncoder) -> None:
        """`decoder` reads what the client is sent. `encoder` can write the rest of the stream."""
        self._decoder = decoder
        self._encoder = encoder
        self._resuming = encoder if isinstance(encoder, ResumingEncoder) else None
        self._collector = Collector()
        self._is_readable = True
        self._is_encoded = False
        self._ended: set[int] = set()
        """The parts that are complete."""
        self._last_part = 0

    def read(self, wire: bytes) -> None:
        """Read what the client is sent."""
        if self.read_until_failure(wire) is not None:
            self.give_up()

    def read_until_failure(self, wire: bytes) -> int | None:
        """Read what the client may be sent. Return how many documents precede an error; None if there is none."""
        if not self._is_readable:
            return None
        events = self._decoder.feed(wire)
        failed = take_failure(events)
        self.add(events)
        if failed is not None:
            return failed.read_documents
        if self._resuming is not None:
            self._resuming.observe(wire)
        return None

    def give_up(self) -> None:
        """Record nothing more: the stream cannot be continued."""
        self._is_readable = False

    def add(self, events: Iterable[Event]) -> None:
        for event in events:
            if isinstance(event, PartEnded):
                self._ended.add(event.part)
            elif isinstance(event, TextDelta):
                self._last_part = event.part
            self._collector.add(event)

    def unfinished(self) -> UnfinishedText | None:
        """Return the text to be continued; None if the answer is not one choice that ends with unfinished text."""
        if not self._is_readable or (self._resuming is not None and not self._resuming.can_take_over):
            return None
        response = self._collector.response()
        if len(response.choices) != 1 or response.choices[0].stop is not None or not response.choices[0].parts:
            return None
        *before, last = response.choices[0].parts
        if not isinstance(last, Text) or not last.text or last.citations or last.logprobs:
            return None
        if not all(isinstance(part, Reasoning) for part in before):
            return None
        if self._last_part in self._ended:
            return None
        return UnfinishedText(last.text, len(before))

    def encoder(self) -> StreamEncoder:
        """Return the encoder that writes the rest of the stream."""
        if not self._is_encoded:
            self._is_encoded = True
            events = self._events()
            self._collector = Collector()
            self._ended.clear()
            self.add(events)
            if self._resuming is not None:
                self._resuming.take_over(events)
            else:
                self._encoder.encode(events)
        return self._encoder

    def _events(self) -> list[Event]:
        """Return the events of the unfinished answer. Its parts are numbered without gaps, and the last one is open."""
        events: list[Event] = [
            event for event in events_of(self._collector.response()) if not isinstance(event, StreamEnded | UsageUpdate)
        ]
        if events and isinstance(events[-1], PartEnded):
            events.pop()
        return events


class ContinuableRelay(WrappedRelay):
    """A relay whose stream another upstream can continue.

    If the upstream's stream ends with an error, `end` returns what precedes it, and `error_event` the rest.
    """

    def __init__(self, relay: StreamRelay, record: StreamRecord) -> None:
        super().__init__(relay)
        self.record = record

    def feed(self, data: bytes) -> bytes:
        return self._relay.feed(data)

    def end(self) -> bytes:
        return self._relay.end()

    def error_event(self) -> bytes:
        """Return the event that ends the client's stream, if the upstream's stream has ended with an error."""
        return b"" if self.error is None else self.fail(self.error)


class RecordedRelay(ContinuableRelay):
    """Records what another relay sends to the client."""

    def __init__(self, relay: StreamRelay, record: StreamRecord, splitter: Splitter) -> None:
        """`splitter` splits what the client is sent."""
        super().__init__(relay, record)
        self._splitter = splitter
        self._has_begun = False
        self._error_event = b""

    def feed(self, data: bytes) -> bytes:
        out = self._relay.feed(data)
        if out:
            if not self._has_begun:
                self._has_begun = True
                self._splitter.feed(out)  # only the beginning of a stream shows how it is framed
            self.record.read(out)
        return out

    def end(self) -> bytes:
        out = self._relay.end()
        if self._relay.error is None:
            return out
        count = self.record.read_until_failure(out)
        if count is None:  # The error cannot be separated from the rest, so the stream ends with it.
            self.record.give_up()
            return out
        sent = b"".join(self._splitter.documents(out)[:count])
        self._error_event = out[len(sent) :]
        return sent

    def error_event(self) -> bytes:
        return self._error_event


class ContinuedEncoder:
    """Writes the rest of a client's stream from the events of another upstream. Implements `protocols.StreamEncoder`.

    The error event is not written here, because the stream may be continued once more.
    """

    def __init__(self, record: StreamRecord, earlier: Usage) -> None:
        """`earlier` is what the upstreams before have used."""
        self._record = record
        self._encoder = record.encoder()
        self._earlier = earlier

    def encode(self, events: Iterable[Event]) -> bytes:
        written = [each for event in events if (each := self._written(event)) is not None]
        self._record.add(written)
        return self._encoder.encode(written) if written else b""

    def _written(self, event: Event) -> Event | None:
        """Return what the client is sent. The stream has begun, and its usage covers all upstreams."""
        if not isinstance(event, StreamStarted | UsageUpdate):
            return event
        return None if event.usage is None else UsageUpdate(usage=self._earlier.plus(event.usage))

    def end(self) -> bytes:
        return self._encoder.end()

    def fail(self, error: errors.GatewayError) -> bytes:  # noqa: ARG002 - see `error_event`
        return b""

    def error_event(self, error: errors.GatewayError) -> bytes:
        return self._encoder.fail(error)


class ContinuedRelay(ContinuableRelay):
    """Relays the rest of a stream."""

    def __init__(self, relay: StreamRelay, record: StreamRecord, encoder: ContinuedEncoder) -> None:
        super().__init__(relay, record)
        self._encoder = encoder

    def fail(self, error: errors.GatewayError) -> bytes:
        return self._encoder.error_event(error)
