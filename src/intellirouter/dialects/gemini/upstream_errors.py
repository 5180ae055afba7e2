"""Decodes Google's errors.

Source: Google Cloud API design guide, "Errors" (`google.rpc.Status` with `ErrorInfo`, `RetryInfo`, `QuotaFailure`);
Gemini API troubleshooting guide. An invalid key is reported with status 400. Errors of streams may be in a list.
"""

import math
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from intellirouter.core import Clock, errors
from intellirouter.dialects.account_causes import account_error
from intellirouter.dialects.error_causes import (
    applies_to_status,
    blames_request,
    rejection_cause,
    status_in_document,
    with_claimed_status,
)
from intellirouter.dialects.gemini.wire import first_of, objects_in, optional_text
from intellirouter.dialects.openai.upstream_errors import retry_after_s
from intellirouter.dialects.request_causes import error_of_request

_MAX_MESSAGE_CHARS: Final = 2000
_CREDENTIAL_REASONS: Final = frozenset(
    {
        "API_KEY_INVALID",
        "API_KEY_EXPIRED",
        "API_KEY_SERVICE_BLOCKED",
        "API_KEY_HTTP_REFERRER_BLOCKED",
        "API_KEY_IP_ADDRESS_BLOCKED",
        "SERVICE_DISABLED",
        "CONSUMER_SUSPENDED",
        "CONSUMER_INVALID",
        "ACCESS_TOKEN_EXPIRED",
        "CREDENTIALS_MISSING",
    }
)
_ACCOUNT_REASONS: Final = frozenset({"BILLING_DISABLED"})
_ACCOUNT_MESSAGES: Final = ("credits are depleted", "billing account", "enable billing")
_STATUS_BY_NAME: Final = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ABORTED": 409,
    "ALREADY_EXISTS": 409,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "INTERNAL": 500,
    "UNKNOWN": 500,
    "DATA_LOSS": 500,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
_STATUS_OUT: Final = {503: 503, 529: 503}


class _ErrorDetails(Struct):
    """The content of an error response."""

    message: str = ""
    status: int = 0
    """The HTTP status in the error object; 0 if there is none."""
    name: str = ""
    """Google's name of the status: `INVALID_ARGUMENT`."""
    reason: str = ""
    param: str | None = None
    retry_after_s: float | None = None
    cause: str | None = None
    """Why the vendor refuses the request, if it is one of `error_causes`."""

    def sentence(self, problem: str) -> str:
        """Return a description of the error, followed by Google's message."""
        return errors.as_sentence(f"{problem}: {self.message}" if self.message else problem)


def _read_error(body: bytes) -> _ErrorDetails:
    """Read an error in any form. The length of the message is limited."""
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        text = body[:300].decode("utf-8", "replace").strip()
        return _ErrorDetails("" if text.startswith("<") else text)
    outer = first_of(document)
    if outer is None:
        return _ErrorDetails(str(document)[:_MAX_MESSAGE_CHARS])
    return _read_error_object(outer.get("error") or outer)


def _read_error_object(error: Any) -> _ErrorDetails:
    if not isinstance(error, dict):
        return _ErrorDetails(str(error)[:_MAX_MESSAGE_CHARS])
    name, code = optional_text(error.get("status")), error.get("code")
    status = code if type(code) is int and 400 <= code < 600 else _STATUS_BY_NAME.get(name, 0)
    message = optional_text(error.get("message") or error.get("error_message") or error.get("detail"))
    details = _ErrorDetails(message[:_MAX_MESSAGE_CHARS], status or status_in_document(error), name)
    details.cause = rejection_cause(details.message, code, error.get("type"), error.get("error_type"))
    for detail in objects_in(error.get("details")):
        _read_detail(optional_text(detail.get("@type")).rpartition(".")[2], detail, details)
    return details


def _read_detail(kind: str, detail: dict[str, Any], details: _ErrorDetails) -> None:
    if kind == "ErrorInfo":
        details.reason = optional_text(detail.get("reason"))
    elif kind == "RetryInfo":
        details.retry_after_s = _read_duration(optional_text(detail.get("retryDelay")))
    elif kind == "BadRequest":
        fields = objects_in(detail.get("fieldViolations"))
        details.param = (optional_text(fields[0].get("field")) or None) if fields else None


def _read_duration(duration: str) -> float | None:
    """Read a protobuf duration: `36s`, `0.847655010s`."""
    try:
        seconds = float(duration.removesuffix("s"))
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def decode_error(
    status: int, headers: Sequence[tuple[str, str]], body: bytes, *, deployment: str, clock: Clock
) -> errors.UpstreamError:
    """Decode an error response."""
    details = _read_error(body)
    delay_s = retry_after_s(headers, clock)
    details.retry_after_s = details.retry_after_s if delay_s is None else delay_s
    return _build_error(status, details, deployment, body)


def decode_error_object(error: Any, source: str, body: bytes) -> errors.UpstreamError:
    """Decode an error in a stream or in a response with status 200. Its class depends on its code."""
    details = _read_error_object(error)
    return _build_claimed(details, source, body)


def decode_error_event(data: bytes, source: str) -> errors.UpstreamError:
    """Decode the data of an event of the type `error`, which may have any form."""
    details = _read_error(data)
    details.message = details.message or data[:300].decode("utf-8", "replace").strip()
    return _build_claimed(details, source, data)


def _build_claimed(details: _ErrorDetails, source: str, body: bytes) -> errors.UpstreamError:
    error = _build_error(details.status or (400 if details.cause else 500), details, source, body)
    return with_claimed_status(error, details.status)


def _build_error(status: int, details: _ErrorDetails, source: str, body: bytes) -> errors.UpstreamError:
    sentence = details.sentence
    of_account = None
    if details.reason not in _CREDENTIAL_REASONS:
        of_account = account_error(status, details.message, (details.reason, details.name), source)
    known = of_account or _error_of_request(status, details, source, body)
    if known is not None:
        return known
    if status in {401, 403} or details.reason in _CREDENTIAL_REASONS:
        error = errors.UpstreamAuthFailed(sentence(f"{source} rejected the credential"))
        error.is_explicit = details.reason in _CREDENTIAL_REASONS
        return error
    if _is_account_error(status, details):
        return errors.UpstreamQuotaExhausted(
            sentence(f"{source} has no credit or quota left"), status=429 if status == 429 else 502
        )
    if status == 404:
        return errors.UpstreamModelMissing(sentence(f"{source} does not know this model or path (HTTP 404)"))
    if status == 429:
        return errors.UpstreamRateLimited(sentence(f"{source} is rate limited"), retry_after_s=details.retry_after_s)
    if details.name == "FAILED_PRECONDITION":
        return errors.UpstreamAuthFailed(sentence(f"{source} does not serve the account or its location"))
    if 400 <= status < 500 and status not in {408, 499}:
        return _rejected(status, details, source, body)
    return _server_error(status, details, source)


def _error_of_request(status: int, details: _ErrorDetails, source: str, body: bytes) -> errors.UpstreamError | None:
    """Return the error if the request is at fault, whatever the status is."""
    if details.reason in _CREDENTIAL_REASONS:
        return None
    if applies_to_status(details.cause, status) or blames_request(status, details.name, details.message):
        return _rejected(400, details, source, body)
    return error_of_request(status, details.message, details.name, source, body)


def _rejected(status: int, details: _ErrorDetails, source: str, body: bytes) -> errors.UpstreamError:
    message = details.message or f"{source} rejected the request (HTTP {status})."
    error = errors.UpstreamRejected(message, code=details.cause, param=details.param, status=status)
    error.vendor_body = body
    return error


def _server_error(status: int, details: _ErrorDetails, source: str) -> errors.UpstreamError:
    if status in {408, 504, 524}:
        return errors.UpstreamTimeout(details.sentence(f"{source} timed out (HTTP {status})"))
    if 300 <= status < 400:
        return errors.UpstreamMalformed(f"{source} returned a redirect (HTTP {status}). Check its base_url.")
    return errors.UpstreamUnavailable(
        details.sentence(f"{source} failed (HTTP {status})"),
        status=_STATUS_OUT.get(status, 502),
        retry_after_s=details.retry_after_s,
    )


def _is_account_error(status: int, details: _ErrorDetails) -> bool:
    if status == 402 or details.reason in _ACCOUNT_REASONS:
        return True
    message = details.message.lower()
    # An invalid argument may be repeated in the message.
    is_certain = status == 429 or (status == 400 and details.name != "INVALID_ARGUMENT")
    return is_certain and any(phrase in message for phrase in _ACCOUNT_MESSAGES)
