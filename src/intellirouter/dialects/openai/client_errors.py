"""Encoding of errors for clients, in OpenAI's envelope: `{"error": {"message", "type", "param", "code"}}`."""

from typing import Any, Final

import msgspec

from intellirouter.core import errors
from intellirouter.dialects.error_causes import CONTENT_POLICY, CONTEXT_LENGTH
from intellirouter.dialects.request_causes import REQUEST_TOO_LARGE

_CAUSES: Final = frozenset({CONTENT_POLICY, REQUEST_TOO_LARGE})
_UNSPECIFIC_CODES: Final = frozenset({"", "invalid_request_error"})


class OpenAIErrors:
    """Implements `protocols.ErrorStyle`."""

    id_header: bytes | None = None
    models_path: str = "/v1/models"

    def status(self, error: errors.GatewayError) -> int:
        return error.status

    def encode(self, error: errors.GatewayError) -> bytes:
        return encode_error(error)

    def encode_event(self, error: errors.GatewayError) -> bytes:
        return encode_error_event(error)


def _lacks_cause(vendor_code: Any, code: str) -> bool:
    """Return whether the vendor's code does not say why the request was refused, although the gateway knows it."""
    if code == CONTEXT_LENGTH:
        return bool(vendor_code != CONTEXT_LENGTH)
    if code not in _CAUSES:
        return False
    if isinstance(vendor_code, str) and vendor_code not in _UNSPECIFIC_CODES:
        return len(vendor_code) == 3 and vendor_code.isdigit()
    return True


def encode_error(error: errors.GatewayError) -> bytes:
    """Encode a gateway error. If the vendor has rejected the request with such an envelope, it is passed on."""
    if isinstance(error, errors.UpstreamRejected) and error.vendor_body is not None:
        vendor_envelope = _vendor_envelope(error.vendor_body, error)
        if vendor_envelope is not None:
            return vendor_envelope
    body = {"message": error.full_message, "type": error.type, "param": error.param, "code": error.code}
    return msgspec.json.encode({"error": body})


def encode_error_event(error: errors.GatewayError) -> bytes:
    """Encode an error as an SSE event of a stream. The official SDKs raise an exception for it."""
    return b"data: " + encode_error(error) + b"\n\n"


def _vendor_envelope(body: bytes, error: errors.GatewayError) -> bytes | None:
    """Return the vendor's document if it has OpenAI's format, with missing members (Azure) added.

    None for documents of other formats that also have a member `error` (Google, Anthropic).
    """
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    envelope = document.get("error") if isinstance(document, dict) else None
    if not isinstance(envelope, dict) or "status" in envelope or "type" in document:
        return None
    if not isinstance(envelope.get("message"), str):
        return None
    defaults = {"message": error.message, "type": error.type, "param": error.param, "code": error.code}
    has_code = not _lacks_cause(envelope.get("code"), error.code)
    if has_code and envelope.keys() >= defaults.keys():
        return body
    # Clients compact the conversation when they see OpenAI's code, which other vendors do not send.
    document["error"] = {**defaults, **envelope} if has_code else {**defaults, **envelope, "code": error.code}
    return msgspec.json.encode(document)
