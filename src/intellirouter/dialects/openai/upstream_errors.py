"""Decoding of upstreams' errors in OpenAI's envelope: `{"error": {"message", "type", "param", "code"}}`.

Other vendors that use OpenAI's dialect deviate from it: a plain string, a list around it, `detail`, `message`, HTML.
`retry_after_s` reads the headers of all vendors.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from intellirouter.core import Clock, errors, read_retry_after_s

_MAX_MESSAGE_CHARS: Final = 2000
ACCOUNT_CODES: Final = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
"""The codes of errors that mean that the account has no credit left."""
_STATUS_OUT: Final = {503: 503, 529: 503}


def decode_error(
    status: int, headers: Sequence[tuple[str, str]], body: bytes, *, deployment: str, clock: Clock
) -> errors.UpstreamError:
    """Return the gateway error for a vendor's error response."""
    message, code, param = _read_envelope(body)
    if code is not None and code.isdigit():
        code = None  # The code only repeats the status.
    wait_s = retry_after_s(headers, clock)
    error: errors.UpstreamError
    if status in {401, 403}:
        error = errors.UpstreamAuthFailed(_sentence(f"{deployment} rejected the credential", message))
    elif status == 402 or code in ACCOUNT_CODES:
        error = _account_error(status, deployment, message, code)
    elif status == 404:
        error = errors.UpstreamModelMissing(
            _sentence(f"{deployment} does not know this model or path (HTTP 404)", message), code=code
        )
    elif status in {408, 504, 524}:
        error = errors.UpstreamTimeout(_sentence(f"{deployment} timed out (HTTP {status})", message))
    elif status == 429:
        error = errors.UpstreamRateLimited(
            _sentence(f"{deployment} is rate limited", message), code=code, retry_after_s=wait_s
        )
    elif 400 <= status < 500:
        message = message or f"{deployment} rejected the request (HTTP {status})."
        error = errors.UpstreamRejected(message, code=code, param=param, status=status)
        error.vendor_body = body
    elif 300 <= status < 400:
        error = errors.UpstreamMalformed(f"{deployment} returned a redirect (HTTP {status}). Check its base_url.")
    else:
        error = errors.UpstreamUnavailable(
            _sentence(f"{deployment} failed (HTTP {status})", message),
            status=_STATUS_OUT.get(status, 502),
            retry_after_s=wait_s,
        )
    return error


def _account_error(status: int, deployment: str, message: str, code: str | None) -> errors.UpstreamError:
    return errors.UpstreamQuotaExhausted(
        _sentence(f"{deployment} has no credit or quota left", message),
        code=code or "insufficient_quota",
        status=429 if status == 429 else 502,
    )


def _sentence(problem: str, message: str) -> str:
    """Return a description of the error, followed by the vendor's message."""
    return errors.as_sentence(f"{problem}: {message}" if message else problem)


def _read_envelope(body: bytes) -> tuple[str, str | None, str | None]:
    """Return message, code and param of a vendor's error document. The length of the message is bounded."""
    try:
        document: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        text = body[:300].decode("utf-8", "replace").strip()
        return ("" if text.startswith("<") else text), None, None
    if isinstance(document, list) and document:
        document = document[0]
    if not isinstance(document, Mapping):
        return str(document)[:_MAX_MESSAGE_CHARS], None, None
    inner = document.get("error") or document  # Some vendors send `"error": null` and a message next to it.
    if not isinstance(inner, Mapping):
        return str(inner)[:_MAX_MESSAGE_CHARS], None, None
    message = inner.get("message") or inner.get("detail") or inner.get("msg") or ""
    code, param = inner.get("code"), inner.get("param")
    return (
        (message if isinstance(message, str) else str(message))[:_MAX_MESSAGE_CHARS],
        str(code) if isinstance(code, str | int) and not isinstance(code, bool) else None,
        param if isinstance(param, str) else None,
    )


def retry_after_s(headers: Sequence[tuple[str, str]], clock: Clock) -> float | None:
    """Return how many seconds to wait according to the headers."""
    return read_retry_after_s(headers, clock.epoch_us())


def decode_error_in_stream(data: bytes) -> errors.UpstreamError:
    """Return the gateway error for the data of an error event. Only its code determines the class."""
    message, code, _ = _read_envelope(data)
    if code in {"rate_limit_exceeded", "429"}:
        return errors.UpstreamRateLimited(_sentence("The upstream is rate limited", message))
    text = message or data[:300].decode("utf-8", "replace")
    return errors.UpstreamUnavailable(_sentence("The upstream failed during the stream", text))


def decode_error_in_200(body: bytes) -> errors.UpstreamError:
    """Return the gateway error for an error document with HTTP status 200. It counts as a failure of the server."""
    text = body[:500].decode("utf-8", "replace")
    return errors.UpstreamUnavailable(_sentence("The upstream returned an error with HTTP status 200", text))
