"""One call with its retries, without I/O: a generator that says what to do next and is told how it went.

Both drivers run the same generator, so the rules of retrying stand here once. Nothing is retried after an answer has
begun, and a request whose connection broke under way is not sent again: it may have been served, and paid for.
"""

import random
from collections.abc import Generator, Mapping
from typing import Any, Final

from msgspec import Struct

from intellirouter.client import errors
from intellirouter.client.calls import Outgoing

BACKOFF_BASE_S: Final = 0.5
BACKOFF_MAX_S: Final = 8.0
LONGEST_WAIT_S: Final = 60.0
"""A gateway that asks for more patience than this is not asked again; the caller learns how long it would be."""
RETRIED_STATUSES: Final = frozenset({408, 409, 429})
FINAL_CODES: Final = frozenset({"insufficient_quota", "budget_exceeded"})
"""Refusals that waiting a moment does not lift."""


class Answer(Struct, kw_only=True):
    """An HTTP answer. `body` is empty for a stream that goes well; `live` is then the driver's open response."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes = b""
    live: Any = None


class Failed(Struct):
    """No answer. Only a connection that was never made may be tried again."""

    error: errors.IntelliRouterError
    was_sent: bool


class Send(Struct):
    request: Outgoing


class Sleep(Struct):
    delay_s: float


Step = Send | Sleep
Outcome = Answer | Failed | None


def exchange(request: Outgoing, max_retries: int) -> Generator[Step, Outcome, Answer]:
    """Yield steps until there is an answer to return; raise `IntelliRouterError` when there will be none.

    Send back an `Answer` or a `Failed` for each `Send`, None for each `Sleep`.
    """
    attempt = 0
    while True:
        outcome = yield Send(request)
        if isinstance(outcome, Answer) and (outcome.status < 400 or outcome.status in request.accepts):
            return outcome
        error = _error_of(outcome)
        delay_s = None if attempt >= max_retries else _delay_s(outcome, error, attempt)
        if delay_s is None:
            raise error
        yield Sleep(delay_s)
        attempt += 1


def _error_of(outcome: Outcome) -> errors.IntelliRouterError:
    if isinstance(outcome, Answer):
        return errors.from_answer(outcome.status, outcome.headers, outcome.body)
    if isinstance(outcome, Failed):
        return outcome.error
    raise TypeError("a Send must be answered")


def _delay_s(outcome: Outcome, error: errors.IntelliRouterError, attempt: int) -> float | None:
    """Return how long to wait before the next try, None when there must be none."""
    if isinstance(outcome, Failed):
        if outcome.was_sent:
            return None
    elif error.code in FINAL_CODES or not _is_retried(error.status):
        return None
    if error.retry_after_s is not None:
        return error.retry_after_s if error.retry_after_s <= LONGEST_WAIT_S else None
    backoff_s = min(BACKOFF_MAX_S, BACKOFF_BASE_S * 2.0**attempt)
    return backoff_s * (0.75 + random.random() / 4)  # noqa: S311 - spreads clients, hides nothing


def _is_retried(status: int | None) -> bool:
    return status is not None and (status in RETRIED_STATUSES or status >= 500)
