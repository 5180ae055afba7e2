"""Models, deployments, prices and health: what a model name stands for, what it costs, and how it performs.

Door: `Catalog` (from names to `ResolvedModel`s and `ModelFacts`), `ProviderLists`, `HealthBoard`, `PriceList`,
`profile_of` (what a model accepts, by its name), and for price lists in files `read_prices`, `compare` and
`install_prices`. This room makes no decisions and does no network I/O.
"""

from intellirouter.catalog.catalog import Catalog, LadderStep, ResolvedModel
from intellirouter.catalog.health import DeploymentHealth, HealthBoard
from intellirouter.catalog.model_facts import ModelFacts, ProviderLists, shared_capabilities, shared_context_tokens
from intellirouter.catalog.price_files import Comparison, PriceFileError, compare, install_prices, read_prices
from intellirouter.catalog.prices import PriceEntry, PriceList
from intellirouter.catalog.profiles import profile_of
from intellirouter.catalog.restrictions import restricted
from intellirouter.catalog.unknown_models import MAX_NAME_CHARS, model_not_found

__all__ = [
    "MAX_NAME_CHARS",
    "Catalog",
    "Comparison",
    "DeploymentHealth",
    "HealthBoard",
    "LadderStep",
    "ModelFacts",
    "PriceEntry",
    "PriceFileError",
    "PriceList",
    "ProviderLists",
    "ResolvedModel",
    "compare",
    "install_prices",
    "model_not_found",
    "profile_of",
    "read_prices",
    "restricted",
    "shared_capabilities",
    "shared_context_tokens",
]
