"""Surviving failures: retry and fallback as pure state machines.

Door: `AttemptPlanner`, `Backoff`, `RetryPolicy`, `Step`. They are told what has failed and when; they never sleep,
call or log.
"""

from intellirouter.resilience.planner import AttemptPlanner, Backoff, Step
from intellirouter.resilience.retry import RetryPolicy

__all__ = ["AttemptPlanner", "Backoff", "RetryPolicy", "Step"]
