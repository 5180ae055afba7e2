"""The hedge of a request: a second attempt, which begins while the first one is silent. See DESIGN.md."""

from collections.abc import Awaitable, Coroutine
from functools import partial
from typing import Any, Final, TypeVar

from msgspec import Struct, field

from intellirouter.core import Deployment, HedgingPolicy, TaskOwner, errors
from intellirouter.pipeline.attempt_outcomes import (
    AttemptContext,
    AttemptOutcomes,
    Discard,
    Open,
    elapsed_ms,
    open_within,
)
from intellirouter.pipeline.exchange import Decided
from intellirouter.pipeline.racing import Race
from intellirouter.resilience import DelayHistogram, HedgeShare, Step, may_hedge

T = TypeVar("T")

_PERCENTILE: Final = 0.95


class Hedge(Struct):
    """The second attempt that one request may make."""

    outcomes: AttemptOutcomes
    tasks: TaskOwner
    policy: HedgingPolicy
    share: HedgeShare
    request: Decided
    deployment: Deployment
    deadline_s: float
    context: AttemptContext | None = None
    """The second attempt, if it was made."""
    failure: errors.GatewayError | None = None
    """How the second attempt has failed, if both have."""
    is_cut_short: bool = False
    """The request has left it less time than the timeout of its deployment."""

    async def open(
        self, context: AttemptContext, opening: Awaitable[T], open_attempt: Open[T], discard: Discard[T] | None
    ) -> tuple[AttemptContext, T]:
        """Open the first attempt, and a second one if the first is silent. Return the one that has opened first.

        The other one has ended. If both fail, the error of the first one is raised, and only the second one has ended.
        """
        health, clock = context.health, self.outcomes.clock
        if health.first_content is None:
            health.first_content = (DelayHistogram(), DelayHistogram())
        histogram = health.first_content[context.call.is_stream]
        delay_s = self.policy.after_s or histogram.percentile_s(_PERCENTILE)
        if delay_s is None:
            value = await opening
            histogram.add(elapsed_ms(context.exchange, clock) - context.attempt.started_ms)
            return context, value
        race: Race[T] = Race(self.tasks)
        try:
            value = await race.run(opening, delay_s, partial(self._start, context, open_attempt))
        except BaseException as error:
            self.failure = race.second_error
            self._end(race.second_error, None if race.first_error is not None else error)
            self._discard_unused(race, context, discard)
            raise
        if race.first_error is None:
            histogram.add(elapsed_ms(context.exchange, clock) - context.attempt.started_ms)
        if (second := self.context) is None:
            return context, value
        self._discard_unused(race, context, discard)
        winner, loser = (second, context) if race.is_second else (context, second)
        if (failure := race.first_error if race.is_second else race.second_error) is not None:
            is_cut_short = bool(self.request.resolved.restriction) if race.is_second else self.is_cut_short
            self.outcomes.fail_in_race(loser, failure, is_cut_short=is_cut_short)
        else:
            self.outcomes.lose(loser)
        return winner, value

    def _start(self, first: AttemptContext, open_attempt: Open[T]) -> Coroutine[Any, Any, T] | None:
        """Begin the second attempt, or return None if it would not help or be one too many."""
        now_s, name = self.outcomes.clock.monotonic_s(), self.deployment.name
        left_s, breaker = self.deadline_s - now_s, self.outcomes.board.of(name).breaker
        if left_s <= 0 or breaker.closed_ticket < 0 or not breaker.is_available(now_s):
            return None
        slots = self.outcomes.board.of(name).slots
        if slots is not None and slots.is_full:  # a hedge never waits for a slot
            return None
        if not self.share.take(self.policy.max_share, now_s):
            return None
        if slots is not None:
            slots.take(first.exchange.identity.tenant, now_s)
        second = self.outcomes.begin(first.exchange, first.call, self.deployment, Step(name, "hedge", 0.0))
        self.context = second
        self.is_cut_short = left_s < self.deployment.timeouts.total_s
        return open_within(left_s, left_s, second, self.request, open_attempt)

    def _end(self, failure: errors.GatewayError | None, cancellation: BaseException | None) -> None:
        """End the second attempt of a race without a winner."""
        if (second := self.context) is None:
            return
        if failure is not None:
            self.outcomes.fail_in_race(second, failure, is_cut_short=self.is_cut_short)
        elif cancellation is not None:
            self.outcomes.abandon(second, cancellation)
        else:
            self.outcomes.lose(second)

    def _discard_unused(self, race: Race[T], first: AttemptContext, discard: Discard[T] | None) -> None:
        for is_second, opened in race.unused:
            loser = self.context if is_second else first
            if discard is not None and loser is not None:
                discard(loser, opened)


class Hedging(Struct, frozen=True):
    """Decides which requests may be hedged. One per process."""

    tasks: TaskOwner = field(default_factory=lambda: TaskOwner("hedge"))
    """Owns attempts that were canceled because another one has answered first. Stop it with the process."""
    shares: dict[str, HedgeShare] = field(default_factory=dict)
    """By the name of the model. Only configured models hedge requests, so there are few."""

    def hedge_of(
        self, outcomes: AttemptOutcomes, policy: HedgingPolicy, request: Decided, deadline_s: float
    ) -> Hedge | None:
        """Count a request, and return how it may be hedged; None if it may not be."""
        call, decision, resolved = request.call, request.decision, request.resolved
        if decision.is_last_resort or decision.pool_size < 2 or resolved.max_attempts < 2:
            return None
        if not may_hedge(policy, call.operation, call.needs, is_large=call.is_large):
            return None
        share = self.shares.setdefault(resolved.model, HedgeShare())
        share.count_request(outcomes.clock.monotonic_s())
        deployment = resolved.by_name[decision.order[1]]
        return Hedge(outcomes, self.tasks, policy, share, request, deployment, deadline_s)
