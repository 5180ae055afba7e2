"""How candidates are ordered. Each strategy gives every deployment a score; lower is tried earlier.

Door: `STRATEGIES`, `Scored`, `Strategy`. A strategy is a plain function of what it is handed, so it can be tested
with numbers and explained with its own words.
"""

from intellirouter.routing.strategies.base import Scored, Strategy, View
from intellirouter.routing.strategies.builtin import STRATEGIES

__all__ = ["STRATEGIES", "Scored", "Strategy", "View"]
