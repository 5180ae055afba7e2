"""Headers, bodies, lines and errors as Ollama sends them."""

from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from intellirouter.fake.reply import ErrorInfo, Reply, RequestRejected, WireFormat
from intellirouter.testing.wires.shared.json_lines import JsonLines

_MESSAGES: Final = {
    401: "unauthorized",
    404: "model 'unknown' not found",
    429: "too many concurrent requests",
    500: "llama runner process has terminated: exit status 2",
    503: "server busy, please try again. maximum pending requests exceeded",
}


class OllamaError(RequestRejected):
    """Ollama rejects the request: `{"error": "…"}`."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message

    def reply(self) -> Reply:
        return json_reply({"error": self.message}, status=self.status)


class PlainError(OllamaError):
    """Unknown paths and methods, which Ollama's web framework answers in plain text."""

    def reply(self) -> Reply:
        headers = [("content-type", "text/plain")]
        return Reply(status=self.status, headers=headers, parts=[self.message.encode()], wire=WIRE)


_EMPTY_CHUNK: Final = (
    b'{"model":"m","created_at":"2026-01-01T00:00:00Z","message":{"role":"assistant","content":""},"response":"",'
    b'"done":false,"filler":"'
)


def wrong_kind(field: str, kind: str, value: Any) -> OllamaError:
    """Return the error of Go's JSON decoder for a value of a wrong type."""
    names = {str: "string", bool: "bool", int: "number", float: "number", list: "array", dict: "object"}
    got = names.get(type(value), "null")
    return OllamaError(400, f"json: cannot unmarshal {got} into Go struct field {field} of type {kind}")


def _error_document(error: ErrorInfo) -> dict[str, str]:
    return {"error": error.message or _MESSAGES.get(error.status, f"error {error.status}")}


def _render_error(error: ErrorInfo) -> Reply:
    reply = json_reply(_error_document(error), status=error.status)
    if error.retry_after_s is not None:
        reply.headers.append(("retry-after", f"{error.retry_after_s:g}"))
    return reply


def line(document: dict[str, Any]) -> bytes:
    return msgspec.json.encode(document) + b"\n"


WIRE: Final = WireFormat(
    name="ollama",
    framing=JsonLines(),
    is_sse=False,
    render_error=_render_error,
    error_event=lambda error, _: line(_error_document(error)),
    lead_events=0,
    filler_event=(_EMPTY_CHUNK, b'"}\n'),
    filler_comment=None,
)


def json_reply(document: Any, *, status: int = 200) -> Reply:
    headers = [("content-type", "application/json; charset=utf-8")]
    return Reply(status=status, headers=headers, parts=[msgspec.json.encode(document)], wire=WIRE)


def stream_reply(documents: list[dict[str, Any]]) -> Reply:
    headers = [("content-type", "application/x-ndjson")]
    return Reply(headers=headers, parts=[line(document) for document in documents], is_stream=True, wire=WIRE)


def timestamp(created_s: int) -> str:
    return datetime.fromtimestamp(created_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.000000000Z")
