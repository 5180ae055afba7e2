"""OpenAI's error envelope, both ways: `{"error": {"message", "type", "param", "code"}}`.

Vendors that speak OpenAI's dialect bend the envelope: a bare string, a list around it, `detail`, `message`, HTML.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import msgspec

from intellirouter.core import Clock, errors

_MAX_MESSAGE_CHARS: Final = 2000
ACCOUNT_CODES: Final = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
"""Of errors that say that the account is out of credit."""
_STATUS_OUT: Final = {503: 503, 529: 503, 504: 504, 524: 504}


class OpenAIErrors:
    """Implements `route.ErrorStyle`."""

    id_header: bytes | None = None

    def status(self, error: errors.GatewayError) -> int:
        return error.status

    def encode(self, error: errors.GatewayError) -> bytes:
        return encode_error(error)

    def encode_event(self, error: errors.GatewayError) -> bytes:
        return encode_error_event(error)


def encode_error(error: errors.GatewayError) -> bytes:
    """Render an error of ours. A vendor's own envelope about the client's mistake is passed on as it came."""
    if isinstance(error, errors.UpstreamRejected) and error.vendor_body is not None:
        passed_on = _envelope(error.vendor_body, error)
        if passed_on is not None:
            return passed_on
    body = {"message": error.full_message, "type": error.type, "param": error.param, "code": error.code}
    return msgspec.json.encode({"error": body})


def encode_error_event(error: errors.GatewayError) -> bytes:
    """Render an error inside a stream that has begun: one SSE event that the official SDKs raise on."""
    return b"data: " + encode_error(error) + b"\n\n"


def _envelope(body: bytes, error: errors.GatewayError) -> bytes | None:
    """Return the vendor's document if it has OpenAI's form, with the members that it left out (Azure) filled in.

    None for those of vendors whose documents also have an `error` (Google, Anthropic).
    """
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    said = document.get("error") if isinstance(document, dict) else None
    if not isinstance(said, dict) or "status" in said or "type" in document:
        return None
    if not isinstance(said.get("message"), str):
        return None
    ours = {"message": error.message, "type": error.type, "param": error.param, "code": error.code}
    if said.keys() >= ours.keys():
        return body
    document["error"] = {**ours, **said}
    return msgspec.json.encode(document)


def decode_error(
    status: int, headers: Sequence[tuple[str, str]], body: bytes, *, deployment: str, clock: Clock
) -> errors.UpstreamError:
    """Turn a vendor's error answer into ours. `status` may be 200: some vendors put errors there."""
    message, code, param = _read_envelope(body)
    if code is not None and code.isdigit():
        code = None  # the status once more
    said = f": {message}" if message else "."
    wait_s = retry_after_s(headers, clock)
    error: errors.UpstreamError
    if status in {401, 403}:
        error = errors.UpstreamAuthFailed(f"{deployment} refused our credential{said}")
    elif status == 402 or code in ACCOUNT_CODES:
        error = _account_error(status, deployment, said, code)
    elif status == 404:
        error = errors.UpstreamModelMissing(message or f"{deployment} does not know this model or path.", code=code)
    elif status in {408, 504, 524}:
        error = errors.UpstreamTimeout(f"{deployment} timed out (HTTP {status}){said}")
    elif status == 429:
        error = errors.UpstreamRateLimited(f"{deployment} is rate limited{said}", code=code, retry_after_s=wait_s)
    elif 400 <= status < 500:
        error = errors.UpstreamRejected(message or f"HTTP {status}", code=code, param=param, status=status)
        error.vendor_body = body
    elif 300 <= status < 400:
        error = errors.UpstreamMalformed(f"{deployment} answered with a redirect (HTTP {status}); check its base_url.")
    else:
        error = errors.UpstreamUnavailable(
            f"{deployment} failed (HTTP {status}){said}",
            status=_STATUS_OUT.get(status, 502),
            retry_after_s=wait_s,
        )
    return error


def _account_error(status: int, deployment: str, said: str, code: str | None) -> errors.UpstreamError:
    return errors.UpstreamQuotaExhausted(
        f"{deployment}'s account has run out of credit or quota{said}",
        code=code or "insufficient_quota",
        status=429 if status == 429 else 502,
    )


def _read_envelope(body: bytes) -> tuple[str, str | None, str | None]:
    """Return message, code, param from whatever the vendor sent. The message is bounded."""
    try:
        document: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        text = body[:300].decode("utf-8", "replace").strip()
        return ("" if text.startswith("<") else text), None, None
    if isinstance(document, list) and document:
        document = document[0]
    if not isinstance(document, Mapping):
        return str(document)[:_MAX_MESSAGE_CHARS], None, None
    inner = document.get("error") or document  # `"error": null` beside a message is seen, too
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
    """Return the seconds the vendor asks us to wait: `retry-after-ms`, or `retry-after` as seconds or a date."""
    found = dict(headers)
    if (in_ms := _as_float(found.get("retry-after-ms"))) is not None:
        return max(0.0, in_ms / 1000)
    value = found.get("retry-after")
    if value is None:
        return None
    if (in_s := _as_float(value)) is not None:
        return max(0.0, in_s)
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    now = datetime.fromtimestamp(clock.epoch_us() / 1e6, UTC)
    return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - now).total_seconds())


def _as_float(value: str | None) -> float | None:
    try:
        number = float(value) if value is not None else None
    except ValueError:
        return None
    return number if number is not None and math.isfinite(number) else None


def decode_error_in_stream(data: bytes) -> errors.UpstreamError:
    """Turn the data of an error event into ours. Its class is known only by what it says."""
    message, code, _ = _read_envelope(data)
    if code in {"rate_limit_exceeded", "429"}:
        return errors.UpstreamRateLimited(message or "The upstream is rate limited.")
    return errors.UpstreamUnavailable(f"The upstream failed while streaming: {message or data[:300]!r}")


def decode_error_in_200(body: bytes) -> errors.UpstreamError:
    """An error document under HTTP 200 counts as a server failure: nobody vouches for its class."""
    return errors.UpstreamUnavailable(
        "The upstream answered 200 with an error: " + body[:500].decode("utf-8", "replace")
    )
