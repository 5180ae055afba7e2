"""Deciding: which deployments may serve a request, in which order, and why. Pure: no I/O, no clock of its own.

Door: `Router`, `STRATEGIES`.
"""

from intellirouter.routing.decide import Router
from intellirouter.routing.strategies import STRATEGIES

__all__ = ["STRATEGIES", "Router"]
