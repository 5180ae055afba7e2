"""Retries and fallbacks as pure state machines.

Door: `AttemptPlanner`, `Backoff`, `RetryPolicy`, `Step`. The caller reports failures and passes the time; nothing here
sleeps, sends requests or logs.
"""

from intellirouter.resilience.planner import AttemptPlanner, Backoff, Step
from intellirouter.resilience.retry import RetryPolicy

__all__ = ["AttemptPlanner", "Backoff", "RetryPolicy", "Step"]
