"""The protocols of the room: what the pipeline sees of a route, and what the codecs of a dialect must do.

A route connects one client dialect with one upstream dialect. It is a pure value: no I/O, no state between calls. When
both dialects are the same, bytes pass through; otherwise requests and answers go through the intermediate form (`ir`).
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from msgspec import Struct

from intellirouter.core import Call, Clock, Deployment, Loss, LossReport, RequestContext, UpstreamRequest, Usage, errors
from intellirouter.dialects.calls import ConversationCall, EmbeddingsCall
from intellirouter.dialects.ir import Conversation, EmbeddingRequest, EmbeddingResponse, Event, Response


class Answer(Struct, frozen=True):
    """A complete, successful response, as the pipeline needs to know it."""

    usage: Usage | None
    finish_reason: str | None = None
    body: bytes | None = None
    """What the client gets; None: the upstream's bytes unchanged."""
    losses: tuple[Loss, ...] = ()
    """Parts of the answer that the client's dialect has no place for."""
    content_type: bytes = b"application/json"


class StreamRelay(Protocol):
    """Relays one upstream stream to a client. Pure: bytes in, bytes out.

    `feed` never returns the stream's terminator. `end` does, so that the exchange is settled before the client gets its
    last byte.
    """

    @property
    def has_content(self) -> bool:
        """The first content event has been seen: from now on, no other deployment can be tried."""
        ...

    @property
    def is_finished(self) -> bool:
        """The terminator has been seen."""
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
        """Take upstream bytes and return what the client gets now.

        Raises the `UpstreamError` of an error event before any content, `UpstreamMalformed` for an invalid stream.
        """
        ...

    def end(self) -> bytes:
        """Return the last bytes once the upstream's body is complete. Raises `UpstreamMalformed` for an early end."""
        ...

    def fail(self, error: errors.GatewayError) -> bytes:
        """Return the error event that ends the client's stream."""
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
        """Return the upstream request of one attempt, encoded from the call. Raises `UnsupportedFeature`."""
        ...

    def decode_response(self, body: bytes, call: Call, deployment: Deployment) -> Answer:
        """Read the body of a 200 response. Raises `UpstreamMalformed`, or the `UpstreamError` that the body reports."""
        ...

    def relay(self, call: Call, deployment: Deployment) -> StreamRelay: ...


class SessionRelay(Protocol):
    """Relays one session's messages between a client and an upstream. Pure."""

    @property
    def usage(self) -> Usage | None:
        """The usage so far; None while there is none."""
        ...

    def from_client(self, message: str | bytes) -> str | bytes:
        """Return what the upstream gets for a client's message."""
        ...

    def from_upstream(self, message: str | bytes) -> str | bytes:
        """Return what the client gets for an upstream's message."""
        ...

    def refusal(self, message: str | bytes) -> tuple[int, bytes] | None:
        """Return the HTTP status and body that the upstream's first message stands for if it refuses the session."""
        ...

    def error_event(self, error: errors.GatewayError) -> str:
        """Return the message that reports an error of the gateway to the client."""
        ...


class SessionRoute(ErrorDecoder, Protocol):
    """One endpoint for sessions over a WebSocket, over one upstream dialect."""

    def encode_request(self, call: Call, deployment: Deployment) -> UpstreamRequest:
        """Return the handshake of one attempt, encoded from the call. Raises `UnsupportedFeature`."""
        ...

    def session(self, call: Call, deployment: Deployment) -> SessionRelay: ...


class ErrorStyle(Protocol):
    """How a dialect reports errors to its clients."""

    id_header: bytes | None
    """A header from which its clients read the request id, in addition to `x-request-id`."""

    def status(self, error: errors.GatewayError) -> int:
        """Return the HTTP status that its clients expect for this error."""
        ...

    def encode(self, error: errors.GatewayError) -> bytes:
        """Return the body of an error response. A vendor's own message about a client's mistake is passed on."""
        ...

    def encode_event(self, error: errors.GatewayError) -> bytes:
        """Return the event that reports the error in a stream."""
        ...


class RequestDecoder(Protocol):
    """The client's side of an endpoint, as far as routing needs it."""

    def decode_request(self, body: bytes, context: RequestContext) -> Call:
        """Validate and read a request. Raises `InvalidRequest`, worded as the dialect's vendor words it."""
        ...


class StreamEncoder(Protocol):
    """Writes one client stream, with the events in the order that the dialect demands."""

    def encode(self, events: Sequence[Event]) -> bytes:
        """Return the bytes for these events, which never include `StreamEnded`: whole wire events only.

        Empty while something must be held back.
        """
        ...

    def end(self) -> bytes:
        """Return the rest and the terminator once all events have been encoded."""
        ...

    def fail(self, error: errors.GatewayError) -> bytes:
        """Return the dialect's error event, numbered like the others where the dialect numbers events."""
        ...


@runtime_checkable
class ResumingEncoder(Protocol):
    """A `StreamEncoder` whose dialect numbers its events."""

    def resume(self, block: bytes) -> None:
        """Continue after these events, which were relayed, so that `fail` does not number from the beginning."""
        ...


class ConversationClient(RequestDecoder, Protocol):
    """The client's side of an endpoint whose requests are conversations."""

    @property
    def field_names(self) -> dict[str, str]:
        """The dialect's names of the form's fields, for loss reports: `{"max_output_tokens": "max_tokens"}`."""
        ...

    def decode_request(self, body: bytes, context: RequestContext) -> ConversationCall: ...

    def decode(self, call: Call) -> Conversation:
        """Read the whole request. Raises `InvalidRequest`."""
        ...


class ChatClient(ConversationClient, Protocol):
    """The client's side of a chat-like dialect."""

    def encode(self, response: Response, call: Call, losses: LossReport) -> bytes:
        """Return the answer's body. The model that it names is `call.model`, which the client asked for."""
        ...

    def stream(self, call: Call, losses: LossReport) -> StreamEncoder: ...


class CountClient(ConversationClient, Protocol):
    """The client's side of an endpoint that counts the tokens of a conversation."""

    def encode_count(self, tokens: int, call: Call) -> bytes: ...


class StreamDecoder(Protocol):
    """Reads one upstream stream, split anywhere."""

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that these bytes complete.

        Raises the `UpstreamError` of an error event, `UpstreamMalformed` for an invalid stream.
        """
        ...

    def end(self) -> list[Event]:
        """Return the last events once the body is complete. Raises `UpstreamMalformed` if the stream was cut off."""
        ...


class Splitter(Protocol):
    """Cuts a byte stream into blocks of whole events, keeping every byte (`sse.EventSplitter`, `sse.LineSplitter`)."""

    def feed(self, data: bytes) -> bytes: ...

    def rest(self) -> bytes: ...


class ChatUpstream(ErrorDecoder, Protocol):
    """The upstream's side of a chat-like dialect."""

    dialect: str

    def encode(self, conversation: Conversation, deployment: Deployment, losses: LossReport) -> UpstreamRequest:
        """Return the upstream request. Does not change `conversation`.

        Tuning parameters that the dialect lacks are noted in `losses`; features that the client relies on raise
        `UnsupportedFeature`. If the client speaks the same dialect, `conversation.extras` are sent unchanged; otherwise
        the caller reports them.
        """
        ...

    def relay_request(self, call: Call, deployment: Deployment) -> UpstreamRequest:
        """Return the upstream request for a client of the same dialect: its bytes with the upstream's model."""
        ...

    def decode(self, body: bytes, deployment: Deployment) -> Response:
        """Read the body of a 200 response. Raises `UpstreamMalformed`, or the error that the body reports."""
        ...

    def stream(self, deployment: Deployment) -> StreamDecoder: ...

    def splitter(self) -> Splitter:
        """Return what splits the dialect's streams into whole events."""
        ...


class CountUpstream(ErrorDecoder, Protocol):
    """The upstream's side of counting the tokens of a conversation."""

    def encode_count(
        self, conversation: Conversation, deployment: Deployment, losses: LossReport
    ) -> UpstreamRequest: ...

    def decode_count(self, body: bytes) -> int: ...


class EmbeddingsClient(RequestDecoder, Protocol):
    """The client's side of an embeddings endpoint."""

    @property
    def field_names(self) -> dict[str, str]: ...

    def decode_request(self, body: bytes, context: RequestContext) -> EmbeddingsCall: ...

    def decode(self, call: Call) -> EmbeddingRequest: ...

    def encode(self, answer: EmbeddingResponse, call: Call, losses: LossReport) -> bytes: ...


class EmbeddingsUpstream(ErrorDecoder, Protocol):
    """The upstream's side of embeddings."""

    def encode(self, ask: EmbeddingRequest, deployment: Deployment, losses: LossReport) -> UpstreamRequest: ...

    def decode(self, body: bytes, deployment: Deployment) -> EmbeddingResponse: ...
