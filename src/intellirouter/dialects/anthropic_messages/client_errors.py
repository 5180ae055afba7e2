"""Anthropic's error envelope, both ways: `{"type": "error", "error": {"type", "message"}, "request_id"}`.

Source: Anthropic API reference, "Errors". Claude Code recovers by the wording, so a vendor's message is passed on
as it is.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from intellirouter.core import Clock, errors
from intellirouter.dialects.openai.errors import retry_after_s

_MAX_MESSAGE_CHARS: Final = 2000
_TYPES: Final = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_STATUSES: Final = {kind: status for status, kind in _TYPES.items()} | {
    "invalid_request_error": 400,
    "api_error": 500,
    "conflict_error": 409,
}
_OVERLOADED: Final = 529
_OUT_OF_CREDIT: Final = frozenset(
    {
        "contract_spend_limit_reached",
        "enforced_spend_limit_reached",
        "linked_organization_spend_limit_reached",
        "linked_organization_billing_unavailable",
    }
)
_NO_CREDIT: Final = "credit balance is too low"
"""Anthropic says this with status 400."""
_TOO_LONG: Final = ("prompt is too long", "exceed context limit")


class AnthropicErrors:
    """Implements `route.ErrorStyle`."""

    id_header: bytes | None = b"request-id"

    def status(self, error: errors.GatewayError) -> int:
        """Return the status that Anthropic uses: 402 for an account without credit, 529 for an overload."""
        if isinstance(error, errors.UpstreamQuotaExhausted):
            return 402
        is_overload = isinstance(error, errors.Overloaded | errors.ModelLoading | errors.UpstreamUnavailable)
        return _OVERLOADED if is_overload and error.status == 503 else error.status

    def encode(self, error: errors.GatewayError) -> bytes:
        if isinstance(error, errors.UpstreamRejected) and (vendor := _envelope(error.vendor_body)) is not None:
            return vendor
        status = self.status(error)
        kind = _TYPES.get(status) or ("invalid_request_error" if status < 500 else "api_error")
        return msgspec.json.encode({"type": "error", "error": {"type": kind, "message": error.full_message}})

    def encode_event(self, error: errors.GatewayError) -> bytes:
        return b"event: error\ndata: " + _on_one_line(self.encode(error)) + b"\n\n"


ERRORS: Final = AnthropicErrors()


class _Failure(Struct):
    """What an error answer, or an error event, says."""

    status: int
    where: str
    body: bytes
    kind: str
    message: str
    code: str | None
    wait_s: float | None = None

    @property
    def said(self) -> str:
        return f": {self.message}" if self.message else "."

    @property
    def is_out_of_credit(self) -> bool:
        if self.status == 402 or self.kind == "billing_error":
            return True
        return self.code in _OUT_OF_CREDIT or _NO_CREDIT in self.message


def decode_error(
    status: int, headers: Sequence[tuple[str, str]], body: bytes, *, deployment: str, clock: Clock
) -> errors.UpstreamError:
    """Turn an error answer into ours."""
    kind, message, code = _read(_document(body), body)
    wait_s = retry_after_s(headers, clock)
    return _error_of(_Failure(status, deployment, body, kind, message, code, wait_s))


def decode_error_document(document: Any, body: bytes) -> errors.UpstreamError:
    """Turn an error inside a stream, or under status 200, into ours. Its type alone tells the class."""
    kind, message, code = _read(document, body)
    return _error_of(_Failure(_STATUSES.get(kind, 500), "The upstream", body, kind, message, code))


def _error_of(failure: _Failure) -> errors.UpstreamError:
    status, kind, where, said = failure.status, failure.kind, failure.where, failure.said
    error: errors.UpstreamError
    if failure.is_out_of_credit:
        error = errors.UpstreamQuotaExhausted(
            f"{where}'s account has run out of credit or quota{said}", status=429 if status == 429 else 502
        )
    elif status in {401, 403}:
        error = errors.UpstreamAuthFailed(f"{where} refused our credential{said}")
    elif status == 404:
        error = errors.UpstreamModelMissing(failure.message or f"{where} does not know this model or path.")
    elif status in {408, 504, 524}:
        error = errors.UpstreamTimeout(f"{where} timed out (HTTP {status}){said}")
    elif status == 429:
        error = errors.UpstreamRateLimited(
            f"{where} is rate limited{said}", code=failure.code, retry_after_s=failure.wait_s
        )
    elif 400 <= status < 500 and kind not in {"overloaded_error", "api_error"}:
        error = _rejected(failure)
    elif 300 <= status < 400:
        error = errors.UpstreamMalformed(f"{where} answered with a redirect (HTTP {status}); check its base_url.")
    else:
        error = errors.UpstreamUnavailable(
            f"{where} failed (HTTP {status}){said}",
            status=503 if status in {503, _OVERLOADED} or kind == "overloaded_error" else 502,
            retry_after_s=failure.wait_s,
        )
    return error


def _rejected(failure: _Failure) -> errors.UpstreamError:
    code, message = failure.code, failure.message
    if code is None and any(words in message for words in _TOO_LONG):
        code = "context_length_exceeded"
    error = errors.UpstreamRejected(message or f"HTTP {failure.status}", code=code, status=failure.status)
    error.vendor_body = failure.body
    return error


def _document(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _envelope(body: bytes | None) -> bytes | None:
    """Return the body when it is Anthropic's envelope already."""
    document = None if body is None else _document(body)
    is_one = isinstance(document, dict) and document.get("type") == "error" and isinstance(document.get("error"), dict)
    return body if is_one else None


def _read(document: Any, body: bytes) -> tuple[str, str, str | None]:
    """Return type, message and code from whatever came. The message is bounded."""
    if not isinstance(document, dict):
        text = body[:300].decode("utf-8", "replace").strip()
        return "", ("" if text.startswith("<") else text), None
    inner = document.get("error") or document
    if not isinstance(inner, dict):
        return "", str(inner)[:_MAX_MESSAGE_CHARS], None
    kind, message, details = inner.get("type"), inner.get("message"), inner.get("details")
    code = details.get("error_code") if isinstance(details, dict) else None
    return (
        kind if isinstance(kind, str) else "",
        message[:_MAX_MESSAGE_CHARS] if isinstance(message, str) else "",
        code if isinstance(code, str) else None,
    )


def _on_one_line(document: bytes) -> bytes:
    """A vendor's body may be written over several lines; an event's data may not."""
    return msgspec.json.format(document, indent=-1) if b"\n" in document or b"\r" in document else document
