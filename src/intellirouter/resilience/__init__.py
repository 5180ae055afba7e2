"""Circuit breakers, retries and fallbacks as pure state machines.

Door: `Breaker`, `WindowCounts`, `AttemptPlanner`, `Backoff`, `Retries`, `RetryPolicy`, `Step`, the reading of causes
and the sharing of deadlines. The caller reports failures and passes the time; nothing here sleeps, sends requests or
logs.
"""

from intellirouter.resilience.breaker import Breaker, WindowCounts
from intellirouter.resilience.causes import (
    counts_against_deployment,
    fallback_cause,
    is_credential_at_fault,
    is_rejected_by_deployment,
    is_too_long,
    may_be_served_elsewhere,
    refusal_status,
    with_same_limit,
)
from intellirouter.resilience.deadline import attempt_limit_s
from intellirouter.resilience.degradation import Spent, cost_note, may_call_again, may_step_down, model_obstacle
from intellirouter.resilience.hedging import DelayHistogram, HedgeShare, may_hedge
from intellirouter.resilience.planner import AttemptPlanner, Backoff, Retries, Step
from intellirouter.resilience.retry import RetryPolicy

__all__ = [
    "AttemptPlanner",
    "Backoff",
    "Breaker",
    "DelayHistogram",
    "HedgeShare",
    "Retries",
    "RetryPolicy",
    "Spent",
    "Step",
    "WindowCounts",
    "attempt_limit_s",
    "cost_note",
    "counts_against_deployment",
    "fallback_cause",
    "is_credential_at_fault",
    "is_rejected_by_deployment",
    "is_too_long",
    "may_be_served_elsewhere",
    "may_call_again",
    "may_hedge",
    "may_step_down",
    "model_obstacle",
    "refusal_status",
    "with_same_limit",
]
