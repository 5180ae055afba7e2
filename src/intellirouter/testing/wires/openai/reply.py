"""OpenAI's words: headers, envelopes, events, and its refusals."""

from typing import Any, Final

import msgspec

from intellirouter.core import new_id
from intellirouter.testing.wires.shared import (
    JSON_TYPE,
    SSE_TYPE,
    Refused,
    Reply,
    Sse,
    Trouble,
    Wire,
    pretty_json,
)

DONE_EVENT: Final = b"data: [DONE]\n\n"
_MESSAGES: Final = {
    400: "The request is not valid.",
    401: "Incorrect API key provided.",
    403: "You are not allowed to do that.",
    429: "Rate limit reached. Please try again later.",
    500: "The server had an error while processing your request. Sorry about that!",
    503: "The engine is currently overloaded, please try again later.",
}
_TYPES: Final = {401: "invalid_request_error", 429: "requests"}


class VendorError(Refused):
    """The vendor refuses the request; `reply()` says so as OpenAI would."""

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
        self.envelope = {"error": {"message": message, "type": type_, "param": param, "code": code}}

    def reply(self) -> Reply:
        return json_reply(self.envelope, status=self.status)


def envelope(trouble: Trouble) -> dict[str, Any]:
    """Return an error document; what is empty follows from the status."""
    default_type = "server_error" if trouble.status >= 500 else "invalid_request_error"
    return {
        "error": {
            "message": trouble.message or _MESSAGES.get(trouble.status, f"Error {trouble.status}."),
            "type": trouble.type or _TYPES.get(trouble.status, default_type),
            "param": None,
            "code": trouble.code or None,
        }
    }


def refuse(trouble: Trouble) -> Reply:
    reply = json_reply(envelope(trouble), status=trouble.status)
    if trouble.retry_after_s is not None:
        seconds = trouble.retry_after_s
        reply.headers += [("retry-after", f"{seconds:g}"), ("retry-after-ms", f"{seconds * 1000:.0f}")]
    return reply


def sse_event(document: Any) -> bytes:
    """Encode one `data:` event; JSON is compact and on one line."""
    return b"data: " + msgspec.json.encode(document) + b"\n\n"


CHAT_WIRE: Final = Wire(
    name="openai_chat",
    framing=Sse(DONE_EVENT),
    refuse=refuse,
    error_event=lambda trouble, _: sse_event(envelope(trouble)),
    filler_event=(b'data: {"object":"chat.completion.chunk","choices":[],"filler":"', b'"}\n\n'),
    filler_body=b'{"object":"chat.completion","filler":"',
)


EVENTS_WIRE: Final = msgspec.structs.replace(CHAT_WIRE, name="openai_events", framing=Sse(), lead_events=0)
"""Of streams that are no chats: pictures, speech, transcripts."""


def json_reply(document: Any, *, status: int = 200) -> Reply:
    return Reply(status=status, headers=reply_headers(JSON_TYPE), parts=[pretty_json(document)], wire=CHAT_WIRE)


def bytes_reply(content_type: str, *parts: bytes, is_stream: bool = False) -> Reply:
    return Reply(headers=reply_headers(content_type), parts=list(parts), is_stream=is_stream, wire=CHAT_WIRE)


def stream_reply(events: list[bytes], wire: Wire = CHAT_WIRE) -> Reply:
    return Reply(headers=reply_headers(SSE_TYPE), parts=events, is_stream=True, wire=wire)


def reply_headers(content_type: str) -> list[tuple[str, str]]:
    """Return the headers that OpenAI's answers carry and its clients read."""
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


def not_found(method: str, path: str) -> VendorError:
    return VendorError(404, f"Invalid URL ({method} {path})")


def not_allowed(method: str, path: str) -> VendorError:
    return VendorError(
        405,
        f"Not allowed to {method} on {path}. (HINT: Perhaps you meant to use a different HTTP method?)",
        code="method_not_supported",
    )


def model_not_found(model: str) -> VendorError:
    return VendorError(
        404, f"The model `{model}` does not exist or you do not have access to it.", code="model_not_found"
    )
