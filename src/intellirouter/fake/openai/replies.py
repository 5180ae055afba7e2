"""Headers, bodies, events and errors as OpenAI sends them."""

from typing import Any, Final

import msgspec

from intellirouter.core import new_id
from intellirouter.fake.reply import (
    JSON_TYPE,
    SSE_TYPE,
    ErrorInfo,
    Reply,
    RequestRejected,
    Sse,
    WireFormat,
    pretty_json,
)

DONE_EVENT: Final = b"data: [DONE]\n\n"
_MESSAGES: Final = {
    400: "The request is not valid.",
    401: "Incorrect API key provided.",
    403: "You are not allowed to do that.",
    408: "Request timed out.",
    429: "Rate limit reached. Please try again later.",
    500: "The server had an error while processing your request. Sorry about that!",
    503: "The engine is currently overloaded, please try again later.",
}
_TYPES: Final = {401: "invalid_request_error", 429: "requests"}


class OpenAiError(RequestRejected):
    """OpenAI rejects the request."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type_: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.document = {"error": {"message": message, "type": type_, "param": param, "code": code}}

    def reply(self) -> Reply:
        return json_reply(self.document, status=self.status)


def error_document(error: ErrorInfo) -> dict[str, Any]:
    """Return an error document. Empty fields get the default for the status."""
    default_type = "server_error" if error.status >= 500 else "invalid_request_error"
    return {
        "error": {
            "message": error.message or _MESSAGES.get(error.status, f"Error {error.status}."),
            "type": error.type or _TYPES.get(error.status, default_type),
            "param": None,
            "code": error.code or None,
        }
    }


def render_error(error: ErrorInfo) -> Reply:
    reply = json_reply(error_document(error), status=error.status)
    if error.retry_after_s is not None:
        seconds = error.retry_after_s
        reply.headers += [("retry-after", f"{seconds:g}"), ("retry-after-ms", f"{seconds * 1000:.0f}")]
    return reply


def sse_event(document: Any) -> bytes:
    """Return one `data:` event with compact JSON on one line."""
    return b"data: " + msgspec.json.encode(document) + b"\n\n"


CHAT_WIRE: Final = WireFormat(
    name="openai_chat",
    framing=Sse(DONE_EVENT),
    render_error=render_error,
    error_event=lambda error, _: sse_event(error_document(error)),
    filler_event=(b'data: {"object":"chat.completion.chunk","choices":[],"filler":"', b'"}\n\n'),
    filler_body=b'{"object":"chat.completion","filler":"',
)


EVENTS_WIRE: Final = msgspec.structs.replace(CHAT_WIRE, name="openai_events", framing=Sse(), lead_events=0)
"""For streams that are not chat completions: images, speech, transcripts."""


def json_reply(document: Any, *, status: int = 200) -> Reply:
    return Reply(status=status, headers=reply_headers(JSON_TYPE), parts=[pretty_json(document)], wire=CHAT_WIRE)


def bytes_reply(content_type: str, *parts: bytes, is_stream: bool = False) -> Reply:
    return Reply(headers=reply_headers(content_type), parts=list(parts), is_stream=is_stream, wire=CHAT_WIRE)


def stream_reply(events: list[bytes], wire: WireFormat = CHAT_WIRE) -> Reply:
    return Reply(headers=reply_headers(SSE_TYPE), parts=events, is_stream=True, wire=wire)


def reply_headers(content_type: str) -> list[tuple[str, str]]:
    """Return the headers of an OpenAI response that clients read."""
    return [
        ("content-type", content_type),
        ("x-request-id", new_id("req_")),
        ("openai-version", "2020-10-01"),
        ("openai-organization", "mock-vendor"),
        ("openai-processing-ms", "1"),
        ("x-ratelimit-limit-requests", "10000"),
        ("x-ratelimit-remaining-requests", "9999"),
        ("x-ratelimit-reset-requests", "6ms"),
    ]


def not_found(method: str, path: str) -> OpenAiError:
    return OpenAiError(404, f"Invalid URL ({method} {path})")


def not_allowed(method: str, path: str) -> OpenAiError:
    return OpenAiError(
        405,
        f"Not allowed to {method} on {path}. (HINT: Perhaps you meant to use a different HTTP method?)",
        code="method_not_supported",
    )


def model_not_found(model: str) -> OpenAiError:
    return OpenAiError(
        404, f"The model `{model}` does not exist or you do not have access to it.", code="model_not_found"
    )
