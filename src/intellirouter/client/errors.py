"""What a client raises. One base; subclasses by what the caller can do about it.

IntelliRouterError
├── InvalidRequestError        the request is wrong: change it
├── AuthenticationError        no key, a wrong key, or a key that may not do this
├── NotFoundError              no such model, request or path
├── RateLimitError             wait `retry_after_s`, or spend less
├── UpstreamError              every deployment that could serve it failed, or the answer broke off
└── GatewayUnreachableError    no gateway answers at the address
    └── AnswerTimeoutError     it answers too slowly
"""

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final

import msgspec

from intellirouter.core import SYSTEM_CLOCK

_SHOWN_BODY_CHARS: Final = 300


class IntelliRouterError(Exception):
    """A call that did not succeed. `status` is None when no HTTP answer arrived, 200 for a stream that broke off."""

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        envelope: Mapping[str, Any] | None = None,
        request_id: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        """`envelope` is the `error` object of the answer: `code`, `type`, `param`, `hint`."""
        super().__init__(message)
        fields = envelope or {}
        self.message = message
        self.status = status
        self.code = _text(fields.get("code"))
        self.type = _text(fields.get("type"))
        self.param = _text(fields.get("param"))
        self.hint = _text(fields.get("hint"))
        self.request_id = request_id
        self.retry_after_s = retry_after_s
        """How long the gateway asks to wait, in seconds; None when it does not say."""


class InvalidRequestError(IntelliRouterError):
    pass


class AuthenticationError(IntelliRouterError):
    pass


class NotFoundError(IntelliRouterError):
    pass


class RateLimitError(IntelliRouterError):
    pass


class UpstreamError(IntelliRouterError):
    pass


class GatewayUnreachableError(IntelliRouterError):
    pass


class AnswerTimeoutError(GatewayUnreachableError):
    pass


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def from_answer(status: int, headers: Mapping[str, str], body: bytes) -> IntelliRouterError:
    """Turn an HTTP answer with an error status into an error. `headers` has names in lower case."""
    envelope = _envelope(body)
    message = _text(envelope.get("message")) or _plain(body) or f"the gateway answered with HTTP status {status}"
    return _kind(status, envelope)(
        message,
        status=status,
        envelope=envelope,
        request_id=headers.get("x-request-id"),
        retry_after_s=retry_after_s(headers),
    )


def from_event(error: Any, request_id: str | None) -> IntelliRouterError:
    """Turn the `error` of a stream event into an error; by then the status line has said 200."""
    envelope = error if isinstance(error, dict) else {"message": error}
    message = _text(envelope.get("message")) or "the stream ended with an error"
    return _kind(502, envelope)(message, status=200, envelope=envelope, request_id=request_id)


def _kind(status: int, envelope: Mapping[str, Any]) -> type[IntelliRouterError]:
    if envelope.get("type") == "rate_limit_error":
        return RateLimitError
    by_status: dict[int, type[IntelliRouterError]] = {
        401: AuthenticationError,
        403: AuthenticationError,
        404: NotFoundError,
        429: RateLimitError,
    }
    if status in by_status:
        return by_status[status]
    if status >= 500:
        return UpstreamError
    return InvalidRequestError


def _envelope(body: bytes) -> dict[str, Any]:
    try:
        document = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return {}
    error = document.get("error") if isinstance(document, dict) else None
    if isinstance(error, dict):
        return error
    return {"message": error} if isinstance(error, str) else {}


def _plain(body: bytes) -> str:
    """Quote a body that is no error envelope: most often a proxy's page in front of the gateway."""
    text = " ".join(body.decode("utf-8", "replace").split())
    return text if len(text) <= _SHOWN_BODY_CHARS else f"{text[:_SHOWN_BODY_CHARS]}…"


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Read `retry-after-ms`, or `retry-after` as seconds or as an HTTP date; None when absent or unreadable."""
    milliseconds = headers.get("retry-after-ms")
    value = headers.get("retry-after")
    try:
        if milliseconds is not None:
            return max(0.0, float(milliseconds) / 1000)
        return None if value is None else max(0.0, float(value))
    except ValueError:
        return None if value is None else _until(value)


def _until(http_date: str) -> float | None:
    try:
        moment = parsedate_to_datetime(http_date)
    except ValueError:
        return None
    return max(0.0, moment.timestamp() - SYSTEM_CLOCK.epoch_us() / 1_000_000)
