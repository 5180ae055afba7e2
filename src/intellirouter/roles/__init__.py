"""The composition root: builds the parts of a process from all rooms, and starts them.

Door: `serve`, `check`, `discover_here`, `list_models`, `open_credentials`, `refresh_catalog`, `look_up`,
`with_all_problems`.
"""

from intellirouter.roles.configuration import check, with_all_problems
from intellirouter.roles.credentials import open_credentials
from intellirouter.roles.listing import ProviderModels, list_models
from intellirouter.roles.price_list import CatalogInUse, Refreshed, look_up, refresh_catalog
from intellirouter.roles.startup import discover_here, serve

__all__ = [
    "CatalogInUse",
    "ProviderModels",
    "Refreshed",
    "check",
    "discover_here",
    "list_models",
    "look_up",
    "open_credentials",
    "refresh_catalog",
    "serve",
    "with_all_problems",
]
