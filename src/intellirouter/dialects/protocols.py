"""The protocols of this package: what the pipeline sees of a route, and what the codecs of a dialect must implement.

A route connects one client dialect with one upstream dialect. It is a pure value: no I/O, no state between calls. When
both dialects are the same, bytes pass through; otherwise requests and answers go through the intermediate form (`ir`).
"""

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from msgspec import Struct

from intellirouter.core import Call, Clock, Deployment, Loss, LossReport, RequestContext, UpstreamRequest, Usage, errors
from intellirouter.dialects.calls import ConversationCall, EmbeddingsCall
from intellirouter.dialects.ir import Conversation, EmbeddingRequest, EmbeddingResponse, Event, Response


class Answer(Struct, frozen=True):
    """What the pipeline needs to know of a complete, successful response."""

    usage: Usage | None
    finish_reason: str | None = None
    body: bytes | None = None
    """What the client gets; None: the upstream's bytes, unchanged."""
    losses: tuple[Loss, ...] = ()
    """The parts of the answer that the client's dialect cannot express."""
    content_type: bytes = b"application/json"


class StreamRelay(Protocol):
    """Relays one upstream stream to a client. Pure: bytes in, bytes out.

    `feed` never returns the stream's terminator. `end` does, so that the exchange is settled before the client gets its
    last byte.
    """

    @property
    def has_content(self) -> bool:
        """Whether the upstream has sent content. After that, no other deployment can be tried."""
        ...

    @property
    def is_finished(self) -> bool:
        """Whether the upstream has sent the terminator."""
        ...

    @property
    def usage(self) -> Usage | None: ...

    @property
    def finish_reason(self) -> str | None: ...

    @property
    def content_events(self) -> int: ...

    @property
    def produced_tokens(self) -> int:
        """About how many tokens the upstream has produced so far, for its throughput. Only read now and then."""
        ...

    @property
    def buffered_bytes(self) -> int:
        """How much has been fed that will be processed at once later: an incomplete event, arguments held back."""
        ...

    @property
    def is_heavy(self) -> bool:
        """Whether so much is buffered that `feed` and `end` must be called off the event loop."""
        ...

    @property
    def error(self) -> errors.UpstreamError | None:
        """The upstream's error event that the client was sent."""
        ...

    def feed(self, data: bytes) -> bytes:
        """Take upstream bytes and return what the client gets now.

        Raises the `UpstreamError` of an error event before any content, and `UpstreamMalformed` for an invalid stream.
        """
        ...

    def end(self) -> bytes:
        """Return the last bytes once the upstream's body is complete. Raises `UpstreamMalformed` if it was cut off."""
        ...

    def fail(self, error: errors.GatewayError) -> bytes:
        """Return the error event that ends the client's stream."""
        ...


class ErrorDecoder(Protocol):
    def decode_error(
        self, status: int, headers: Sequence[tuple[str, str]], body: bytes, *, deployment: str, clock: Clock
    ) -> errors.UpstreamError:
        """Return the error that an error response describes, with its message, code and Retry-After."""
        ...


class Route(ErrorDecoder, Protocol):
    """One endpoint of a client's dialect over one upstream dialect. Implementations inherit the default method."""

    is_local: bool
    """Whether the gateway answers without calling the upstream. `decode_response` then returns the answer for an empty
    body."""

    def media_urls(self, call: Call, deployment: Deployment) -> Sequence[str]:  # noqa: ARG002 - most routes need none
        """Return the URLs of media that must be fetched into `call.fetched` before `encode_request` is called.

        Empty if the upstream accepts URLs of media or gets the client's bytes unchanged.
        """
        return ()

    def encode_request(self, call: Call, deployment: Deployment) -> UpstreamRequest:
        """Return the upstream request of one attempt, encoded from the call. Raises `UnsupportedFeature`."""
        ...

    def decode_response(self, body: bytes, call: Call, deployment: Deployment) -> Answer:
        """Read the body of a 200 response. Raises `UpstreamMalformed`, or the `UpstreamError` that the body reports."""
        ...

    def relay(self, call: Call, deployment: Deployment) -> StreamRelay: ...

    def relay_whole(self, call: Call, deployment: Deployment) -> StreamRelay | None:  # noqa: ARG002
        """Return a relay for a JSON document instead of a stream; None if the route has none, or it is a stream."""
        return None


class MessageRefused(Exception):
    """A client's message must not be sent to the upstream. The client gets `reply` instead, and the session goes on."""

    def __init__(self, reply: str) -> None:
        super().__init__(reply)
        self.reply = reply


class SessionRelay(Protocol):
    """Relays one session's messages between a client and an upstream. Pure."""

    @property
    def usage(self) -> Usage | None:
        """The usage so far; None if there is none."""
        ...

    def from_client(self, message: str | bytes) -> str | bytes:
        """Return the message to send to the upstream for a client's message. Raises `MessageRefused`."""
        ...

    def from_upstream(self, message: str | bytes) -> str | bytes:
        """Return the message to send to the client for an upstream's message."""
        ...

    def refusal(self, message: str | bytes) -> tuple[int, bytes] | None:
        """Return the HTTP status and body of the error if the upstream's first message refuses the session."""
        ...

    def error_event(self, error: errors.GatewayError) -> str:
        """Return the message that reports a gateway error to the client."""
        ...


class SessionRoute(ErrorDecoder, Protocol):
    """One endpoint for WebSocket sessions, over one upstream dialect."""

    def encode_request(self, call: Call, deployment: Deployment) -> UpstreamRequest:
        """Return the handshake of one attempt, encoded from the call. Raises `UnsupportedFeature`."""
        ...

    def session(self, call: Call, deployment: Deployment, may_use: Callable[[str], bool]) -> SessionRelay:
        """Return the relay of an accepted session. `may_use` returns whether the client's key may use a model."""
        ...


class ErrorStyle(Protocol):
    """How a dialect reports errors to its clients."""

    id_header: bytes | None
    """The header from which its clients read the request id, in addition to `x-request-id`."""
    models_path: str
    """The path of the model list."""

    def status(self, error: errors.GatewayError) -> int:
        """Return the HTTP status that its clients expect for this error."""
        ...

    def encode(self, error: errors.GatewayError) -> bytes:
        """Return the body of an error response. If the vendor has rejected the request, its message is passed on."""
        ...

    def encode_event(self, error: errors.GatewayError) -> bytes:
        """Return the event that reports the error in a stream."""
        ...


class RequestDecoder(Protocol):
    """The part of the client's side of an endpoint that routing needs."""

    def decode_request(self, body: bytes, context: RequestContext) -> Call:
        """Validate and read a request. Raises `InvalidRequest` with the vendor's wording."""
        ...


class StreamEncoder(Protocol):
    """Writes one client stream, with the events in the order that the dialect requires."""

    def encode(self, events: Sequence[Event]) -> bytes:
        """Return the complete wire events for these events, which never include `StreamEnded`.

        Empty if they must be held back.
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
    """A `StreamEncoder` whose dialect numbers its events, and whose events refer to earlier ones by ids."""

    def resume(self, block: bytes) -> None:
        """Continue the numbering after these relayed events, for the event that `fail` returns."""
        ...

    def observe(self, block: bytes) -> None:
        """Note the numbers and ids in these relayed events. All of a stream that is taken over must be observed."""
        ...

    @property
    def can_take_over(self) -> bool:
        """Whether the text of the observed stream can be continued. Not if its events say that it is complete."""
        ...

    def take_over(self, events: "Sequence[Event]") -> None:
        """Continue the observed stream, which these events describe, as if this encoder had written it."""
        ...


class ConversationClient(RequestDecoder, Protocol):
    """The client's side of an endpoint whose requests are conversations."""

    @property
    def field_names(self) -> dict[str, str]:
        """The dialect's names for fields of a conversation, for loss reports: `{"max_output_tokens": "max_tokens"}`."""
        ...

    def decode_request(self, body: bytes, context: RequestContext) -> ConversationCall: ...

    def decode(self, call: Call) -> Conversation:
        """Decode the complete request. Raises `InvalidRequest`."""
        ...


class ChatClient(ConversationClient, Protocol):
    """The client's side of a chat-like dialect."""

    def encode(self, response: Response, call: Call, losses: LossReport) -> bytes:
        """Return the body of the answer. It names `response.model`, or the client's model if that is empty."""
        ...

    def stream(self, call: Call, losses: LossReport) -> StreamEncoder: ...


class CountClient(ConversationClient, Protocol):
    """The client's side of an endpoint that counts the tokens of a conversation."""

    def encode_count(self, tokens: int, call: Call) -> bytes: ...


class StreamDecoder(Protocol):
    """Reads one upstream stream, which may be split at any byte."""

    @property
    def buffered_bytes(self) -> int:
        """The size of the incomplete event at the end of what has been fed."""
        ...

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that these bytes complete.

        The last one is `StreamFailed` for an error event, and for an invalid stream. Nothing is fed after it. What is
        returned does not depend on where the stream has been split.
        """
        ...

    def end(self) -> list[Event]:
        """Return the last events once the body is complete. The last is `StreamFailed` if the stream was cut off."""
        ...


class Splitter(Protocol):
    """Splits a byte stream into blocks of complete events (`sse.EventSplitter`, `sse.LineSplitter`)."""

    @property
    def buffered_bytes(self) -> int:
        """The size of the incomplete event at the end of what has been fed."""
        ...

    def feed(self, data: bytes) -> bytes: ...

    def documents(self, block: bytes) -> list[bytes]:
        """Split a block after each complete document, as decoders count them for `StreamFailed`."""
        ...

    def rest(self) -> bytes: ...


class ChatUpstream(ErrorDecoder, Protocol):
    """The upstream's side of a chat-like dialect."""

    dialect: str

    def encode(self, conversation: Conversation, deployment: Deployment, losses: LossReport) -> UpstreamRequest:
        """Return the upstream request. Does not change `conversation`.

        Tuning parameters that the dialect does not have are added to `losses`. Features that the client relies on raise
        `UnsupportedFeature`. If the client uses the same dialect, `conversation.extras` are sent unchanged; otherwise
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
        """Return a splitter for the dialect's streams."""
        ...


class CountUpstream(ErrorDecoder, Protocol):
    """The upstream's side of counting the tokens of a conversation."""

    dialect: str

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

    def encode(self, response: EmbeddingResponse, call: Call, losses: LossReport) -> bytes: ...


class EmbeddingsUpstream(ErrorDecoder, Protocol):
    """The upstream's side of embeddings."""

    def encode(self, request: EmbeddingRequest, deployment: Deployment, losses: LossReport) -> UpstreamRequest: ...

    def decode(self, body: bytes, deployment: Deployment) -> EmbeddingResponse: ...
