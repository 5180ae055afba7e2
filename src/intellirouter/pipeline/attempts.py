"""The attempt loop: tries one deployment after another until one of them responds. See DESIGN.md.

Responses and sessions use the same loop. It calls a function that opens one attempt *until the first content*; the
caller relays the rest. Nothing has been sent to the client before the loop returns, so every failure can still lead to
another attempt. Retries, fallbacks and credential rotations are kinds of attempt, and all of them are recorded.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final, TypeVar

from msgspec import Struct, field, structs

from intellirouter.catalog import DeploymentHealth, HealthBoard
from intellirouter.core import (
    HEDGE_LOST,
    Attempt,
    Call,
    Clock,
    CredentialRotator,
    Deployment,
    HedgingPolicy,
    TaskOwner,
    errors,
    mask_error,
)
from intellirouter.pipeline.attempt_errors import combined_error, failure_sentence, is_stale, name_deployment
from intellirouter.pipeline.breaker_log import BreakerLog
from intellirouter.pipeline.exchange import Decided, Exchange
from intellirouter.pipeline.racing import Race
from intellirouter.pipeline.recoveries import Recoveries
from intellirouter.resilience import (
    AttemptPlanner,
    Backoff,
    DelayHistogram,
    HedgeShare,
    Retries,
    Step,
    attempt_limit_s,
    counts_against_deployment,
    is_rejected_by_deployment,
    may_hedge,
    with_same_limit,
)

logger = logging.getLogger(__name__)

T = TypeVar("T")

_MAX_MESSAGE_CHARS: Final = 500
_HEDGE_PERCENTILE: Final = 0.95
_SPREAD: Final = 0.1
"""Requests that wait for the same deployment do not all continue at the same moment."""
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
Discard = Callable[[AttemptContext, T], None]
"""Closes what an attempt has opened whose answer is not used."""


class _Hedge(Struct):
    """The second attempt that a request may make while its first one is silent."""

    policy: HedgingPolicy
    deployment: Deployment
    deadline_s: float
    context: AttemptContext | None = None
    is_cut_short: bool = False
    """The request has left it less time than the timeout of its deployment."""
    failure: errors.GatewayError | None = None


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
    hedge_shares: dict[str, HedgeShare] = field(default_factory=dict)
    """By the name of the model. Only configured models hedge requests, so there are few."""
    hedge_tasks: TaskOwner = field(default_factory=lambda: TaskOwner("hedge"))

    async def run(
        self,
        exchange: Exchange,
        request: Decided,
        open_attempt: Open[T],
        serve: Serve[T],
        discard: Discard[T] | None = None,
    ) -> None:
        """Make attempts until one opens, and serve the client from it. Raises the error for the client.

        Every attempt that begins ends here: what `serve` has not ended, because it was canceled or raised an error, is
        abandoned. Requests are hedged only with `discard`.
        """
        context, opened = await self.open(exchange, request, open_attempt, discard)
        try:
            await serve(context, opened)
        except BaseException as error:
            self.abandon(context, error)
            raise
        if not context.is_ended:
            self.abandon(context, AssertionError("The attempt has no outcome."))

    async def open(
        self, exchange: Exchange, request: Decided, open_attempt: Open[T], discard: Discard[T] | None = None
    ) -> tuple[AttemptContext, T]:
        """Make attempts until one opens; return that attempt, which has not ended yet, and what it opened.

        If no attempt opens, this raises the error for the client.
        """
        resolved = request.resolved
        order = request.decision.order
        step, is_pool = Step(order[0], "first", 0.0), len(order) > 1
        if request.decision.is_last_resort:
            step = await self._wait_until_called(step, request)
        deadline_s = exchange.started_s + resolved.request_timeout_s
        hedge = self._hedge(resolved.hedging, request, deadline_s) if resolved.hedging is not None else None
        planner: AttemptPlanner | None = None
        rejection: errors.GatewayError | None = None
        while True:
            context = self._begin(exchange, request.call, resolved.by_name[step.deployment], step)
            try:
                is_first = step.kind == "first"
                left_s = resolved.request_timeout_s - step.wait_s if is_first else deadline_s - self.clock.monotonic_s()
                total_s = context.deployment.timeouts.total_s
                limit_s = attempt_limit_s(left_s, total_s, _untried_s(request, exchange) if is_pool else 0.0)
                has_full_time = limit_s >= total_s
                # The transport enforces the timeouts of the attempt. Only a shorter limit needs a timer here.
                opening = (
                    open_attempt(context)
                    if has_full_time
                    else _open_within(limit_s, left_s, context, request, open_attempt)
                )
                if is_first and hedge is not None:
                    context, value = await self._open_hedged(hedge, context, request, (opening, open_attempt, discard))
                else:
                    value = await opening
            except _FAILURES as error:
                # Earlier attempts, or the client's own limit, may have left too little time for this one.
                may_be_short = not is_first or bool(resolved.restriction)
                is_cut_short = may_be_short and not has_full_time and isinstance(error, errors.UpstreamTimeout)
                context.can_rotate = self._can_rotate(context, error, exchange.attempts)
                self.fail(context, error, is_neutral=is_cut_short or context.can_rotate or is_stale(error))
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
            planner = planner or self._planner(request, hedge)
            next_step = self._next_step(planner, context, failure, request, deadline_s)
            if next_step is None:
                raise combined_error(rejection or failure, exchange.attempts)
            if next_step.wait_s:
                await asyncio.sleep(next_step.wait_s)
            step = next_step

    def _hedge(self, policy: HedgingPolicy, request: Decided, deadline_s: float) -> _Hedge | None:
        """Return how a request may be hedged; None if it may not be."""
        call, decision = request.call, request.decision
        if decision.is_last_resort or decision.pool_size < 2 or request.resolved.max_attempts < 2:
            return None
        if not may_hedge(policy, call.operation, call.needs, is_large=call.is_large):
            return None
        self._share_of(request).count_request(self.clock.monotonic_s())
        return _Hedge(policy, request.resolved.by_name[decision.order[1]], deadline_s)

    def _share_of(self, request: Decided) -> HedgeShare:
        return self.hedge_shares.setdefault(request.resolved.model, HedgeShare())

    async def _open_hedged(
        self,
        hedge: _Hedge,
        context: AttemptContext,
        request: Decided,
        parts: tuple[Awaitable[T], Open[T], Discard[T] | None],
    ) -> tuple[AttemptContext, T]:
        """Open the first attempt, and a second one if the first is silent. Return the one that has opened first.

        The other one has ended. If both fail, the error of the first one is raised, and only the second one has ended.
        """
        opening, open_attempt, discard = parts
        health = context.health
        if health.first_content is None:
            health.first_content = (DelayHistogram(), DelayHistogram())
        histogram = health.first_content[context.call.is_stream]
        delay_s = hedge.policy.after_s or histogram.percentile_s(_HEDGE_PERCENTILE)
        if delay_s is None:
            value = await opening
            histogram.add(elapsed_ms(context.exchange, self.clock) - context.attempt.started_ms)
            return context, value
        race: Race[T] = Race(self.hedge_tasks)
        try:
            value = await race.run(opening, delay_s, partial(self._start_hedge, hedge, context, request, open_attempt))
        except BaseException as error:
            hedge.failure = race.second_error
            self._end_hedge(hedge, race.second_error, None if race.first_error is not None else error)
            _discard_unused(race, hedge, context, discard)
            raise
        if race.first_error is None:
            histogram.add(elapsed_ms(context.exchange, self.clock) - context.attempt.started_ms)
        if (second := hedge.context) is None:
            return context, value
        _discard_unused(race, hedge, context, discard)
        winner, loser = (second, context) if race.is_second else (context, second)
        if (failure := race.first_error if race.is_second else race.second_error) is not None:
            is_cut_short = bool(request.resolved.restriction) if race.is_second else hedge.is_cut_short
            self._fail_in_race(loser, failure, is_cut_short=is_cut_short)
        else:
            self.lose(loser)
        return winner, value

    def _start_hedge(
        self, hedge: _Hedge, first: AttemptContext, request: Decided, open_attempt: Open[T]
    ) -> Coroutine[Any, Any, T] | None:
        """Begin the second attempt, or return None if it would not help or be one too many."""
        now_s, name = self.clock.monotonic_s(), hedge.deployment.name
        left_s, breaker = hedge.deadline_s - now_s, self.board.of(name).breaker
        if left_s <= 0 or breaker.closed_ticket < 0 or not breaker.is_available(now_s):
            return None
        if not self._share_of(request).take(hedge.policy.max_share, now_s):
            return None
        second = hedge.context = self._begin(first.exchange, first.call, hedge.deployment, Step(name, "hedge", 0.0))
        hedge.is_cut_short = left_s < hedge.deployment.timeouts.total_s
        return _open_within(left_s, left_s, second, request, open_attempt)

    def _end_hedge(
        self, hedge: _Hedge, failure: errors.GatewayError | None, cancellation: BaseException | None
    ) -> None:
        """End the second attempt of a race without a winner."""
        if (second := hedge.context) is None:
            return
        if failure is not None:
            self._fail_in_race(second, failure, is_cut_short=hedge.is_cut_short)
        elif cancellation is not None:
            self.abandon(second, cancellation)
        else:
            self.lose(second)

    def _fail_in_race(self, context: AttemptContext, failure: errors.GatewayError, *, is_cut_short: bool) -> None:
        """End an attempt that has failed while the other one was running."""
        is_neutral = is_cut_short and isinstance(failure, errors.UpstreamTimeout)
        can_rotate = self._can_rotate(context, failure, context.exchange.attempts)
        self.fail(context, failure, is_neutral=is_neutral or can_rotate or is_stale(failure))

    def lose(self, context: AttemptContext) -> None:
        """End an attempt that was canceled because another one has answered first. It does not count."""
        if context.is_ended:
            return
        context.is_ended = True
        context.attempt.outcome = HEDGE_LOST
        context.attempt.ended_ms = elapsed_ms(context.exchange, self.clock)
        context.health.end_neutrally(context.ticket)

    def _planner(self, request: Decided, hedge: _Hedge | None) -> AttemptPlanner:
        decision, resolved = request.decision, request.resolved
        retries = Retries(
            pool_size=decision.pool_size,
            retries=resolved.retries,
            order=resolved.retry_order,
            fallbacks=frozenset([each.name for each in resolved.fallbacks]),
        )
        planner = AttemptPlanner(decision.order, retries, self.backoff, self.rng)
        if hedge is not None and (failure := hedge.failure) is not None and hedge.context is not None:
            now_s = self.clock.monotonic_s()
            self._defer(hedge.context, failure, now_s)
            planner.note_hedge(hedge.deployment.name, failure, now_s)
        return planner

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
        if is_stale(failure) and context.attempt.kind != "reconnect":
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
        reasons = " ".join(map(failure_sentence, failed[-4:]))
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
        name_deployment(error, attempt.deployment)
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


def _discard_unused(race: Race[T], hedge: _Hedge, first: AttemptContext, discard: Discard[T] | None) -> None:
    for is_second, opened in race.unused:
        loser = hedge.context if is_second else first
        if discard is not None and loser is not None:
            discard(loser, opened)


def _untried_s(request: Decided, exchange: Exchange) -> float:
    """Return the sum of the timeouts of the deployments that have not been tried yet."""
    order = request.decision.order
    tried, by_name = {each.deployment for each in exchange.attempts}, request.resolved.by_name
    return sum([by_name[name].timeouts.total_s for name in order if name not in tried])


def elapsed_ms(exchange: Exchange, clock: Clock) -> float:
    """Return the milliseconds since the exchange began, with microsecond resolution."""
    return int((clock.monotonic_s() - exchange.started_s) * 1e6) / 1e3
