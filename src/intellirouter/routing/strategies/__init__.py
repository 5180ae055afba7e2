"""Routing strategies: each gives every eligible deployment a score; lower scores are tried earlier.

Door: `STRATEGIES`, `RoutingContext`, `Scored`, `Strategy`, `StrategyRow`. A strategy is a pure function of its
arguments that also returns the reason for each score.
"""

from intellirouter.routing.strategies.base import RoutingContext, Scored, Strategy, StrategyRow
from intellirouter.routing.strategies.builtin import STRATEGIES

__all__ = ["STRATEGIES", "RoutingContext", "Scored", "Strategy", "StrategyRow"]
