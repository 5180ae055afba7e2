"""Deciding: which deployments may serve a request, in which order, and why. Pure: no I/O, no clock of its own.

Door: `Router`, `STRATEGIES` (the built-in rows of the registry that a router is given), `StrategyRow`.
"""

from intellirouter.routing.decide import Router
from intellirouter.routing.strategies import STRATEGIES, StrategyRow

__all__ = ["STRATEGIES", "Router", "StrategyRow"]
