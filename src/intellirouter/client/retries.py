"""One API call with its retries, as a generator without I/O that both clients run.

The generator yields what to do next and receives the outcome. A response that has begun is never requested again, nor
is a request whose connection failed after it was sent: the gateway may have served and charged it.
"""

import random
from collections.abc import Generator, Mapping
from typing import Any, Final

from msgspec import Struct

from intellirouter.client.api_requests import ApiRequest
from intellirouter.client.errors import IntelliRouterError, error_from_response, invalid_response_error

BACKOFF_BASE_S: Final = 0.5
BACKOFF_MAX_S: Final = 8.0
MAX_RETRY_AFTER_S: Final = 60.0
"""If the gateway asks for a longer wait, the error is raised instead, with `retry_after_s`."""
RETRIED_STATUSES: Final = frozenset({408, 409, 429})
FINAL_CODES: Final = frozenset({"insufficient_quota", "budget_exceeded"})
"""Error codes that a short wait does not resolve."""


class ApiResponse(Struct, kw_only=True):
    """An HTTP response. For a successful stream, `body` is empty and `live` is the open response of the client."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes = b""
    live: Any = None


class ConnectionFailure(Struct):
    """There was no response. The request is retried only if it was not sent."""

    error: IntelliRouterError
    was_sent: bool


class Send(Struct):
    request: ApiRequest


class Sleep(Struct):
    delay_s: float


Step = Send | Sleep
Outcome = ApiResponse | ConnectionFailure | None


def call_steps(request: ApiRequest, max_retries: int) -> Generator[Step, Outcome, ApiResponse]:
    """Yield the steps of a call and return its response. Raises `IntelliRouterError` when the call has failed.

    Send an `ApiResponse` or a `ConnectionFailure` into the generator after each `Send`, None after each `Sleep`.
    """
    retries = 0
    while True:
        outcome = yield Send(request)
        if isinstance(outcome, ApiResponse) and (outcome.status < 400 or outcome.status in request.accepted_errors):
            if request.is_stream and outcome.live is None:
                raise invalid_response_error(outcome.headers, outcome.status, "it is not a stream of events")
            return outcome
        error = _error_of(outcome)
        delay_s = None if retries >= max_retries else _retry_delay_s(outcome, error, retries)
        if delay_s is None:
            raise error
        yield Sleep(delay_s)
        retries += 1


def _error_of(outcome: Outcome) -> IntelliRouterError:
    if isinstance(outcome, ApiResponse):
        return error_from_response(outcome.status, outcome.headers, outcome.body)
    if isinstance(outcome, ConnectionFailure):
        return outcome.error
    raise TypeError("A Send step needs an outcome.")


def _retry_delay_s(outcome: Outcome, error: IntelliRouterError, retries: int) -> float | None:
    """Return how long to wait before the next retry; None if the call must not be retried."""
    if isinstance(outcome, ConnectionFailure):
        if outcome.was_sent:
            return None
    elif error.code in FINAL_CODES or not _is_retried(error.status):
        return None
    if error.retry_after_s is not None:
        return error.retry_after_s if error.retry_after_s <= MAX_RETRY_AFTER_S else None
    backoff_s = min(BACKOFF_MAX_S, BACKOFF_BASE_S * 2.0**retries)
    return backoff_s * (0.75 + random.random() / 4)  # noqa: S311 - jitter, not cryptography


def _is_retried(status: int | None) -> bool:
    return status is not None and (status in RETRIED_STATUSES or status >= 500)
