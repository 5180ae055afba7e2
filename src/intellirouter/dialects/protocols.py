"""What the pipeline sees of dialects: an endpoint per path, and a route per pair of client and upstream dialect.

A route is a pure value: no I/O, no state between calls. Same dialect on both sides: bytes pass. Different ones: decode
into the intermediate form (`ir`), encode from it.
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from msgspec import Struct

from intellirouter.core import Call, Clock, Deployment, Loss, LossReport, RequestContext, UpstreamRequest, Usage, errors
from intellirouter.dialects.ir import Conversation, EmbeddingAnswer, EmbeddingAsk, Event, Response


class Answer(Struct, frozen=True):
    """What a complete, successful response body says besides its content."""

    usage: Usage | None
    finish_reason: str | None = None
    body: bytes | None = None
    """What the client gets; None: the upstream's bytes as they are."""
    losses: tuple[Loss, ...] = ()
    """What of the answer the client's dialect cannot say."""
    content_type: bytes = b"application/json"


class StreamRelay(Protocol):
    """Relays one upstream stream to a client. Pure: bytes in, bytes out.

    The stream's terminator is never returned by `feed`: `end` returns it, so that the exchange is settled before
    the client gets its last byte.
    """

    @property
    def has_content(self) -> bool:
        """The first content event has been seen: failover is over."""
        ...

    @property
    def is_finished(self) -> bool:
        """The terminator has been seen; nothing more is expected."""
        ...

    @property
    def usage(self) -> Usage | None: ...

    @property
    def finish_reason(self) -> str | None: ...

    @property
    def content_events(self) -> int: ...

    @property
    def error(self) -> errors.UpstreamError | None:
        """An error event of the upstream that was passed on to the client."""
        ...

    def feed(self, data: bytes) -> bytes:
        """Take upstream bytes, return what the client may have now.

        Raises `UpstreamError` for an error event before any content, `UpstreamMalformed` for no event stream.
        """
        ...

    def end(self) -> bytes:
        """The upstream's body is complete: return the last bytes. Raises `UpstreamMalformed` for an early end."""
        ...

    def fail(self, error: errors.GatewayError) -> bytes:
        """Return the event that tells the client, in the middle of its stream, that there will be no more of it."""
        ...


class ErrorDecoder(Protocol):
    def decode_error(
        self, status: int, headers: Sequence[tuple[str, str]], body: bytes, *, deployment: str, clock: Clock
    ) -> errors.UpstreamError:
        """Return the error that an error response of the upstream means, with its message, code and Retry-After."""
        ...


class Route(ErrorDecoder, Protocol):
    """One endpoint of a client's dialect over one upstream dialect. Implementations inherit the default method."""

    is_local: bool
    """The gateway answers without calling the upstream: `decode_response` of an empty body is the answer."""

    def media_urls(self, call: Call, deployment: Deployment) -> Sequence[str]:  # noqa: ARG002 - for most routes: none
        """Return the URLs of media that must be fetched into `call.fetched` before `encode_request` is called.

        Empty when the upstream takes media by URL, or gets the client's bytes anyway.
        """
        return ()

    def encode_request(self, call: Call, deployment: Deployment) -> UpstreamRequest:
        """Write the upstream request for one attempt, from the original request. Raises `UnsupportedFeature`."""
        ...

    def decode_response(self, body: bytes, call: Call, deployment: Deployment) -> Answer:
        """Read a 200 body. Raises `UpstreamMalformed`, or the `UpstreamError` that a 200-with-error body holds."""
        ...

    def relay(self, call: Call, deployment: Deployment) -> StreamRelay: ...


class SessionRelay(Protocol):
    """Relays one session's messages between a client and an upstream. Pure."""

    @property
    def usage(self) -> Usage | None:
        """What has been used so far; None while nothing has."""
        ...

    def from_client(self, message: str | bytes) -> str | bytes:
        """Return what the upstream gets for a client's message."""
        ...

    def from_upstream(self, message: str | bytes) -> str | bytes:
        """Return what the client gets for an upstream's message."""
        ...

    def refusal(self, message: str | bytes) -> tuple[int, bytes] | None:
        """Tell whether the upstream's first message is a refusal: the HTTP status it stands for, and its body."""
        ...

    def error_event(self, error: errors.GatewayError) -> str:
        """Return the message that tells a client of an error of ours."""
        ...


class SessionRoute(ErrorDecoder, Protocol):
    """A endpoint that holds sessions over a WebSocket, over one upstream dialect."""

    def encode_request(self, call: Call, deployment: Deployment) -> UpstreamRequest:
        """Write the handshake for one attempt, from the original. Raises `UnsupportedFeature`."""
        ...

    def session(self, call: Call, deployment: Deployment) -> SessionRelay: ...


class ErrorStyle(Protocol):
    """How a dialect says that something went wrong."""

    id_header: bytes | None
    """A further header its clients read the request's id from, beside `x-request-id`."""

    def status(self, error: errors.GatewayError) -> int:
        """Return the HTTP status its clients expect for it."""
        ...

    def encode(self, error: errors.GatewayError) -> bytes:
        """Render the body of an error answer. A vendor's own words about the client's mistake are passed on."""
        ...

    def encode_event(self, error: errors.GatewayError) -> bytes:
        """Render the error in the middle of a stream."""
        ...


class RequestDecoder(Protocol):
    """The client's side of an endpoint, as far as routing needs it."""

    def decode_request(self, body: bytes, context: RequestContext) -> Call:
        """Validate and read a request. Raises `InvalidRequest` (in the dialect's words, as far as it has any)."""
        ...


class StreamEncoder(Protocol):
    """Writes one client stream. One per exchange; keeps the dialect's order of events."""

    def encode(self, events: Sequence[Event]) -> bytes:
        """Return the bytes for these events: whole wire events only, empty while something must be held back.

        `Ended` is never among them.
        """
        ...

    def end(self) -> bytes:
        """All events have been seen: return the rest and the terminator."""
        ...

    def fail(self, error: errors.GatewayError) -> bytes:
        """Return the dialect's error event (with its numbering, ids, … where it has any)."""
        ...


@runtime_checkable
class ResumingEncoder(Protocol):
    """A `StreamEncoder` whose dialect numbers its events."""

    def resume(self, block: bytes) -> None:
        """Go on after these events, which were relayed: so that `fail` does not count from the beginning."""
        ...


class ConversationClient(RequestDecoder, Protocol):
    """The client's side of an endpoint whose requests are conversations."""

    @property
    def field_names(self) -> dict[str, str]:
        """How the dialect spells the form's fields, for loss reports: `{"max_output_tokens": "max_tokens"}`."""
        ...

    def decode(self, call: Call) -> Conversation:
        """Read the whole request. Raises `InvalidRequest`."""
        ...


class ChatClient(ConversationClient, Protocol):
    """The client's side of a chat-like dialect."""

    def encode(self, response: Response, call: Call, losses: LossReport) -> bytes:
        """Write the answer's body. `call.model` is what the client asked for and shall see."""
        ...

    def stream(self, call: Call, losses: LossReport) -> StreamEncoder: ...


class CountClient(ConversationClient, Protocol):
    """The client's side of an endpoint that counts the tokens of a conversation."""

    def encode_count(self, tokens: int, call: Call) -> bytes: ...


class StreamDecoder(Protocol):
    """Reads one upstream stream, split anywhere."""

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that these bytes complete.

        Raises the `UpstreamError` that an error event says, `UpstreamMalformed` for what is no such stream.
        """
        ...

    def end(self) -> list[Event]:
        """The body is complete. Raises `UpstreamMalformed` when the stream is not."""
        ...


class Splitter(Protocol):
    """Cuts a byte stream into blocks of whole events, keeping every byte (`sse.EventSplitter`, `sse.LineSplitter`)."""

    def feed(self, data: bytes) -> bytes: ...

    def rest(self) -> bytes: ...


class ChatUpstream(ErrorDecoder, Protocol):
    """The upstream's side of a chat-like dialect."""

    dialect: str

    def encode(self, conversation: Conversation, deployment: Deployment, losses: LossReport) -> UpstreamRequest:
        """Write the upstream request. Read-only on `conversation`.

        What cannot be said and only tunes is noted in `losses`; what the client relies on raises
        `UnsupportedFeature`. `conversation.extras` are reported by the caller,
        unless the conversation came in this very dialect: then they are to be sent as they are.
        """
        ...

    def relay_request(self, call: Call, deployment: Deployment) -> UpstreamRequest:
        """Write the upstream request for a client of the same dialect: its bytes, but for the model's name."""
        ...

    def decode(self, body: bytes, deployment: Deployment) -> Response:
        """Read a 200 body. Raises `UpstreamMalformed` or the error it holds."""
        ...

    def stream(self, deployment: Deployment) -> StreamDecoder: ...

    def splitter(self) -> Splitter:
        """Return what cuts the dialect's streams into whole events, for relaying."""
        ...


class CountUpstream(ErrorDecoder, Protocol):
    """Counts the tokens of a conversation without answering it."""

    def encode_count(
        self, conversation: Conversation, deployment: Deployment, losses: LossReport
    ) -> UpstreamRequest: ...

    def decode_count(self, body: bytes) -> int: ...


class EmbeddingsClient(RequestDecoder, Protocol):
    @property
    def field_names(self) -> dict[str, str]: ...

    def decode(self, call: Call) -> EmbeddingAsk: ...

    def encode(self, answer: EmbeddingAnswer, call: Call, losses: LossReport) -> bytes: ...


class EmbeddingsUpstream(ErrorDecoder, Protocol):
    def encode(self, ask: EmbeddingAsk, deployment: Deployment, losses: LossReport) -> UpstreamRequest: ...

    def decode(self, body: bytes, deployment: Deployment) -> EmbeddingAnswer: ...
