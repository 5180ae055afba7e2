"""Headers, bodies, events and errors as Anthropic sends them."""

from typing import Any, Final

import msgspec

from intellirouter.core import new_id
from intellirouter.fake.reply import JSON_TYPE, SSE_TYPE, ErrorInfo, Reply, RequestRejected, Sse, WireFormat

_TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_MESSAGES: Final = {
    401: "invalid x-api-key",
    402: "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or "
    "purchase credits.",
    403: "Your API key does not have permission to use the specified resource.",
    408: "Request timed out",
    413: "Request exceeds the maximum size",
    429: "This request would exceed your account's rate limit. Please try again later.",
    500: "Internal server error",
    529: "Overloaded",
}


class MessagesError(RequestRejected):
    """Anthropic rejects the request."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.error = ErrorInfo(status=status, message=message)

    def reply(self) -> Reply:
        return render_error(self.error)


def invalid(where: str, message: str) -> MessagesError:
    """Return a 400 about a field: `messages.0.content.1.text: …`, or only the message without a field."""
    return MessagesError(400, f"{where}: {message}" if where else message)


def error_document(error: ErrorInfo, request_id: str) -> dict[str, Any]:
    default_type = "api_error" if error.status >= 500 else "invalid_request_error"
    return {
        "type": "error",
        "error": {
            "type": error.type or _TYPES.get(error.status, default_type),
            "message": error.message or _MESSAGES.get(error.status, f"Error {error.status}"),
        },
        "request_id": request_id,
    }


def render_error(error: ErrorInfo) -> Reply:
    headers = reply_headers(JSON_TYPE)
    if error.retry_after_s is not None:
        headers.append(("retry-after", f"{error.retry_after_s:g}"))
    if error.status in {429, 529}:
        headers.append(("x-should-retry", "true"))
    document = error_document(error, dict(headers)["request-id"])
    return Reply(status=error.status, headers=headers, parts=[msgspec.json.encode(document)], wire=MESSAGES_WIRE)


def event(document: dict[str, Any]) -> bytes:
    """Return one event, named after the type of the document."""
    return b"event: %b\ndata: %b\n\n" % (document["type"].encode(), msgspec.json.encode(document))


MESSAGES_WIRE: Final = WireFormat(
    name="anthropic_messages",
    framing=Sse(),
    render_error=render_error,
    error_event=lambda error, _: event(error_document(error, new_id("req_"))),
    # `message_start`, the start of the first block, and a ping
    lead_events=3,
    filler_event=(b'event: ping\ndata: {"type":"ping","filler":"', b'"}\n\n'),
)


def json_reply(document: Any) -> Reply:
    return Reply(headers=reply_headers(JSON_TYPE), parts=[msgspec.json.encode(document)], wire=MESSAGES_WIRE)


def stream_reply(events: list[bytes]) -> Reply:
    return Reply(headers=reply_headers(SSE_TYPE), parts=events, is_stream=True, wire=MESSAGES_WIRE)


def reply_headers(content_type: str) -> list[tuple[str, str]]:
    """Return the headers of an Anthropic response that clients read."""
    return [
        ("content-type", content_type),
        ("request-id", new_id("req_")),
        ("anthropic-organization-id", "00000000-0000-4000-8000-000000000000"),
        ("anthropic-ratelimit-requests-limit", "4000"),
        ("anthropic-ratelimit-requests-remaining", "3999"),
        ("anthropic-ratelimit-requests-reset", "2026-01-01T00:00:00Z"),
        ("anthropic-ratelimit-tokens-limit", "400000"),
        ("anthropic-ratelimit-tokens-remaining", "399000"),
        ("anthropic-ratelimit-tokens-reset", "2026-01-01T00:00:00Z"),
    ]
