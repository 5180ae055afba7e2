"""Headers, bodies, binary frames and errors as AWS sends them."""

from typing import Any, Final

import msgspec

from intellirouter.core import new_id
from intellirouter.dialects import event_stream
from intellirouter.fake.reply import JSON_TYPE, ErrorInfo, Reply, RequestRejected, WireFormat

STREAM_TYPE: Final = "application/vnd.amazon.eventstream"
_NAMES: Final = {
    400: "ValidationException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    424: "ModelErrorException",
    429: "ThrottlingException",
    500: "InternalServerException",
    503: "ServiceUnavailableException",
}
_MESSAGES: Final = {
    403: "You don't have access to the model with the specified model ID.",
    404: "Could not resolve the foundation model from the provided model identifier.",
    429: "Too many requests, please wait before trying again.",
    500: "The system encountered an unexpected error during processing. Try your request again.",
    503: "Bedrock is unable to process your request.",
}


class BedrockError(RequestRejected):
    """AWS rejects the request; a header contains the name of the exception."""

    def __init__(self, message: str, *, status: int = 400, name: str = "") -> None:
        super().__init__(message)
        self._error = ErrorInfo(status=status, message=message, type=name)

    def reply(self) -> Reply:
        return _render_error(self._error)


def _name_and_message(error: ErrorInfo) -> tuple[str, str]:
    default = "ValidationException" if error.status < 500 else "InternalServerException"
    name = error.type or _NAMES.get(error.status, default)
    return name, error.message or _MESSAGES.get(error.status, f"Error {error.status}.")


def _render_error(error: ErrorInfo) -> Reply:
    name, message = _name_and_message(error)
    reply = json_reply({"message": message})
    reply.status = error.status
    reply.headers.append(("x-amzn-errortype", name))
    if error.retry_after_s is not None:
        reply.headers.append(("retry-after", f"{error.retry_after_s:g}"))
    return reply


def event(name: str, document: dict[str, Any]) -> bytes:
    head = {":event-type": name, ":content-type": JSON_TYPE, ":message-type": "event"}
    return event_stream.encode_message(head, msgspec.json.encode(document))


def _exception(error: ErrorInfo, _at: int) -> bytes:
    name, message = _name_and_message(error)
    in_stream = name[:1].lower() + name[1:]
    head = {":exception-type": in_stream, ":content-type": JSON_TYPE, ":message-type": "exception"}
    return event_stream.encode_message(head, msgspec.json.encode({"message": message}))


class _Frames:
    """AWS' binary event stream; checksums are correct even if the content is invalid."""

    def payload(self, part: bytes) -> bytes | None:
        return event_stream.MessageReader().feed(part)[0].payload

    def wrap(self, payload: bytes, like: bytes) -> bytes:
        return event_stream.encode_message(event_stream.MessageReader().feed(like)[0].headers, payload)


WIRE: Final = WireFormat(
    name="bedrock",
    framing=_Frames(),
    is_sse=False,
    render_error=_render_error,
    error_event=_exception,
    lead_events=1,
    filler_event=None,
    filler_comment=None,
)


def json_reply(document: Any) -> Reply:
    return Reply(headers=_headers(JSON_TYPE), parts=[msgspec.json.encode(document)], wire=WIRE)


def stream_reply(events: list[bytes]) -> Reply:
    return Reply(headers=_headers(STREAM_TYPE), parts=events, is_stream=True, wire=WIRE)


def _headers(content_type: str) -> list[tuple[str, str]]:
    return [("content-type", content_type), ("x-amzn-requestid", new_id(""))]
