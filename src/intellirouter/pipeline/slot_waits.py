"""Gets a slot for an attempt on a deployment that is at its concurrency limit. See DESIGN.md.

The rules are those of `resilience.Slots`; here are the future that a request waits for, its deadline, and its record.
Whoever gets a slot begins an attempt at once, and the slot is released when that attempt ends.
"""

import asyncio
from collections.abc import Sequence
from functools import partial

from msgspec import Struct, structs

from intellirouter.catalog import HealthBoard
from intellirouter.core import Attempt, Call, Clock, Deployment, errors
from intellirouter.pipeline.attempt_outcomes import abandoned_outcome, since_start_ms
from intellirouter.pipeline.exchange import Decided, Exchange
from intellirouter.resilience import Refusal, Slots, Step, Waiter


class NoSlot(Struct, frozen=True):
    """A request has got no slot of these deployments."""

    deployments: tuple[str, ...]
    error: errors.Overloaded


class SlotWaits(Struct, frozen=True):
    """Takes slots for the attempts of one request."""

    board: HealthBoard
    clock: Clock
    exchange: Exchange
    request: Decided

    async def take(self, step: Step, left_s: float) -> Step | NoSlot:
        """Return the step with a slot of its deployment, or of another one of the pool if it is the first step.

        `left_s`: the time that is left for the request. A refusal is recorded as an attempt.
        """
        names, tenant, now_s = self._candidates(step), self.exchange.identity.tenant, self.clock.monotonic_s()
        places: list[Slots] = []
        for name in names:
            slots = self.board.of(name).slots
            if slots is None or slots.take(tenant, now_s):
                return structs.replace(step, deployment=name)
            places.append(slots)
        patience_s = self.request.resolved.queue_wait_s
        if patience_s is None:
            patience_s = max([each.max_wait_s for each in places])
        queued_s = sum([each.queued_ms for each in self.exchange.attempts]) / 1e3
        waiter = await self._wait(step, places, min(patience_s - queued_s, left_s))
        if waiter.granted_by is not None:
            queued_s = self.clock.monotonic_s() - now_s
            return structs.replace(step, deployment=waiter.granted_by.name, queued_s=queued_s)
        error = _error(places, waiter.refusal or Refusal("timeout"), patience_s)
        self._record(step, now_s, error.code, error.message)
        return NoSlot(names, error)

    def _candidates(self, step: Step) -> tuple[str, ...]:
        """Return the deployments whose slots will do: for the first attempt those of the pool that are available."""
        decision, now_s = self.request.decision, self.clock.monotonic_s()
        if step.kind != self.request.kind or decision.is_last_resort:
            return (step.deployment,)
        others = decision.order[1 : decision.pool_size]
        return (step.deployment, *[each for each in others if self.board.of(each).is_available(now_s)])

    async def _wait(self, step: Step, places: Sequence[Slots], limit_s: float) -> Waiter:
        """Return a waiter that has got a slot or a refusal."""
        wake = asyncio.get_running_loop().create_future()
        began_s, exchange = self.clock.monotonic_s(), self.exchange
        waiter = Waiter(
            exchange.identity.tenant,
            exchange.priority or exchange.identity.priority,
            partial(wake.set_result, None),
            is_resumed=bool(exchange.attempts),
        )
        waiter.join(places, max(0.0, limit_s), began_s)
        try:
            if waiter.is_waiting and limit_s > 0:
                # This leaves the future as it is when it is canceled, so that a slot that comes with it is not lost.
                await asyncio.wait([wake], timeout=limit_s)
        except BaseException as error:
            waiter.leave(self.clock.monotonic_s())
            self._record(step, began_s, abandoned_outcome(exchange, error))
            raise
        waiter.give_up(self.clock.monotonic_s())
        return waiter

    def _record(self, step: Step, began_s: float, outcome: str, message: str | None = None) -> None:
        """Record an attempt that did not begin."""
        now_s = self.clock.monotonic_s()
        now_ms = since_start_ms(self.exchange, now_s)
        self.exchange.attempts.append(
            Attempt(
                deployment=step.deployment,
                kind=step.kind,
                started_ms=now_ms,
                waited_ms=int(step.wait_s * 1e6) / 1e3,
                queued_ms=int((now_s - began_s) * 1e6) / 1e3,
                ended_ms=now_ms,
                outcome=outcome,
                message=message,
            )
        )


def is_answered_locally(exchange: Exchange, call: Call, deployment: Deployment) -> bool:
    """Return whether the gateway answers a request without calling this deployment."""
    try:
        return exchange.endpoint.route(call, deployment).is_local
    except errors.GatewayError:  # a session has no route; for others, the attempt reports the error
        return False


def _error(places: Sequence[Slots], refusal: Refusal, patience_s: float) -> errors.Overloaded:
    names = " and ".join([each.name for each in places])
    limits = " and ".join([str(each.limit.value) for each in places if each.limit is not None])
    are_at_limits = f"{names} {'are at their limits' if len(places) > 1 else 'is at its limit'} of {limits} requests"
    match refusal.reason:
        case "stopping":
            message = "The gateway is stopping."
        case "timeout":
            message = f"{are_at_limits} and had no free slot within {patience_s:g} s."
        case "too_long":
            wait_s = refusal.expected_wait_s
            message = f"{are_at_limits}. A slot is expected in about {wait_s:.0f} s, more than {patience_s:g} s."
        case "queue_full":
            waiting = max([each.waiting for each in places])
            message = f"{are_at_limits}{f', and {waiting} more are waiting' if waiting else ''}."
    return errors.Overloaded(message, retry_after_s=refusal.retry_after_s)
