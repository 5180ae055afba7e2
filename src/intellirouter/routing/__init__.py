"""Routing: decides which deployments can serve a request, in which order, and why. No I/O; time is passed in.

Door: `Router`, `STRATEGIES` (the built-in rows of the strategy registry), `StrategyRow`.
"""

from intellirouter.routing.decide import Router
from intellirouter.routing.strategies import STRATEGIES, StrategyRow

__all__ = ["STRATEGIES", "Router", "StrategyRow"]
