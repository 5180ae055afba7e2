"""The attempt loop: tries one deployment after another until one of them responds. See DESIGN.md.

Responses and sessions use the same loop. It calls a function that opens one attempt *until the first content*; the
caller relays the rest. Nothing has been sent to the client before the loop returns, so every failure can still lead to
another attempt. Retries, fallbacks and credential rotations are kinds of attempt, and all of them are recorded.
"""

import asyncio
import logging
import random
from typing import Final, TypeVar

from msgspec import field, structs

from intellirouter.core import errors
from intellirouter.pipeline.attempt_errors import combined_error, failure_sentence, is_stale, with_cost_note
from intellirouter.pipeline.attempt_outcomes import (
    AttemptContext,
    AttemptOutcomes,
    Discard,
    Open,
    Serve,
    open_within,
)
from intellirouter.pipeline.costs import spent
from intellirouter.pipeline.exchange import Decided, Exchange
from intellirouter.pipeline.hedges import Hedge, Hedging
from intellirouter.pipeline.recoveries import Recoveries
from intellirouter.pipeline.slot_waits import SlotWaits, is_answered_locally
from intellirouter.resilience import (
    AttemptPlanner,
    Backoff,
    Retries,
    Step,
    attempt_limit_s,
    is_rejected_by_deployment,
    with_same_limit,
)

logger = logging.getLogger(__name__)

T = TypeVar("T")

_SPREAD: Final = 0.1
"""Requests that wait for the same deployment do not all continue at the same moment."""
_FAILURES: Final = (errors.UpstreamError, errors.HostError, errors.Overloaded)
"""Errors that may lead to another attempt. All others end the exchange."""


class Attempts(AttemptOutcomes, frozen=True, kw_only=True):
    """Makes the attempts of a decision and updates the health of the deployments."""

    backoff: Backoff
    rng: random.Random
    recoveries: Recoveries = field(default_factory=Recoveries)
    hedging: Hedging = field(default_factory=Hedging)

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
        step, planner = Step(order[0], request.kind, 0.0), None
        has_others = len(order) > 1 or resolved.reserved_s > 0
        deadline_s = exchange.started_s + resolved.request_timeout_s
        if request.decision.is_last_resort or self.board.of(order[0]).slots is not None:
            step, request, planner = await self._first_step(exchange, request, step, deadline_s)
        policy = resolved.hedging
        hedge = None if policy is None else self.hedging.hedge_of(self, policy, request, deadline_s)
        rejection: errors.GatewayError | None = None
        while True:
            context = self.begin(exchange, request.call, resolved.by_name[step.deployment], step)
            try:
                is_first = step.kind == "first"
                # The first attempt has all of the time, but for its waits.
                waited_s = step.wait_s + step.queued_s
                left_s = resolved.request_timeout_s - waited_s if is_first else deadline_s - self.clock.monotonic_s()
                total_s = context.deployment.timeouts.total_s
                limit_s = attempt_limit_s(left_s, total_s, _untried_s(request, exchange) if has_others else 0.0)
                has_full_time = limit_s >= total_s
                # The transport enforces the timeouts of the attempt. Only a shorter limit needs a timer here.
                opening = (
                    open_attempt(context)
                    if has_full_time
                    else open_within(limit_s, left_s, context, request, open_attempt)
                )
                if is_first and hedge is not None:
                    context, value = await hedge.open(context, opening, open_attempt, discard)
                else:
                    value = await opening
            except _FAILURES as error:
                # Earlier attempts, or the client's own limit, may have left too little time for this one.
                may_be_short = not is_first or step.queued_s > 0 or bool(resolved.restriction)
                is_cut_short = may_be_short and not has_full_time and isinstance(error, errors.UpstreamTimeout)
                context.can_rotate = self.can_rotate(context, error, exchange.attempts)
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
                raise self._final_error(rejection or failure, exchange, request)
            step = await self._reach(exchange, request, next_step, planner, deadline_s)

    async def _first_step(
        self, exchange: Exchange, request: Decided, step: Step, deadline_s: float
    ) -> tuple[Step, Decided, AttemptPlanner | None]:
        """Return the first step when it may begin, and the request with its deployment as the first one of the order.

        If no deployment of the pool has a slot for the request, the step is another one, of the planner.
        """
        if request.decision.is_last_resort and request.resolved.retries:
            step = await self._wait_until_called(step, exchange, request)
        if self._takes_slot(exchange, request, step):
            return step, request, None
        planner = self._planner(request, None)
        step = await self._reach(exchange, request, step, planner, deadline_s)
        if step.kind != request.kind:
            return step, request, planner
        return step, _led_by(step.deployment, request), None

    def _takes_slot(self, exchange: Exchange, request: Decided, step: Step) -> bool:
        """Return whether an attempt may begin: the deployment has no limit, or a free slot, which it takes.

        What the gateway answers itself, such as an estimate of tokens, needs no free slot.
        """
        slots, now_s = self.board.of(step.deployment).slots, self.clock.monotonic_s()
        if slots is None or slots.take(exchange.identity.tenant, now_s):
            return True
        if not is_answered_locally(exchange, request.call, request.resolved.by_name[step.deployment]):
            return False
        slots.enter(exchange.identity.tenant, now_s)
        return True

    async def _reach(
        self, exchange: Exchange, request: Decided, step: Step, planner: AttemptPlanner, deadline_s: float
    ) -> Step:
        """Wait until the step may begin: for its delay, and for a slot if its deployment has a concurrency limit.

        If there is no slot, it is another step. If no deployment has one, this raises the error for the client.
        """
        while True:
            if step.wait_s and step.kind != request.kind:  # the first step has waited already
                await asyncio.sleep(step.wait_s)
            if self._takes_slot(exchange, request, step):
                return step
            is_first, timeout_s = step.kind == "first", request.resolved.request_timeout_s
            left_s = timeout_s - step.wait_s if is_first else deadline_s - self.clock.monotonic_s()
            taken = await SlotWaits(self.board, self.clock, exchange, request).take(step, left_s)
            if isinstance(taken, Step):
                return taken
            next_step = None
            if len(exchange.attempts) < request.resolved.max_attempts:
                next_step = planner.skip(taken.deployments, taken.error, self.clock.monotonic_s(), deadline_s)
            if next_step is None:
                raise self._final_error(taken.error, exchange, request)
            step = next_step

    def _planner(self, request: Decided, hedge: Hedge | None) -> AttemptPlanner:
        decision, resolved = request.decision, request.resolved
        retries = Retries(
            pool_size=decision.pool_size,
            retries=resolved.retries,
            order=resolved.retry_order,
            fallbacks=frozenset([each.name for each in resolved.fallbacks]),
            causes=resolved.fallback_causes,
        )
        planner = AttemptPlanner(decision.order, retries, self.backoff, self.rng)
        if hedge is not None and (failure := hedge.failure) is not None and hedge.context is not None:
            now_s = self.clock.monotonic_s()
            self.defer(hedge.context, failure, now_s)
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
        now_s = self.clock.monotonic_s()
        if len(attempts) >= request.resolved.max_attempts:
            return None
        if not spent(context.exchange, request.resolved, now_s).has_cost_left:
            self.defer(context, failure, now_s)
            return None
        if is_stale(failure) and context.attempt.kind != "reconnect":
            return Step(name, "reconnect", 0.0)
        if context.can_rotate:
            return Step(name, "credential", 0.0)
        self.defer(context, failure, now_s)
        planner.exclude(with_same_limit(failure, context.deployment, request.resolved.by_name.values()))
        planner.put_last(self._without_free_slot(request))
        next_step = planner.after(name, failure, now_s, deadline_s)
        if next_step is None and request.decision.is_last_resort and request.resolved.retries:
            available_at_s = {each: self.board.of(each).breaker.available_at_s for each in request.decision.order}
            max_wait_s = request.resolved.pool_policy.max_wait_s - attempts[0].waited_ms / 1e3
            limit_s = min(deadline_s, now_s + max_wait_s)
            return planner.recover(available_at_s, now_s, limit_s)
        return next_step

    def _without_free_slot(self, request: Decided) -> list[str]:
        board = self.board
        limited = [(name, slots) for name in request.decision.order if (slots := board.of(name).slots) is not None]
        return [name for name, slots in limited if slots.is_full]

    def _final_error(self, failure: errors.GatewayError, exchange: Exchange, request: Decided) -> errors.GatewayError:
        budget = spent(exchange, request.resolved, self.clock.monotonic_s())
        return with_cost_note(combined_error(failure, exchange.attempts), budget)

    async def _wait_until_called(self, step: Step, exchange: Exchange, request: Decided) -> Step:
        """Wait until the first deployment accepts requests again, if all of them have asked not to be called.

        If that takes too long, it is called at once.
        """
        resolved, now_s = request.resolved, self.clock.monotonic_s()
        wait_s = self.board.of(step.deployment).breaker.retry_at_s - now_s
        elapsed_s = 0.0 if step.kind == "first" else now_s - exchange.started_s
        limit_s = min(resolved.pool_policy.max_wait_s, resolved.request_timeout_s - elapsed_s)
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


def _led_by(name: str, request: Decided) -> Decided:
    """Return the request with this deployment as the first one of the order."""
    decision = request.decision
    order = (name, *[each for each in decision.order if each != name])
    return structs.replace(request, decision=structs.replace(decision, order=order))


def _untried_s(request: Decided, exchange: Exchange) -> float:
    """Return the sum of the timeouts of what is tried after a timeout and has not been tried yet.

    That is, deployments, and the steps of the degradation ladder.
    """
    resolved = request.resolved
    skipped = {each.deployment for each in exchange.attempts}
    skipped.update([name for name, causes in resolved.fallback_causes.items() if "timeout" not in causes])
    untried = [name for name in request.decision.order if name not in skipped]
    return sum([resolved.by_name[name].timeouts.total_s for name in untried]) + resolved.reserved_s
