"""How candidates are ordered. Each strategy gives every deployment a score; lower is tried earlier.

Door: `STRATEGIES`, `RoutingContext`, `Scored`, `Strategy`, `StrategyRow`. A strategy is a plain function of what it is
handed, so it can be tested with numbers and explained in its own words.
"""

from intellirouter.routing.strategies.base import RoutingContext, Scored, Strategy, StrategyRow
from intellirouter.routing.strategies.builtin import STRATEGIES

__all__ = ["STRATEGIES", "RoutingContext", "Scored", "Strategy", "StrategyRow"]
