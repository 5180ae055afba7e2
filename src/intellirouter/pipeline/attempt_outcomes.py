"""How attempts begin and end: what the exchange records of them, and what the health of their deployments learns.

Every attempt that has begun ends exactly once. What would end it a second time does nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

from msgspec import Struct, field

from intellirouter.catalog import DeploymentHealth, HealthBoard
from intellirouter.core import HEDGE_LOST, Attempt, Call, Clock, CredentialRotator, Deployment, errors, mask_error
from intellirouter.pipeline.attempt_errors import is_stale, name_deployment
from intellirouter.pipeline.breaker_log import BreakerLog
from intellirouter.pipeline.exchange import Decided, Exchange
from intellirouter.resilience import Step, counts_against_deployment, fallback_cause, is_overload

T = TypeVar("T")

_MAX_MESSAGE_CHARS: Final = 500


class AttemptContext(Struct):
    """An attempt in progress: the call, the deployment, and the attempt's record."""

    exchange: Exchange
    call: Call
    deployment: Deployment
    attempt: Attempt
    health: DeploymentHealth
    ticket: int
    """From `health.begin`."""
    can_rotate: bool = False
    """It has failed because of its credential, and the deployment has another one: that says nothing about it."""
    is_ended: bool = False
    """The outcome has been recorded, and the deployment's health no longer counts the attempt as in flight."""


Open = Callable[[AttemptContext], Awaitable[T]]
"""Opens one attempt until its first content. Raises `GatewayError`. Must not use the client or change the exchange."""
Serve = Callable[[AttemptContext, T], Awaitable[None]]
"""Serves the client from what an attempt opened, and ends the attempt with `succeed` or `fail`."""
Discard = Callable[[AttemptContext, T], None]
"""Closes what an attempt has opened whose answer is not used."""


class AttemptOutcomes(Struct, frozen=True, kw_only=True):
    """Begins and ends attempts."""

    board: HealthBoard
    clock: Clock
    credentials: CredentialRotator | None = None
    """None disables credential rotation."""
    transitions: BreakerLog = field(default_factory=BreakerLog)

    def begin(self, exchange: Exchange, call: Call, deployment: Deployment, step: Step) -> AttemptContext:
        """Begin an attempt. If the deployment has a concurrency limit, the caller has taken a slot for it."""
        now_s = self.clock.monotonic_s()
        attempt = Attempt(
            deployment=deployment.name,
            kind=step.kind,
            started_ms=int((now_s - exchange.started_s) * 1e6) / 1e3,
            waited_ms=int(step.wait_s * 1e6) / 1e3,
        )
        if step.queued_s:
            attempt.queued_ms = int(step.queued_s * 1e6) / 1e3
        exchange.attempts.append(attempt)
        exchange.deployment = deployment
        health = self.board.of(deployment.name)
        return AttemptContext(exchange, call, deployment, attempt, health, health.begin(now_s))

    def succeed(self, context: AttemptContext, *, is_session: bool = False) -> None:
        """End an attempt that served the client. The duration of a session is not a latency of the deployment."""
        if context.is_ended:
            return
        context.is_ended = True
        attempt = context.attempt
        attempt.outcome = "ok"
        now_s = self.clock.monotonic_s()
        attempt.ended_ms = ended_ms = int((now_s - context.exchange.started_s) * 1e6) / 1e3
        health = context.health
        if attempt.first_byte_ms is None:  # the gateway answered without the deployment
            self._end_neutrally(context)
            return
        first_ms = attempt.first_byte_ms - attempt.started_ms
        latency_ms = first_ms if is_session else ended_ms - attempt.started_ms
        if health.succeed(context.ticket, first_ms, latency_ms, now_s):
            self.transitions.log(context.deployment.name, health.breaker, now_s)
        if health.slots is not None:
            if not is_session:
                health.slots.note_success(first_ms, _began_s(context), now_s, is_stream=context.call.is_stream)
            self._release(context, now_s)

    def fail(self, context: AttemptContext, error: errors.GatewayError, *, is_neutral: bool = False) -> None:
        """End a failed attempt. Errors caused by the client or the gateway do not count against the deployment.

        If the message speaks of "the upstream", it names the deployment instead from now on. The deployment's
        credentials are masked in it.
        """
        attempt = context.attempt
        mask_error(error, context.deployment.credentials)
        name_deployment(error, attempt.deployment)
        if context.is_ended:
            return
        context.is_ended = True
        attempt.outcome, attempt.message = error.code, error.message[:_MAX_MESSAGE_CHARS]
        attempt.ended_ms = elapsed_ms(context.exchange, self.clock)
        if is_neutral or not counts_against_deployment(error):
            self._end_neutrally(context)
            return
        health, now_s = context.health, self.clock.monotonic_s()
        if health.fail(context.ticket, error.code, now_s, fallback_cause(error)):
            self.transitions.log(attempt.deployment, health.breaker, now_s)
        if health.slots is not None:
            if is_overload(error, attempt.status):
                health.slots.note_overload(_began_s(context), now_s)
            self._release(context, now_s)

    def fail_in_stream(self, context: AttemptContext, error: errors.UpstreamError) -> None:
        """End an attempt whose stream reported an error after its first content. Its Retry-After is remembered."""
        self.fail(context, error)
        if not self.can_rotate(context, error, context.exchange.attempts):
            self.defer(context, error, self.clock.monotonic_s())

    def abandon(self, context: AttemptContext, cause: BaseException) -> None:
        """End an attempt that was canceled or hit a bug in the gateway. Neither counts against the deployment.

        Does nothing if the attempt has ended.
        """
        if context.is_ended:
            return
        context.is_ended = True
        context.attempt.outcome = abandoned_outcome(context.exchange, cause)
        context.attempt.ended_ms = elapsed_ms(context.exchange, self.clock)
        self._end_neutrally(context)

    def can_rotate(self, context: AttemptContext, error: errors.GatewayError, attempts: Sequence[Attempt]) -> bool:
        """Return whether to repeat the request with another credential. Each is used at most once per exchange."""
        spare = len(context.deployment.credentials) - 1
        if spare < 1 or self.credentials is None:
            return False
        name = context.deployment.name
        rotated = sum(each.kind == "credential" and each.deployment == name for each in attempts)
        return rotated < spare and self.credentials.can_rotate(context.deployment, error, context.attempt.status)

    def fail_in_race(self, context: AttemptContext, failure: errors.GatewayError, *, is_cut_short: bool) -> None:
        """End an attempt that has failed while the other one was running."""
        is_neutral = is_cut_short and isinstance(failure, errors.UpstreamTimeout)
        can_rotate = self.can_rotate(context, failure, context.exchange.attempts)
        self.fail(context, failure, is_neutral=is_neutral or can_rotate or is_stale(failure))

    def lose(self, context: AttemptContext) -> None:
        """End an attempt that was canceled because another one has answered first. It does not count."""
        if context.is_ended:
            return
        context.is_ended = True
        context.attempt.outcome = HEDGE_LOST
        context.attempt.ended_ms = elapsed_ms(context.exchange, self.clock)
        self._end_neutrally(context)

    def _end_neutrally(self, context: AttemptContext) -> None:
        context.health.end_neutrally(context.ticket)
        if context.health.slots is not None:
            self._release(context, self.clock.monotonic_s())

    def _release(self, context: AttemptContext, now_s: float) -> None:
        """Give the slot of an attempt to the next request."""
        if (slots := context.health.slots) is not None:
            slots.release(context.exchange.identity.tenant, now_s)

    def defer(self, context: AttemptContext, failure: errors.GatewayError, now_s: float) -> None:
        is_neutral = not counts_against_deployment(failure) or isinstance(failure, errors.PolicyError)
        if failure.retry_after_s is not None and not is_neutral:
            context.health.defer(failure.retry_after_s, now_s)


async def open_within(
    limit_s: float, left_s: float, context: AttemptContext, request: Decided, open_attempt: Open[T]
) -> T:
    """Open an attempt that must have content within `limit_s`, its share of the `left_s` seconds."""
    try:
        async with asyncio.timeout(max(0.0, limit_s)):
            return await open_attempt(context)
    except TimeoutError:
        name, timeout_s = context.deployment.name, request.resolved.request_timeout_s
        if limit_s >= left_s:
            raise errors.UpstreamTimeout(
                f"{name} did not respond within the {timeout_s:g} s of the request (request_timeout_s)."
            ) from None
        raise errors.UpstreamTimeout(
            f"{name} did not respond within {limit_s:.3g} s. The rest of the {timeout_s:g} s of the request "
            "(request_timeout_s) is reserved for other deployments."
        ) from None


def abandoned_outcome(exchange: Exchange, cause: BaseException) -> str:
    """Return the outcome of an attempt that was canceled or hit a bug in the gateway."""
    if not isinstance(cause, asyncio.CancelledError):
        return "internal_error"
    return "client_disconnected" if exchange.is_client_disconnected else "overloaded"  # the gateway is stopping


def elapsed_ms(exchange: Exchange, clock: Clock) -> float:
    """Return the milliseconds since the exchange began, with microsecond resolution."""
    return since_start_ms(exchange, clock.monotonic_s())


def since_start_ms(exchange: Exchange, now_s: float) -> float:
    """Return the milliseconds from the beginning of the exchange to a time, with microsecond resolution."""
    return int((now_s - exchange.started_s) * 1e6) / 1e3


def _began_s(context: AttemptContext) -> float:
    """Return the monotonic time at which an attempt began."""
    return context.exchange.started_s + context.attempt.started_ms / 1e3
