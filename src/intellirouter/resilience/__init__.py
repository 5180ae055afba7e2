"""Circuit breakers, retries, fallbacks, hedging, concurrency limits and queues as pure state machines.

Door: `Breaker`, `WindowCounts`, `AttemptPlanner`, `Backoff`, `Retries`, `RetryPolicy`, `Step`, `Slots`, `Waiter`, what
hedging needs, the reading of causes and the sharing of deadlines. The caller reports failures and passes the time;
nothing here sleeps, sends requests or logs.
"""

from intellirouter.resilience.breaker import Breaker, WindowCounts
from intellirouter.resilience.causes import (
    counts_against_deployment,
    fallback_cause,
    is_credential_at_fault,
    is_overload,
    is_rejected_by_deployment,
    is_too_long,
    may_be_served_elsewhere,
    refusal_status,
    with_same_limit,
)
from intellirouter.resilience.continuation import MAX_CONTINUATIONS, continuation_order, may_be_continued
from intellirouter.resilience.deadline import attempt_limit_s
from intellirouter.resilience.degradation import Spent, cost_note, may_call_again, may_step_down, model_obstacle
from intellirouter.resilience.hedging import DelayHistogram, HedgeShare, may_hedge
from intellirouter.resilience.planner import AttemptPlanner, Backoff, Retries, Step
from intellirouter.resilience.retry import RetryPolicy
from intellirouter.resilience.slots import WAIT_BOUNDS_S, Refusal, RefusalReason, Slots, Waiter, WaitTimes

__all__ = [
    "MAX_CONTINUATIONS",
    "WAIT_BOUNDS_S",
    "AttemptPlanner",
    "Backoff",
    "Breaker",
    "DelayHistogram",
    "HedgeShare",
    "Refusal",
    "RefusalReason",
    "Retries",
    "RetryPolicy",
    "Slots",
    "Spent",
    "Step",
    "WaitTimes",
    "Waiter",
    "WindowCounts",
    "attempt_limit_s",
    "continuation_order",
    "cost_note",
    "counts_against_deployment",
    "fallback_cause",
    "is_credential_at_fault",
    "is_overload",
    "is_rejected_by_deployment",
    "is_too_long",
    "may_be_continued",
    "may_be_served_elsewhere",
    "may_call_again",
    "may_hedge",
    "may_step_down",
    "model_obstacle",
    "refusal_status",
    "with_same_limit",
]
