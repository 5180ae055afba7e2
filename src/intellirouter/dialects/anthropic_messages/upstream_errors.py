"""Decoding of Anthropic's errors: `{"type": "error", "error": {"type", "message"}, "request_id"}`.

Source: Anthropic API reference, "Errors".
"""

from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct

from intellirouter.core import Clock, errors
from intellirouter.dialects.account_causes import account_error
from intellirouter.dialects.anthropic_messages.client_errors import OVERLOADED, TYPES, parse_json
from intellirouter.dialects.error_causes import (
    applies_to_status,
    blames_request,
    rejection_cause,
    status_in_document,
    with_claimed_status,
)
from intellirouter.dialects.openai.upstream_errors import retry_after_s
from intellirouter.dialects.request_causes import error_of_request

_MAX_MESSAGE_CHARS: Final = 2000
_MESSAGES: Final = ("message", "error_message", "detail", "msg")
_STATUSES: Final = {kind: status for status, kind in TYPES.items()} | {
    "invalid_request_error": 400,
    "api_error": 500,
    "conflict_error": 409,
}
_NO_CREDIT_CODES: Final = frozenset(
    {
        "contract_spend_limit_reached",
        "enforced_spend_limit_reached",
        "linked_organization_spend_limit_reached",
        "linked_organization_billing_unavailable",
    }
)
_NO_CREDIT_MESSAGE: Final = "your credit balance is too low"
"""Anthropic returns this message with status 400."""


class _ErrorDetails(Struct):
    """The content of an error response or an error event."""

    status: int
    source: str
    body: bytes
    kind: str
    message: str
    code: str | None
    retry_after_s: float | None = None

    def sentence(self, problem: str) -> str:
        """Return what happened to the source, followed by the vendor's message."""
        return errors.as_sentence(f"{self.source} {problem}" + (f": {self.message}" if self.message else ""))

    @property
    def is_out_of_credit(self) -> bool:
        if self.status == 402 or self.kind == "billing_error":
            return True
        return self.code in _NO_CREDIT_CODES or self.message.lower().startswith(_NO_CREDIT_MESSAGE)


def decode_error(
    status: int, headers: Sequence[tuple[str, str]], body: bytes, *, deployment: str, clock: Clock
) -> errors.UpstreamError:
    """Decode an error response."""
    kind, message, code = _read_error(parse_json(body), body)
    delay_s = retry_after_s(headers, clock)
    return _build_error(_ErrorDetails(status, deployment, body, kind, message, code, delay_s))


def decode_error_document(document: Any, body: bytes) -> errors.UpstreamError:
    """Decode an error in a stream or in a response with status 200. Its class depends on its type only."""
    return _build_claimed(document, _read_error(document, body), body)


def decode_error_event(data: bytes) -> errors.UpstreamError:
    """Decode the data of an event of the type `error`, which may have any form."""
    document = parse_json(data)
    kind, message, code = _read_error(document, data)
    return _build_claimed(document, (kind, message or data[:300].decode("utf-8", "replace").strip(), code), data)


def _build_claimed(document: Any, content: tuple[str, str, str | None], body: bytes) -> errors.UpstreamError:
    """Return the error whose class depends on what the document claims."""
    kind, message, code = content
    inner = document.get("error") if isinstance(document, dict) else None
    # Compatible servers use the codes of other vendors.
    status = _STATUSES.get(kind) or status_in_document(inner, document)
    if not status:
        status = 400 if rejection_cause(message, code, kind) else 500
    return with_claimed_status(_build_error(_ErrorDetails(status, "The upstream", body, kind, message, code)), status)


def _build_error(details: _ErrorDetails) -> errors.UpstreamError:
    status, kind = details.status, details.kind
    cause = rejection_cause(details.message, details.code, kind)
    error: errors.UpstreamError
    of_account = account_error(status, details.message, (details.code, kind), details.source)
    if of_account is not None and not details.is_out_of_credit:
        error = of_account
    elif applies_to_status(cause, status) and not details.is_out_of_credit:
        error = _rejected(details, cause)
    elif (of_request := _error_of_request(details)) is not None:
        error = of_request
    elif details.is_out_of_credit:
        error = errors.UpstreamQuotaExhausted(
            details.sentence("has no credit or quota left"), status=429 if status == 429 else 502
        )
    elif status in {401, 403}:
        error = errors.UpstreamAuthFailed(details.sentence("rejected the credential"))
    elif status == 404:
        error = errors.UpstreamModelMissing(details.sentence("does not know this model or path (HTTP 404)"))
    elif blames_request(status, kind, details.message):
        error = _rejected(details, None)
    elif status in {408, 504, 524}:
        error = errors.UpstreamTimeout(details.sentence(f"timed out (HTTP {status})"))
    elif status == 429:
        error = errors.UpstreamRateLimited(
            details.sentence("is rate limited"), code=details.code, retry_after_s=details.retry_after_s
        )
    elif 400 <= status < 500 and kind not in {"overloaded_error", "api_error"}:
        error = _rejected(details, None)
    elif 300 <= status < 400:
        error = errors.UpstreamMalformed(f"{details.source} returned a redirect (HTTP {status}). Check its base_url.")
    else:
        error = errors.UpstreamUnavailable(
            details.sentence(f"failed (HTTP {status})"),
            status=503 if status in {503, OVERLOADED} or kind == "overloaded_error" else 502,
            retry_after_s=details.retry_after_s,
        )
    return error


def _error_of_request(details: _ErrorDetails) -> errors.UpstreamError | None:
    return error_of_request(details.status, details.message, details.code, details.source, details.body)


def _rejected(details: _ErrorDetails, cause: str | None) -> errors.UpstreamError:
    message = details.message or f"{details.source} rejected the request (HTTP {details.status})."
    status = details.status if cause is None and 400 <= details.status < 500 and details.status != 408 else 400
    error = errors.UpstreamRejected(message, code=cause or details.code, status=status)
    error.vendor_body = details.body
    return error


def _read_error(document: Any, body: bytes) -> tuple[str, str, str | None]:
    """Return the type, message and code of an error in any form. The length of the message is limited."""
    if not isinstance(document, dict):
        text = body[:300].decode("utf-8", "replace").strip()
        return "", ("" if text.startswith("<") else text), None
    inner = document.get("error") or document
    if not isinstance(inner, dict):
        return "", str(inner)[:_MAX_MESSAGE_CHARS], None
    kind, details = inner.get("type") or inner.get("error_type"), inner.get("details")
    message = next((inner[name] for name in _MESSAGES if inner.get(name)), "")
    code = details.get("error_code") if isinstance(details, dict) else None
    return (
        kind if isinstance(kind, str) else "",
        message[:_MAX_MESSAGE_CHARS] if isinstance(message, str) else "",
        code if isinstance(code, str) else None,
    )
