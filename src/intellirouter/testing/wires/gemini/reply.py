"""Headers, bodies, events and errors as Google sends them."""

from typing import Any, Final

import msgspec

from intellirouter.fake.reply import ErrorInfo, Reply, RequestRejected, Sse, WireFormat, pretty_json

JSON_TYPE: Final = "application/json; charset=UTF-8"
_STATUSES: Final = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_MESSAGES: Final = {
    408: "The request timed out.",
    429: "You exceeded your current quota, please check your plan and billing details.",
    500: "An internal error has occurred. Please retry or report in "
    "https://developers.generativeai.google/guide/troubleshooting",
    503: "The model is overloaded. Please try again later.",
}
_RPC: Final = "type.googleapis.com/google.rpc."


class GoogleError(RequestRejected):
    """Google rejects the request."""

    def __init__(self, status: int, message: str, details: list[dict[str, Any]] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.document = error_document(status, message, details)

    def reply(self) -> Reply:
        return json_reply(self.document, status=self.status)


def bad_key() -> GoogleError:
    info = {"@type": f"{_RPC}ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com"}
    return GoogleError(400, "API key not valid. Please pass a valid API key.", [info])


def violations(found: list[tuple[str, str]]) -> GoogleError:
    """Return a 400 with a violation for each (field, description)."""
    fields = [{"field": field, "description": text} if field else {"description": text} for field, text in found]
    detail = {"@type": f"{_RPC}BadRequest", "fieldViolations": fields}
    return GoogleError(400, "\n".join(text for _, text in found), [detail])


def invalid(where: str, message: str) -> GoogleError:
    """Return a 400 of the validation after parsing: `* GenerateContentRequest.contents: …`."""
    return GoogleError(400, f"* GenerateContentRequest.{where}: {message}\n")


def error_document(status: int, message: str, details: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    error: dict[str, Any] = {"code": status, "message": message, "status": _STATUSES.get(status, "UNKNOWN")}
    if details:
        error["details"] = details
    return {"error": error}


def _document_of(error: ErrorInfo) -> dict[str, Any]:
    details = []
    if error.retry_after_s is not None:
        details.append({"@type": f"{_RPC}QuotaFailure", "violations": [{"quotaMetric": "mock/requests"}]})
        # Google reports the retry delay here and not in a header.
        details.append({"@type": f"{_RPC}RetryInfo", "retryDelay": f"{error.retry_after_s:g}s"})
    message = error.message or _MESSAGES.get(error.status, f"Error {error.status}.")
    document = error_document(error.status, message, details)
    if error.type.isupper():  # a canonical status, not a type of OpenAI's from a fake model
        document["error"]["status"] = error.type
    return document


class _JsonArray:
    """A JSON array with one element per event."""

    def payload(self, part: bytes) -> bytes | None:
        return None if part == b"]" else part.removeprefix(b"[").removeprefix(b",\r\n").rstrip(b"\r\n")

    def wrap(self, payload: bytes, like: bytes) -> bytes:
        return (b"[" if like.startswith(b"[") else b",\r\n") + payload + b"\n"


def sse(document: Any) -> bytes:
    return b"data: %b\r\n\r\n" % msgspec.json.encode(document)


WIRE: Final = WireFormat(
    name="gemini",
    framing=Sse(),
    render_error=lambda error: json_reply(_document_of(error), status=error.status),
    error_event=lambda error, _: sse(_document_of(error)),
    lead_events=0,
    filler_event=(b'data: {"candidates":[],"filler":"', b'"}\r\n\r\n'),
)
ARRAY_WIRE: Final = WireFormat(
    name="gemini_array",
    framing=_JsonArray(),
    is_sse=False,
    render_error=lambda error: in_array(json_reply(_document_of(error), status=error.status)),
    error_event=lambda error, at: (b",\r\n" if at else b"[") + pretty_json(_document_of(error)) + b"\n]",
    lead_events=0,
    filler_event=(b',\r\n{"candidates":[],"filler":"', b'"}\n'),
    filler_comment=None,
)


def json_reply(document: Any, *, status: int = 200) -> Reply:
    return Reply(status=status, headers=reply_headers(JSON_TYPE), parts=[pretty_json(document) + b"\n"], wire=WIRE)


def in_array(reply: Reply) -> Reply:
    """Wrap an error in an array, as in the answer to a streamed request without `alt=sse`."""
    return Reply(status=reply.status, headers=reply.headers, parts=[b"[%b]" % reply.parts[0]], wire=ARRAY_WIRE)


def stream_reply(documents: list[dict[str, Any]], *, is_sse: bool) -> Reply:
    if is_sse:
        headers = reply_headers("text/event-stream")
        return Reply(headers=headers, parts=[sse(document) for document in documents], is_stream=True, wire=WIRE)
    parts = [b"[%b\n" % pretty_json(documents[0])]
    parts += [b",\r\n%b\n" % pretty_json(document) for document in documents[1:]]
    return Reply(headers=reply_headers(JSON_TYPE), parts=[*parts, b"]"], is_stream=True, wire=ARRAY_WIRE)


def reply_headers(content_type: str) -> list[tuple[str, str]]:
    return [
        ("content-type", content_type),
        ("vary", "Origin"),
        ("server", "scaffolding on HTTPServer2"),
        ("x-content-type-options", "nosniff"),
        ("server-timing", "gfet4t7; dur=1"),
    ]
