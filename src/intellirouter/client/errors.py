"""The exceptions that a client raises: one base class, and subclasses by what the caller can do about them.

IntelliRouterError
├── InvalidRequestError        the request is invalid and must be changed
├── AuthenticationError        the key is missing, wrong, or not allowed to do this
├── NotFoundError              the model, request or path does not exist
├── RateLimitError             a limit was exceeded; wait `retry_after_s`
├── UpstreamError              all deployments failed, or the stream ended early
└── GatewayUnreachableError    the gateway cannot be reached
    └── ResponseTimeoutError   the gateway did not respond in time
"""

import html
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from intellirouter.core import SYSTEM_CLOCK, read_retry_after_s

_MAX_QUOTED_CHARS: Final = 300
CHECK_ADDRESS_HINT: Final = (
    "Check that the address is that of an IntelliRouter gateway, and that its version matches the client."
)


class IntelliRouterError(Exception):
    """A failed call. `status` is None if there was no HTTP response, and 200 for a stream that failed midway."""

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        envelope: Mapping[str, Any] | None = None,
        request_id: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        """`envelope` is the `error` object of the response: `code`, `type`, `param`, `hint`."""
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
        """Seconds to wait before the next try, as stated by the gateway; None if it did not state any."""


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


class ResponseTimeoutError(GatewayUnreachableError):
    pass


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def error_from_response(status: int, headers: Mapping[str, str], body: bytes) -> IntelliRouterError:
    """Turn an HTTP response with an error status into an exception. Header names are in lower case."""
    envelope = _envelope(body)
    if not envelope and "x-request-id" not in headers:  # a gateway sends both
        envelope = {"hint": CHECK_ADDRESS_HINT}
    message = _text(envelope.get("message")) or _quoted(body) or f"The gateway responded with HTTP status {status}."
    return _error_class(status, envelope)(
        message,
        status=status,
        envelope=envelope,
        request_id=headers.get("x-request-id"),
        retry_after_s=parse_retry_after_s(headers),
    )


def error_from_event(error: Any, request_id: str | None) -> IntelliRouterError:
    """Turn the `error` of a stream event into an exception. The HTTP status of such a response is 200."""
    envelope = error if isinstance(error, dict) else {"message": error}
    message = _text(envelope.get("message")) or "The stream ended with an error."
    return _error_class(502, envelope)(message, status=200, envelope=envelope, request_id=request_id)


def invalid_response_error(headers: Mapping[str, str], status: int, problem: str) -> IntelliRouterError:
    """Return the error for a successful response that is not one of a gateway. `problem` is a clause."""
    return IntelliRouterError(
        f"The gateway returned an invalid response: {problem}.",
        status=status,
        envelope={"code": "invalid_response", "hint": CHECK_ADDRESS_HINT},
        request_id=headers.get("x-request-id"),
    )


def _error_class(status: int, envelope: Mapping[str, Any]) -> type[IntelliRouterError]:
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


def _quoted(body: bytes) -> str:
    """Return the start of a body without an error object; the title if it is a page, such as one of a proxy."""
    text = " ".join(body.decode("utf-8", "replace").split())
    if text.startswith("<"):
        title = re.search(r"<title[^>]*>([^<]+)</title>", text, re.IGNORECASE)
        return (
            f"The response is a web page: {html.unescape(title[1]).strip()}."
            if title
            else "The response is a web page."
        )
    return text if len(text) <= _MAX_QUOTED_CHARS else f"{text[:_MAX_QUOTED_CHARS]}…"


def parse_retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Parse `retry-after-ms`, or `retry-after` in seconds or as an HTTP date; None if absent or invalid."""
    named = [(name, value) for name in ("retry-after-ms", "retry-after") if (value := headers.get(name)) is not None]
    return read_retry_after_s(named, SYSTEM_CLOCK.epoch_us())
