"""The frames of `/v1/ws`: decodes those of clients, and sends the answer to a request as frames."""

from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import Raw, Struct

from intellirouter.core import SocketClosed, errors
from intellirouter.dialects import SseParser, check_unique, describe_json_error, encode_error
from intellirouter.gateway.decision_headers import decision_headers
from intellirouter.gateway.websockets.socket import Socket
from intellirouter.pipeline import Exchange, Headers

_MAX_ID_CHARS: Final = 128
_DONE: Final = "[DONE]"


class ReceivedFrame(Struct):
    """A frame from a client."""

    type: str = ""
    id: str | None = None
    request: Raw = Raw()
    """A chat completion request, unchanged."""

    def required_id(self, hint: str) -> str:
        """Return the id. Raises `InvalidRequest` if it is missing, with this hint, or too long."""
        if not self.id:
            raise errors.InvalidRequest(
                "Missing required parameter: 'id'.",
                code="missing_required_parameter",
                param="id",
                hint=hint,
            )
        if len(self.id) > _MAX_ID_CHARS:
            length, self.id = len(self.id), None
            raise errors.InvalidRequest(
                f"Invalid 'id': it has {length} characters, but at most {_MAX_ID_CHARS} are allowed.",
                code="invalid_value",
                param="id",
            )
        return self.id


class _Envelope(Struct):
    error: Raw


_decode_frame: Final = msgspec.json.Decoder(ReceivedFrame)
_decode_envelope: Final = msgspec.json.Decoder(_Envelope)


def decode_frame(data: bytes) -> ReceivedFrame:
    """Decode a frame. Raises `InvalidRequest`."""
    try:
        frame = _decode_frame.decode(data)
    except msgspec.ValidationError as error:
        raise errors.InvalidRequest(
            f"The frame is not valid: {describe_json_error(error)}.",
            code="invalid_frame",
            hint="A frame must be a JSON object whose `type` and `id` are strings.",
        ) from None
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise errors.InvalidRequest(
            f"The frame is not valid: {describe_json_error(error)}.",
            code="invalid_json",
            hint="Send one JSON object in each frame.",
        ) from None
    check_unique(data, ReceivedFrame.__struct_fields__)
    return frame


def encode_frame(
    kind: str,
    frame_id: str | None,
    *,
    error: errors.GatewayError | None = None,
    headers: Headers | None = None,
    upstream_error: str | None = None,
    response: str | None = None,
) -> str:
    """Return a frame for a client. `upstream_error` is sent in place of the error object of `error`."""
    parts = [f'{{"type":"{kind}"']
    if frame_id is not None or kind == "error":
        parts.append(f'"id":{_json(frame_id)}')
    if error is not None:
        parts.append(f'"status":{error.status}')
        parts.append(f'"error":{upstream_error or _inner(encode_error(error))}')
        if error.retry_after_s is not None:
            parts.append(f'"retry_after_s":{_json(round(error.retry_after_s, 3))}')
    if headers:
        parts.append(f'"headers":{_json({key.decode(): value.decode() for key, value in headers})}')
    if response is not None:
        parts.append(f'"response":{response}')
    return ",".join(parts) + "}"


class FrameReply:
    """Implements `pipeline.Reply` for one request on a socket.

    Frames for a closed socket are discarded. `Multiplexer` notices that the socket is closed and cancels the request.
    """

    takes_refusals = True

    def __init__(self, socket: Socket, frame_id: str, release: Callable[[], None]) -> None:
        """`release` is called before the last frame, after which the client may use the id again."""
        self._socket = socket
        self._id = frame_id
        self._exchange: Exchange | None = None
        self._release = release
        self._events = SseParser()
        self._prefix = f'{{"type":"chat.chunk","id":{_json(frame_id)},"chunk":'
        self._error: str | None = None
        """The error that the upstream has reported in the stream, as JSON."""
        self.has_begun = False

    @property
    def has_content(self) -> bool:
        return self.has_begun

    async def complete(self, status: int, exchange: Exchange, body: bytes, content_type: bytes) -> None:  # noqa: ARG002
        self.has_begun = True
        text = body.decode("utf-8", "replace")
        await self._last(encode_frame("chat.completed", self._id, headers=decision_headers(exchange), response=text))

    def await_stream(self, exchange: Exchange) -> None:
        """Do nothing: WebSockets have their own pings."""

    async def begin(self, exchange: Exchange, stream_type: bytes) -> None:  # noqa: ARG002
        self.has_begun = True
        self._exchange = exchange
        await self._send(encode_frame("chat.started", self._id, headers=decision_headers(exchange)))

    async def write(self, data: bytes) -> None:
        for event in self._events.feed(data):
            if '"error"' in event.data and (error := _error_in(event.data)) is not None:
                self._error = error  # it ends the exchange, whose status is known at the end
            elif event.data != _DONE and self._error is None:
                await self._send(f"{self._prefix}{event.data}}}")

    async def end(self, data: bytes) -> None:
        await self.write(data + b"\n\n")
        exchange = self._exchange
        headers = None if exchange is None else decision_headers(exchange)
        if exchange is not None and exchange.error is not None:
            frame = encode_frame("error", self._id, error=exchange.error, headers=headers, upstream_error=self._error)
        else:
            frame = encode_frame("chat.completed", self._id, headers=headers)
        await self._last(frame)

    async def fail(self, error: errors.GatewayError, exchange: Exchange) -> None:
        await self._last(encode_frame("error", self._id, error=error, headers=decision_headers(exchange)))

    async def cancel(self, exchange: Exchange) -> None:
        """Report that the client has canceled the request."""
        await self._last(encode_frame("chat.canceled", self._id, headers=decision_headers(exchange)))

    async def _last(self, text: str) -> None:
        self._release()
        await self._send(text)

    async def _send(self, text: str) -> None:
        try:
            await self._socket.send(text)
        except SocketClosed:
            return


def _error_in(event: str) -> str | None:
    """Return the error that an event of the upstream reports; None if it reports none."""
    try:
        error = bytes(_decode_envelope.decode(event).error)
    except msgspec.DecodeError:
        return None
    return None if error in {b"", b"null"} else error.decode()


def _inner(envelope: bytes) -> str:
    """Return the error object of an error envelope."""
    return bytes(_decode_envelope.decode(envelope).error).decode("utf-8", "replace")


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
