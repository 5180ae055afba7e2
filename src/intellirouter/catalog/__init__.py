"""Models, deployments, prices and health: what may serve whom, and how it is doing.

Door: `Catalog` (names to `Target`s), `HealthBoard`, `PriceList`. It decides nothing and calls nobody.
"""

from intellirouter.catalog.catalog import Catalog, Target
from intellirouter.catalog.health import DeploymentHealth, HealthBoard
from intellirouter.catalog.prices import PriceEntry, PriceList

__all__ = ["Catalog", "DeploymentHealth", "HealthBoard", "PriceEntry", "PriceList", "Target"]
