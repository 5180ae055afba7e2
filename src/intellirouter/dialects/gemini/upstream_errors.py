"""Google's error answers become ours.

Source: Google Cloud API design guide, "Errors" (`google.rpc.Status` with `ErrorInfo`, `RetryInfo`, `QuotaFailure`);
Gemini API troubleshooting guide. A bad key is a 400 here, and what a stream endpoint says may stand in a list.
"""

import math
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from intellirouter.core import Clock, errors
from intellirouter.dialects.gemini.wire import first_of, objects_in, text_of
from intellirouter.dialects.openai.errors import retry_after_s

_MAX_MESSAGE_CHARS: Final = 2000
_KEY_REASONS: Final = frozenset(
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
_ACCOUNT_WORDS: Final = ("credits are depleted", "billing account", "enable billing")
_BY_WORD: Final = {
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


class Said(Struct):
    """What an error body says."""

    message: str = ""
    status: int = 0
    """The HTTP status it names; 0: none."""
    word: str = ""
    reason: str = ""
    param: str | None = None
    retry_after_s: float | None = None


def read_error(body: bytes) -> Said:
    """Read whatever came. The message is bounded."""
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        text = body[:300].decode("utf-8", "replace").strip()
        return Said("" if text.startswith("<") else text)
    outer = first_of(document)
    if outer is None:
        return Said(str(document)[:_MAX_MESSAGE_CHARS])
    return said_in(outer.get("error") or outer)


def said_in(inner: Any) -> Said:
    """Read an error object."""
    if not isinstance(inner, dict):
        return Said(str(inner)[:_MAX_MESSAGE_CHARS])
    word, code = text_of(inner.get("status")), inner.get("code")
    status = code if type(code) is int and 400 <= code < 600 else _BY_WORD.get(word, 0)
    said = Said(text_of(inner.get("message"))[:_MAX_MESSAGE_CHARS], status, word)
    for detail in objects_in(inner.get("details")):
        _read_detail(text_of(detail.get("@type")).rpartition(".")[2], detail, said)
    return said


def _read_detail(kind: str, detail: dict[str, Any], said: Said) -> None:
    if kind == "ErrorInfo":
        said.reason = text_of(detail.get("reason"))
    elif kind == "RetryInfo":
        said.retry_after_s = _seconds(text_of(detail.get("retryDelay")))
    elif kind == "BadRequest":
        fields = objects_in(detail.get("fieldViolations"))
        said.param = (text_of(fields[0].get("field")) or None) if fields else None


def _seconds(duration: str) -> float | None:
    """Read a protobuf duration: `36s`, `0.847655010s`."""
    try:
        seconds = float(duration.removesuffix("s"))
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def decode_error(
    status: int, headers: Sequence[tuple[str, str]], body: bytes, *, deployment: str, clock: Clock
) -> errors.UpstreamError:
    """Turn an error answer into ours, with Google's message, reason and how long to wait."""
    said = read_error(body)
    wait_s = retry_after_s(headers, clock)
    said.retry_after_s = said.retry_after_s if wait_s is None else wait_s
    return error_of(status, said, deployment, body)


def error_in_200(inner: Any, deployment: str, body: bytes) -> errors.UpstreamError:
    """Turn an error inside a good answer or a stream into ours: its own code says which."""
    said = said_in(inner)
    return error_of(said.status or 500, said, deployment, body)


def error_of(status: int, said: Said, deployment: str, body: bytes) -> errors.UpstreamError:
    """Choose the class."""
    words = f": {said.message}" if said.message else "."
    if status in {401, 403} or said.reason in _KEY_REASONS:
        return errors.UpstreamAuthFailed(f"{deployment} refused our credential{words}")
    if _is_account(status, said):
        return errors.UpstreamQuotaExhausted(
            f"{deployment}'s account has run out of credit or quota{words}", status=429 if status == 429 else 502
        )
    if status == 404:
        return errors.UpstreamModelMissing(said.message or f"{deployment} does not know this model or path.")
    if status == 429:
        return errors.UpstreamRateLimited(f"{deployment} is rate limited{words}", retry_after_s=said.retry_after_s)
    if said.word == "FAILED_PRECONDITION":
        return errors.UpstreamAuthFailed(f"{deployment} does not serve our account or its place{words}")
    if 400 <= status < 500 and status not in {408, 499}:
        rejected = errors.UpstreamRejected(said.message or f"HTTP {status}", param=said.param, status=status)
        rejected.vendor_body = body
        return rejected
    return _broken(status, said, deployment, words)


def _broken(status: int, said: Said, deployment: str, words: str) -> errors.UpstreamError:
    if status in {408, 504, 524}:
        return errors.UpstreamTimeout(f"{deployment} timed out (HTTP {status}){words}")
    if 300 <= status < 400:
        return errors.UpstreamMalformed(f"{deployment} answered with a redirect (HTTP {status}); check its base_url.")
    return errors.UpstreamUnavailable(
        f"{deployment} failed (HTTP {status}){words}",
        status=_STATUS_OUT.get(status, 502),
        retry_after_s=said.retry_after_s,
    )


def _is_account(status: int, said: Said) -> bool:
    if status == 402 or said.reason in _ACCOUNT_REASONS:
        return True
    message = said.message.lower()
    return status in {400, 429} and any(words in message for words in _ACCOUNT_WORDS)
