"""Encoding of errors for clients: `{"type": "error", "error": {"type", "message"}, "request_id"}`.

Source: Anthropic API reference, "Errors". Claude Code reacts to the wording of errors, so a vendor's message is passed
on unchanged.
"""

from typing import Any, Final

import msgspec

from intellirouter.core import errors
from intellirouter.dialects.error_causes import CONTEXT_LENGTH

TYPES: Final = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
"""The types of errors by status."""
OVERLOADED: Final = 529
_TOO_LONG: Final = "prompt is too long"
"""Anthropic's words for a conversation that exceeds the context. Clients compact it when they see them."""


class AnthropicErrors:
    """Implements `protocols.ErrorStyle`."""

    id_header: bytes | None = b"request-id"
    models_path: str = "/v1/models"

    def status(self, error: errors.GatewayError) -> int:
        """Return the status that Anthropic uses: 402 for an account without credit, 529 for an overload."""
        if isinstance(error, errors.UpstreamQuotaExhausted):
            return 402
        is_overload = isinstance(error, errors.Overloaded | errors.ModelLoading | errors.UpstreamUnavailable)
        return OVERLOADED if is_overload and error.status == 503 else error.status

    def encode(self, error: errors.GatewayError) -> bytes:
        if isinstance(error, errors.UpstreamRejected) and (body := _anthropic_envelope(error.vendor_body)) is not None:
            return body
        status = self.status(error)
        kind = TYPES.get(status) or ("invalid_request_error" if status < 500 else "api_error")
        message = errors.join_sentences(error.located_message, error.hint)
        if error.code == CONTEXT_LENGTH and _TOO_LONG not in message:
            message = f"{_TOO_LONG}: {message}"
        return msgspec.json.encode({"type": "error", "error": {"type": kind, "message": message}})

    def encode_event(self, error: errors.GatewayError) -> bytes:
        return b"event: error\ndata: " + _on_one_line(self.encode(error)) + b"\n\n"


ERRORS: Final = AnthropicErrors()


def parse_json(body: bytes) -> Any:
    """Return the document; None if it is not valid JSON."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _anthropic_envelope(body: bytes | None) -> bytes | None:
    """Return the body if it is an Anthropic error envelope."""
    document = None if body is None else parse_json(body)
    if isinstance(document, dict) and document.get("type") == "error" and isinstance(document.get("error"), dict):
        return body
    return None


def _on_one_line(document: bytes) -> bytes:
    """Return the JSON on one line, as the data of an event must be."""
    return msgspec.json.format(document, indent=-1) if b"\n" in document or b"\r" in document else document
