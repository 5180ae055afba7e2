"""Decoding of upstreams' errors in OpenAI's envelope: `{"error": {"message", "type", "param", "code"}}`.

Other vendors that use OpenAI's dialect deviate from it: a plain string, a list around it, `detail`, `message`, HTML.
`retry_after_s` reads the headers of all vendors.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from intellirouter.core import Clock, errors, read_retry_after_s
from intellirouter.dialects.account_causes import account_error
from intellirouter.dialects.error_causes import (
    applies_to_status,
    blames_request,
    is_error_document,
    read_minimax_code,
    rejection_cause,
    status_in_document,
    with_claimed_status,
)
from intellirouter.dialects.request_causes import error_of_request

_MAX_MESSAGE_CHARS: Final = 2000
ACCOUNT_CODES: Final = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
"""The codes of errors that mean that the account has no credit left."""
_STATUS_OUT: Final = {503: 503, 529: 503}
_MESSAGES: Final = ("message", "detail", "msg", "error_message", "error_msg", "status_msg")


class _Envelope(Struct):
    """The content of an error document of any vendor."""

    message: str = ""
    code: str | None = None
    param: str | None = None
    kind: str = ""
    """The `type` of the error."""
    claimed_status: int = 0
    """The HTTP status that the document itself claims, which matters if it arrives with status 200."""

    @property
    def specific_code(self) -> str | None:
        """The code, unless it only repeats an HTTP status."""
        return None if self.code is None or self.code.isdigit() else self.code


def decode_error(
    status: int, headers: Sequence[tuple[str, str]], body: bytes, *, deployment: str, clock: Clock
) -> errors.UpstreamError:
    """Return the gateway error for a vendor's error response."""
    error = build_error(status, _read_envelope(body), deployment, body)
    if isinstance(error, errors.UpstreamRateLimited | errors.UpstreamUnavailable):
        error.retry_after_s = retry_after_s(headers, clock)
    return error


def build_error(status: int, envelope: _Envelope, source: str, body: bytes) -> errors.UpstreamError:
    """Return the gateway error for an error with this HTTP status. `source` is the subject of its message."""
    message, code = envelope.message, envelope.specific_code
    cause = rejection_cause(message, envelope.code, envelope.kind)
    error: errors.UpstreamError
    if (of_account := account_error(status, message, (envelope.code, envelope.kind), source)) is not None:
        error = of_account
    elif applies_to_status(cause, status):
        error = _rejected(message or f"{source} rejected the request.", cause, envelope.param, 400, body)
    elif (of_request := error_of_request(status, message, envelope.code, source, body)) is not None:
        error = of_request
    elif blames_request(status, envelope.kind, message):
        error = _rejected(message or f"{source} rejected the request.", code, envelope.param, 400, body)
    elif status in {401, 403}:
        error = errors.UpstreamAuthFailed(_sentence(f"{source} rejected the credential", message))
    elif status == 402 or code in ACCOUNT_CODES:
        error = _account_error(status, source, message, code)
    elif status == 404:
        error = errors.UpstreamModelMissing(
            _sentence(f"{source} does not know this model or path (HTTP 404)", message), code=code
        )
    elif status in {408, 504, 524}:
        error = errors.UpstreamTimeout(_sentence(f"{source} timed out (HTTP {status})", message))
    elif status == 429:
        error = errors.UpstreamRateLimited(_sentence(f"{source} is rate limited", message), code=code)
    elif 400 <= status < 500:
        message = message or f"{source} rejected the request (HTTP {status})."
        error = _rejected(message, code, envelope.param, status, body)
    elif 300 <= status < 400:
        error = errors.UpstreamMalformed(f"{source} returned a redirect (HTTP {status}). Check its base_url.")
    else:
        error = errors.UpstreamUnavailable(
            _sentence(f"{source} failed (HTTP {status})", message), status=_STATUS_OUT.get(status, 502)
        )
    return error


def _rejected(message: str, code: str | None, param: str | None, status: int, body: bytes) -> errors.UpstreamError:
    error = errors.UpstreamRejected(message, code=code, param=param, status=status)
    error.vendor_body = body
    return error


def _account_error(status: int, source: str, message: str, code: str | None) -> errors.UpstreamError:
    return errors.UpstreamQuotaExhausted(
        _sentence(f"{source} has no credit or quota left", message),
        code=code if code in ACCOUNT_CODES else "insufficient_quota",
        status=429 if status == 429 else 502,
    )


def _sentence(problem: str, message: str) -> str:
    """Return a description of the error, followed by the vendor's message."""
    return errors.as_sentence(f"{problem}: {message}" if message else problem)


def _read_envelope(body: bytes) -> _Envelope:
    """Read a vendor's error document of any form. The length of the message is bounded."""
    try:
        document: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        text = body[:300].decode("utf-8", "replace").strip()
        return _Envelope("" if text.startswith("<") else text)
    return read_document(document)


def read_document(document: Any) -> _Envelope:
    """Read a vendor's decoded error document of any form."""
    if isinstance(document, list) and document:
        document = document[0]
    if not isinstance(document, Mapping):
        return _Envelope(str(document)[:_MAX_MESSAGE_CHARS])
    errors_member = document.get("errors")
    first = errors_member[0] if isinstance(errors_member, list) and errors_member else errors_member
    # Some vendors send `"error": null` and a message next to it.
    inner = document.get("error") or first
    if not inner and isinstance(base := document.get("base_resp"), Mapping):
        return _read_base_resp(base)
    inner = inner or document
    claimed_status = status_in_document(inner, document)
    if not isinstance(inner, Mapping):
        text = str(inner)[:_MAX_MESSAGE_CHARS]
        if inner is True:
            text = _message_of(document)
        return _Envelope(text, _token(document.get("code")), kind=_kind_of(document), claimed_status=claimed_status)
    param = inner.get("param")
    code = inner.get("code") or inner.get("error_code")
    return _Envelope(
        _message_of(inner) if "metadata" not in inner else _with_wrapped_message(inner),
        str(code) if isinstance(code, str | int) and not isinstance(code, bool) else None,
        param if isinstance(param, str) else None,
        _kind_of(inner),
        claimed_status,
    )


def _read_base_resp(base: Mapping[str, Any]) -> _Envelope:
    """Read MiniMax's way to report an error, next to or instead of an answer."""
    status, cause = read_minimax_code(base.get("status_code"))
    return _Envelope(_message_of(base), kind=cause or "", claimed_status=status)


def _message_of(source: Mapping[str, Any]) -> str:
    message = next((source[name] for name in _MESSAGES if source.get(name)), "")
    return (message if isinstance(message, str) else str(message))[:_MAX_MESSAGE_CHARS]


def _with_wrapped_message(inner: Mapping[str, Any]) -> str:
    """Return the message of an error, and of the error of another vendor that OpenRouter puts into it."""
    message = _message_of(inner)
    metadata = inner["metadata"]
    raw = metadata.get("raw") if isinstance(metadata, Mapping) else None
    wrapped = _read_envelope(raw.encode("utf-8", "replace")).message if isinstance(raw, str) else ""
    if not wrapped or wrapped in message:
        return message
    return (f"{message.rstrip('.')}: {wrapped}" if message else wrapped)[:_MAX_MESSAGE_CHARS]


def _kind_of(source: Mapping[str, Any]) -> str:
    kind = source.get("type") or source.get("error_type")
    return kind if isinstance(kind, str) else ""


def _token(code: Any) -> str | None:
    """Return a code next to an error in words, unless it is itself a sentence."""
    return code if isinstance(code, str) and code and " " not in code else None


def retry_after_s(headers: Sequence[tuple[str, str]], clock: Clock) -> float | None:
    """Return how many seconds to wait according to the headers."""
    return read_retry_after_s(headers, clock.epoch_us())


def decode_error_in_stream(data: bytes) -> errors.UpstreamError:
    """Return the gateway error for the data of an error event. What it claims determines the class."""
    return _decode_claimed(_read_envelope(data), data, "The upstream failed during the stream")


def decode_error_in_200(body: bytes) -> errors.UpstreamError:
    """Return the gateway error for an error document with HTTP status 200. What it claims determines the class."""
    return _decode_claimed(_read_envelope(body), body, "The upstream returned an error with HTTP status 200")


def _decode_claimed(envelope: _Envelope, body: bytes, failure: str) -> errors.UpstreamError:
    """Return the error for a document whose HTTP status says nothing: an unknown error is one of the server."""
    status = envelope.claimed_status
    cause = rejection_cause(envelope.message, envelope.code, envelope.kind)
    if status == 0 and envelope.code in ACCOUNT_CODES:
        status = 402
    if status or cause is not None:
        return with_claimed_status(build_error(status or 400, envelope, "The upstream", body), status)
    text = envelope.message[:500] or body[:500].decode("utf-8", "replace")
    return errors.UpstreamUnavailable(_sentence(failure, text))


def error_without_answer(body: bytes) -> errors.UpstreamError | None:
    """Return the error that a document without an answer reports in whatever words; None if it reports none.

    Vendors report errors with status 200 that have no member `error`: `{"error_type", "error_message"}`, `{"detail"}`.
    """
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return decode_error_in_200(body) if is_error_document(document) else None


def failed_finish(reason: str) -> errors.UpstreamMalformed:
    """Return the error for an answer that ends with one of `FAILED_FINISHES`."""
    return errors.UpstreamMalformed(f"The model stopped before its answer was complete: {reason}.")
