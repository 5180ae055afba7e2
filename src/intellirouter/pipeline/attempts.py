"""The attempt loop: tries one deployment after another until one of them responds. See DESIGN.md.

Responses and sessions use the same loop. It calls a function that opens one attempt *until the first content*; the
caller relays the rest. Nothing has been sent to the client before the loop returns, so every failure can still lead to
another attempt. Retries, fallbacks and credential rotations are kinds of attempt, and all of them are recorded.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

from msgspec import Struct, field, structs

from intellirouter.catalog import DeploymentHealth, HealthBoard
from intellirouter.core import Attempt, Call, Clock, CredentialRotator, Deployment, errors, mask_error
from intellirouter.pipeline.breaker_log import BreakerLog
from intellirouter.pipeline.exchange import Decided, Exchange
from intellirouter.pipeline.recoveries import Recoveries
from intellirouter.resilience import (
    AttemptPlanner,
    Backoff,
    Retries,
    Step,
    attempt_limit_s,
    counts_against_deployment,
    is_rejected_by_deployment,
    with_same_limit,
)

logger = logging.getLogger(__name__)

T = TypeVar("T")

_MAX_MESSAGE_CHARS: Final = 500
_SPREAD: Final = 0.1
"""Requests that wait for the same deployment do not all continue at the same moment."""
_UPSTREAM: Final = "The upstream"
"""The subject of messages whose author does not know the deployment."""
_FAILURES: Final = (errors.UpstreamError, errors.HostError, errors.Overloaded)
"""Errors that may lead to another attempt. All others end the exchange."""


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


class Attempts(Struct, frozen=True, kw_only=True):
    """Makes the attempts of a decision and updates the health of the deployments."""

    board: HealthBoard
    backoff: Backoff
    clock: Clock
    rng: random.Random
    credentials: CredentialRotator | None = None
    """None disables credential rotation."""
    recoveries: Recoveries = field(default_factory=Recoveries)
    transitions: BreakerLog = field(default_factory=BreakerLog)

    async def run(self, exchange: Exchange, request: Decided, open_attempt: Open[T], serve: Serve[T]) -> None:
        """Make attempts until one opens, and serve the client from it. Raises the error for the client.

        Every attempt that begins ends here: what `serve` has not ended, because it was canceled or raised an error, is
        abandoned.
        """
        context, opened = await self.open(exchange, request, open_attempt)
        try:
            await serve(context, opened)
        except BaseException as error:
            self.abandon(context, error)
            raise
        if not context.is_ended:
            self.abandon(context, AssertionError("The attempt has no outcome."))

    async def open(self, exchange: Exchange, request: Decided, open_attempt: Open[T]) -> tuple[AttemptContext, T]:
        """Make attempts until one opens; return that attempt, which has not ended yet, and what it opened.

        If no attempt opens, this raises the error for the client.
        """
        resolved = request.resolved
        order = request.decision.order
        step, is_pool = Step(order[0], "first", 0.0), len(order) > 1
        if request.decision.is_last_resort:
            step = await self._wait_until_called(step, request)
        deadline_s = exchange.started_s + resolved.request_timeout_s
        planner: AttemptPlanner | None = None
        rejection: errors.GatewayError | None = None
        while True:
            context = self._begin(exchange, request.call, resolved.by_name[step.deployment], step)
            try:
                is_first = step.kind == "first"
                left_s = resolved.request_timeout_s - step.wait_s if is_first else deadline_s - self.clock.monotonic_s()
                total_s = context.deployment.timeouts.total_s
                untried_s = _untried_s(request, exchange) if is_pool else 0.0
                limit_s = attempt_limit_s(left_s, total_s, untried_s)
                has_full_time = limit_s >= total_s
                # The transport enforces the timeouts of the attempt. Only a shorter limit needs a timer here.
                if has_full_time:
                    value = await open_attempt(context)
                else:
                    value = await _open_within(limit_s, left_s, context, request, open_attempt)
            except _FAILURES as error:
                # Earlier attempts, or the client's own limit, may have left too little time for this one.
                may_be_short = not is_first or bool(resolved.restriction)
                is_cut_short = may_be_short and not has_full_time and isinstance(error, errors.UpstreamTimeout)
                context.can_rotate = self._can_rotate(context, error, exchange.attempts)
                self.fail(context, error, is_neutral=is_cut_short or context.can_rotate or _is_stale(error))
                failure: errors.GatewayError = error
                if is_rejected_by_deployment(error):
                    rejection = rejection or error
            except errors.GatewayError as error:  # another deployment would fail in the same way
                self.fail(context, error)
                raise
            except BaseException as error:
                self.abandon(context, error)
                raise
            else:
                exchange.deployment = context.deployment
                if planner is not None:
                    self._log_recovery(exchange)
                return context, value
            planner = planner or self._planner(request)
            next_step = self._next_step(planner, context, failure, request, deadline_s)
            if next_step is None:
                raise combined_error(rejection or failure, exchange.attempts)
            if next_step.wait_s:
                await asyncio.sleep(next_step.wait_s)
            step = next_step

    def _planner(self, request: Decided) -> AttemptPlanner:
        decision, resolved = request.decision, request.resolved
        retries = Retries(
            pool_size=decision.pool_size,
            retries=resolved.retries,
            order=resolved.retry_order,
            fallbacks=frozenset([each.name for each in resolved.fallbacks]),
        )
        return AttemptPlanner(decision.order, retries, self.backoff, self.rng)

    def _next_step(
        self,
        planner: AttemptPlanner,
        context: AttemptContext,
        failure: errors.GatewayError,
        request: Decided,
        deadline_s: float,
    ) -> Step | None:
        """Return the next step after a failure, or None. Retry-After is remembered for later requests, too."""
        attempts, name = context.exchange.attempts, context.deployment.name
        if len(attempts) >= request.resolved.max_attempts:
            return None
        if _is_stale(failure) and context.attempt.kind != "reconnect":
            return Step(name, "reconnect", 0.0)
        if context.can_rotate:
            return Step(name, "credential", 0.0)
        now_s = self.clock.monotonic_s()
        self._defer(context, failure, now_s)
        planner.exclude(with_same_limit(failure, context.deployment, request.resolved.by_name.values()))
        next_step = planner.after(name, failure, now_s, deadline_s)
        if next_step is None and request.decision.is_last_resort:
            available_at_s = {each: self.board.of(each).breaker.available_at_s for each in request.decision.order}
            max_wait_s = request.resolved.pool_policy.max_wait_s - attempts[0].waited_ms / 1e3
            limit_s = min(deadline_s, now_s + max_wait_s)
            return planner.recover(available_at_s, now_s, limit_s)
        return next_step

    def _defer(self, context: AttemptContext, failure: errors.GatewayError, now_s: float) -> None:
        is_neutral = not counts_against_deployment(failure) or isinstance(failure, errors.PolicyError)
        if failure.retry_after_s is not None and not is_neutral:
            context.health.defer(failure.retry_after_s, now_s)

    async def _wait_until_called(self, step: Step, request: Decided) -> Step:
        """Wait until the first deployment accepts requests again, if all of them have asked not to be called.

        If that takes too long, it is called at once.
        """
        resolved, now_s = request.resolved, self.clock.monotonic_s()
        wait_s = self.board.of(step.deployment).breaker.retry_at_s - now_s
        limit_s = min(resolved.pool_policy.max_wait_s, resolved.request_timeout_s)
        if not 0 < wait_s < limit_s or not all(
            self.board.of(name).breaker.retry_at_s > now_s for name in request.decision.order
        ):
            return step
        wait_s += wait_s * _SPREAD * self.rng.random()
        await asyncio.sleep(wait_s)
        return structs.replace(step, wait_s=wait_s)

    def _log_recovery(self, exchange: Exchange) -> None:
        """Log who failed, why, and who answered then. The client does not notice it."""
        *earlier, answered = attempts = exchange.attempts
        failed = [each for each, after in zip(earlier, attempts[1:], strict=True) if after.kind != "reconnect"]
        if not failed:
            return
        unlogged = self.recoveries.unlogged(failed[0].deployment, self.clock.monotonic_s())
        if unlogged is None:
            return
        level = logging.WARNING if answered.kind in {"next", "fallback"} else logging.INFO
        reasons = " ".join(map(_failure_sentence, failed[-4:]))
        more = f" {unlogged} earlier failures of {failed[0].deployment} were not logged." if unlogged else ""
        kind = "next deployment" if answered.kind == "next" else answered.kind
        logger.log(level, "%s: %s answered (%s). %s%s", exchange.request_id, answered.deployment, kind, reasons, more)

    def succeed(self, context: AttemptContext, *, is_session: bool = False) -> None:
        """End an attempt that served the client. The duration of a session is not a latency of the deployment."""
        if context.is_ended:
            return
        context.is_ended = True
        attempt = context.attempt
        attempt.outcome = "ok"
        now_s = self.clock.monotonic_s()
        attempt.ended_ms = ended_ms = int((now_s - context.exchange.started_s) * 1e6) / 1e3
        if attempt.first_byte_ms is None:  # the gateway answered without the deployment
            context.health.end_neutrally(context.ticket)
            return
        first_ms = attempt.first_byte_ms - attempt.started_ms
        latency_ms = first_ms if is_session else ended_ms - attempt.started_ms
        if context.health.succeed(context.ticket, first_ms, latency_ms, now_s):
            self.transitions.log(context.deployment.name, context.health.breaker, now_s)

    def fail(self, context: AttemptContext, error: errors.GatewayError, *, is_neutral: bool = False) -> None:
        """End a failed attempt. Errors caused by the client or the gateway do not count against the deployment.

        If the message speaks of "the upstream", it names the deployment instead from now on. The deployment's
        credentials are masked in it.
        """
        attempt = context.attempt
        mask_error(error, context.deployment.credentials)
        _name_deployment(error, attempt.deployment)
        if context.is_ended:
            return
        context.is_ended = True
        attempt.outcome, attempt.message = error.code, error.message[:_MAX_MESSAGE_CHARS]
        attempt.ended_ms = elapsed_ms(context.exchange, self.clock)
        if is_neutral or not counts_against_deployment(error):
            context.health.end_neutrally(context.ticket)
            return
        now_s = self.clock.monotonic_s()
        if context.health.fail(context.ticket, error.code, now_s):
            self.transitions.log(attempt.deployment, context.health.breaker, now_s)

    def fail_in_stream(self, context: AttemptContext, error: errors.UpstreamError) -> None:
        """End an attempt whose stream reported an error after its first content. Its Retry-After is remembered."""
        self.fail(context, error)
        if not self._can_rotate(context, error, context.exchange.attempts):
            self._defer(context, error, self.clock.monotonic_s())

    def abandon(self, context: AttemptContext, cause: BaseException) -> None:
        """End an attempt that was canceled or hit a bug in the gateway. Neither counts against the deployment.

        Does nothing if the attempt has ended.
        """
        if context.is_ended:
            return
        context.is_ended = True
        if not isinstance(cause, asyncio.CancelledError):
            outcome = "internal_error"
        elif context.exchange.is_client_disconnected:
            outcome = "client_disconnected"
        else:  # the gateway is stopping
            outcome = "overloaded"
        context.attempt.outcome = outcome
        context.attempt.ended_ms = elapsed_ms(context.exchange, self.clock)
        context.health.end_neutrally(context.ticket)

    def _can_rotate(self, context: AttemptContext, error: errors.GatewayError, attempts: Sequence[Attempt]) -> bool:
        """Return whether to repeat the request with another credential. Each is used at most once per exchange."""
        spare = len(context.deployment.credentials) - 1
        if spare < 1 or self.credentials is None:
            return False
        name = context.deployment.name
        rotated = sum(each.kind == "credential" and each.deployment == name for each in attempts)
        return rotated < spare and self.credentials.can_rotate(context.deployment, error, context.attempt.status)

    def _begin(self, exchange: Exchange, call: Call, deployment: Deployment, step: Step) -> AttemptContext:
        now_s = self.clock.monotonic_s()
        attempt = Attempt(
            deployment=deployment.name,
            kind=step.kind,
            started_ms=int((now_s - exchange.started_s) * 1e6) / 1e3,
            waited_ms=int(step.wait_s * 1e6) / 1e3,
        )
        exchange.attempts.append(attempt)
        exchange.deployment = deployment
        health = self.board.of(deployment.name)
        return AttemptContext(exchange, call, deployment, attempt, health, health.begin(now_s))


def _is_stale(error: errors.GatewayError) -> bool:
    return isinstance(error, errors.UpstreamDisconnected) and error.is_stale_connection


async def _open_within(
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


def _untried_s(request: Decided, exchange: Exchange) -> float:
    """Return the sum of the timeouts of the deployments that have not been tried yet."""
    order = request.decision.order
    tried, by_name = {each.deployment for each in exchange.attempts}, request.resolved.by_name
    return sum([by_name[name].timeouts.total_s for name in order if name not in tried])


def elapsed_ms(exchange: Exchange, clock: Clock) -> float:
    """Return the milliseconds since the exchange began, with microsecond resolution."""
    return int((clock.monotonic_s() - exchange.started_s) * 1e6) / 1e3


def combined_error(error: errors.GatewayError, attempts: Sequence[Attempt]) -> errors.GatewayError:
    """Return the error for the client: the last one, or `AllAttemptsFailed` if the attempts' reasons differ."""
    if len(attempts) == 1 or isinstance(error, errors.UpstreamRejected):
        return error
    if len({attempt.outcome for attempt in attempts}) == 1:
        return error
    # A feature that the last deployment lacks is not why the request failed, so the client is not at fault.
    status = 502 if isinstance(error, errors.UnsupportedFeature) else error.status
    reasons = " ".join(map(_failure_sentence, attempts[-4:]))
    which = "Both" if len(attempts) == 2 else f"All {len(attempts)}"
    return errors.AllAttemptsFailed(
        f"{which} attempts failed. {reasons}", status=status, retry_after_s=error.retry_after_s
    )


def _failure_sentence(attempt: Attempt) -> str:
    """Return the message of a failed attempt. It begins with the name of the deployment."""
    message, name = errors.as_sentence(attempt.message or ""), attempt.deployment
    return message if message.startswith((f"{name} ", f"{name}: ", f"{name}'s ")) else f"{name}: {message}"


def _name_deployment(error: errors.GatewayError, deployment: str) -> None:
    """Name the deployment in a message about "the upstream", whose author does not know it."""
    if error.message.startswith(_UPSTREAM) and not isinstance(error, errors.UpstreamRejected):
        error.message = deployment + error.message.removeprefix(_UPSTREAM)
