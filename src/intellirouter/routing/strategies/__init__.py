"""Routing strategies: each gives every eligible deployment a score; lower scores are tried earlier.

Door: `STRATEGIES`, `Affinity`, `RoutingContext`, `Scored`, `Strategy`, `StrategyRow`. A strategy is a pure function of
its arguments that also returns the reason for each score.
"""

from intellirouter.routing.strategies.base import Affinity, RoutingContext, Scored, Strategy, StrategyRow
from intellirouter.routing.strategies.builtin import STRATEGIES

__all__ = ["STRATEGIES", "Affinity", "RoutingContext", "Scored", "Strategy", "StrategyRow"]
