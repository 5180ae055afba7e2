"""Writes Google's error envelope: `{"error": {"code", "message", "status", "details"}}`.

Source: Google Cloud API design guide, "Errors" (`google.rpc.Status`, `ErrorInfo`, `BadRequest`, `RetryInfo`).
"""

import math
from typing import Any, Final

import msgspec

from intellirouter.core import errors
from intellirouter.dialects.error_causes import CONTEXT_LENGTH

_STATUS_NAMES: Final = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "FAILED_PRECONDITION",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    413: "INVALID_ARGUMENT",
    415: "INVALID_ARGUMENT",
    422: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_TYPE: Final = "type.googleapis.com/google.rpc."
_DOMAIN: Final = "intellirouter"
_TOO_LONG: Final = "exceeds the maximum number of tokens allowed"
"""Google's words for a conversation that exceeds the context."""


class GeminiErrors:
    """Implements `protocols.ErrorStyle`."""

    id_header: bytes | None = None
    models_path: str = "/v1beta/models"

    def status(self, error: errors.GatewayError) -> int:
        return error.status

    def encode(self, error: errors.GatewayError) -> bytes:
        return encode_error(error)

    def encode_event(self, error: errors.GatewayError) -> bytes:
        return b"data: " + encode_error(error) + b"\r\n\r\n"


def encode_error(error: errors.GatewayError) -> bytes:
    """Write an error. Google's own error about an invalid request is passed on unchanged."""
    if isinstance(error, errors.UpstreamRejected) and error.vendor_body is not None:
        envelope = _google_error(error.vendor_body)
        if envelope is not None:
            return msgspec.json.encode({"error": envelope})
    name = _STATUS_NAMES.get(error.status, "INVALID_ARGUMENT" if error.status < 500 else "INTERNAL")
    message = errors.join_sentences(error.located_message, error.hint)
    if error.code == CONTEXT_LENGTH and _TOO_LONG not in message:
        message = f"The input token count {_TOO_LONG}: {message}"
    body = {"code": error.status, "message": message, "status": name, "details": _details(error)}
    return msgspec.json.encode({"error": body})


def _details(error: errors.GatewayError) -> list[dict[str, Any]]:
    details: list[dict[str, Any]] = [
        {"@type": f"{_TYPE}ErrorInfo", "reason": error.code.upper(), "domain": _DOMAIN},
    ]
    if error.param is not None:
        violation = {"field": error.param, "description": error.message}
        details.append({"@type": f"{_TYPE}BadRequest", "fieldViolations": [violation]})
    if error.retry_after_s is not None and math.isfinite(error.retry_after_s):
        details.append({"@type": f"{_TYPE}RetryInfo", "retryDelay": f"{error.retry_after_s:g}s"})
    return details


def _google_error(body: bytes) -> dict[str, Any] | None:
    """Return the error object of a body in Google's format, alone or in a list. None: it has another format."""
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if isinstance(document, list) and document:
        document = document[0]
    inner = document.get("error") if isinstance(document, dict) else None
    is_google_error = (
        isinstance(inner, dict) and isinstance(inner.get("status"), str) and isinstance(inner.get("code"), int)
    )
    return inner if is_google_error else None
