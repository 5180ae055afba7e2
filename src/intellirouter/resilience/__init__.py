"""Surviving: retry and fallback as pure state machines. Door: `AttemptPlanner`, `Backoff`, `Step`.

It is told what failed and when; it never sleeps, calls or logs.
"""

from intellirouter.resilience.planner import AttemptPlanner, Backoff, Step

__all__ = ["AttemptPlanner", "Backoff", "Step"]
