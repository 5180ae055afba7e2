"""Routing: decides which deployments can serve a request, in which order, and why. No I/O; time is passed in.

Door: `Router`, `STRATEGIES` (the built-in rows of the strategy registry), `StrategyRow`, `Affinity`, and `Placements`,
which remembers where sessions were served last.
"""

from intellirouter.routing.decide import Router
from intellirouter.routing.placements import Placement, Placements
from intellirouter.routing.strategies import STRATEGIES, Affinity, StrategyRow

__all__ = ["STRATEGIES", "Affinity", "Placement", "Placements", "Router", "StrategyRow"]
