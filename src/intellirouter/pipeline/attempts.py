"""The attempt loop: who is tried, in which order, until one deployment has opened its answer. See DESIGN.md.

There is one loop for answers and for sessions. It is handed a function that opens one attempt *until the first
content*; relaying what follows is the caller's business. Until the loop returns, the client has been sent nothing, so
every failure can still lead to another attempt. Retries, fallbacks and credential rotation are kinds of attempt, and
each of them is recorded.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

from msgspec import Struct

from intellirouter.catalog import DeploymentHealth, HealthBoard
from intellirouter.core import Attempt, Call, Clock, CredentialRotator, Deployment, errors
from intellirouter.pipeline.exchange import Decided, Exchange
from intellirouter.resilience import AttemptPlanner, Backoff, Step

T = TypeVar("T")

_MAX_MESSAGE_CHARS: Final = 500
_FAILURES: Final = (errors.UpstreamError, errors.HostError, errors.Overloaded)
"""Errors after which the planner is asked for another attempt. Everything else ends the exchange."""
_BLAMELESS: Final = frozenset({"client", "us"})


class AttemptContext(Struct, frozen=True):
    """One attempt under way: the call, the deployment that is tried, what is recorded of it."""

    exchange: Exchange
    call: Call
    deployment: Deployment
    attempt: Attempt
    health: DeploymentHealth


Open = Callable[[AttemptContext], Awaitable[T]]
"""Opens one attempt until its first content. Raises `GatewayError`. Must not touch the client or the exchange."""


class Attempts(Struct, frozen=True, kw_only=True):
    """Makes the attempts of a decision and keeps the deployments' health."""

    board: HealthBoard
    backoff: Backoff
    clock: Clock
    rng: random.Random
    credentials: CredentialRotator | None = None
    """None: each deployment has one credential at most."""

    async def open(self, exchange: Exchange, request: Decided, open_attempt: Open[T]) -> tuple[AttemptContext, T]:
        """Return the first attempt that opens, with what it opened.

        `succeed`, `fail` or `abandon` must end it, exactly once. Raises the error that stands when there is no further
        attempt.
        """
        decision, resolved = request.decision, request.resolved
        step = Step(decision.order[0], "first", 0.0)
        deadline_s = exchange.started_s + resolved.request_timeout_s
        planner: AttemptPlanner | None = None
        while True:
            context = self._begin(exchange, request.call, resolved.by_name[step.deployment], step)
            try:
                is_first = step.kind == "first"
                left_s = resolved.request_timeout_s if is_first else deadline_s - self.clock.monotonic_s()
                # The attempt's own deadlines are the transport's business; a timer is only set for a shorter one.
                if left_s >= context.deployment.timeouts.total_s:
                    value = await open_attempt(context)
                else:
                    value = await _within(left_s, context, open_attempt)
            except _FAILURES as error:
                self.fail(context, error)
                failure: errors.GatewayError = error
            except errors.GatewayError as error:  # no other deployment would do better with this request
                self.fail(context, error)
                raise
            except BaseException as error:
                self.abandon(context, error)
                raise
            else:
                exchange.deployment = context.deployment
                return context, value
            if self._can_rotate(context, failure, exchange.attempts):
                step = Step(step.deployment, "credential", 0.0)
                continue
            planner = planner or AttemptPlanner(
                decision.order,
                pool_size=decision.pool_size,
                retries=resolved.retries,
                backoff=self.backoff,
                rng=self.rng,
            )
            next_step = planner.after(step.deployment, failure, self.clock.monotonic_s(), deadline_s)
            if next_step is None:
                raise combined_error(failure, exchange.attempts)
            if next_step.wait_s:
                await asyncio.sleep(next_step.wait_s)
            step = next_step

    def succeed(self, context: AttemptContext, *, is_session: bool = False) -> None:
        """The attempt has served the client. `is_session`: how long it lasted says nothing about the deployment."""
        attempt = context.attempt
        attempt.outcome = "ok"
        attempt.ended_ms = ended_ms = elapsed_ms(context.exchange, self.clock)
        started_ms = attempt.started_ms
        first_ms = (attempt.first_byte_ms or 0.0) - started_ms
        context.health.succeed(first_ms, first_ms if is_session else ended_ms - started_ms)

    def fail(self, context: AttemptContext, error: errors.GatewayError) -> None:
        """The attempt has failed. An error that the client or the gateway caused does not count against its health."""
        attempt = context.attempt
        attempt.outcome, attempt.message = error.code, error.message[:_MAX_MESSAGE_CHARS]
        attempt.ended_ms = elapsed_ms(context.exchange, self.clock)
        if error.blame in _BLAMELESS:
            context.health.end_neutrally()
        else:
            context.health.fail(error.code, self.clock.monotonic_s())

    def abandon(self, context: AttemptContext, cause: BaseException) -> None:
        """The client has left, or we have a bug. Neither says anything about the deployment."""
        context.attempt.outcome = "client_gone" if isinstance(cause, asyncio.CancelledError) else "internal_error"
        context.attempt.ended_ms = elapsed_ms(context.exchange, self.clock)
        context.health.end_neutrally()

    def _can_rotate(self, context: AttemptContext, error: errors.GatewayError, attempts: Sequence[Attempt]) -> bool:
        """Return whether the deployment has another credential for the same request. Each is used at most once."""
        spare = len(context.deployment.credentials) - 1
        if spare < 1 or self.credentials is None:
            return False
        name = context.deployment.name
        rotated = sum(each.kind == "credential" and each.deployment == name for each in attempts)
        return rotated < spare and self.credentials.can_rotate(context.deployment, error, context.attempt.status)

    def _begin(self, exchange: Exchange, call: Call, deployment: Deployment, step: Step) -> AttemptContext:
        attempt = Attempt(
            deployment=deployment.name,
            kind=step.kind,
            started_ms=elapsed_ms(exchange, self.clock),
            waited_ms=int(step.wait_s * 1e6) / 1e3,
        )
        exchange.attempts.append(attempt)
        exchange.deployment = deployment
        health = self.board.of(deployment.name)
        health.begin()
        return AttemptContext(exchange, call, deployment, attempt, health)


async def _within(left_s: float, context: AttemptContext, open_attempt: Open[T]) -> T:
    """Open an attempt that has less time than its own deadline allows."""
    try:
        async with asyncio.timeout(max(0.0, left_s)):
            return await open_attempt(context)
    except TimeoutError:
        raise errors.UpstreamTimeout(
            f"{context.deployment.name} did not answer before the deadline of the request."
        ) from None


def elapsed_ms(exchange: Exchange, clock: Clock) -> float:
    """Return the milliseconds since the exchange began, to the microsecond."""
    return int((clock.monotonic_s() - exchange.started_s) * 1e6) / 1e3


def combined_error(error: errors.GatewayError, attempts: Sequence[Attempt]) -> errors.GatewayError:
    """Return the error to show: the last one, or `AllAttemptsFailed` where attempts failed for different reasons."""
    if len(attempts) == 1 or isinstance(error, errors.UpstreamRejected):
        return error
    if len({attempt.outcome for attempt in attempts}) == 1:
        return error
    # That the last deployment lacks a feature is not why the request failed.
    status = 502 if isinstance(error, errors.UnsupportedFeature) else error.status
    reasons = "; ".join(f"{attempt.deployment}: {attempt.message}" for attempt in attempts[-4:])
    return errors.AllAttemptsFailed(
        f"All {len(attempts)} attempts failed. {reasons}", status=status, retry_after_s=error.retry_after_s
    )
