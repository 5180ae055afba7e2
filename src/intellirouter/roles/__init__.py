"""The composition root: which rooms a process starts, and how they are handed to one another.

Door: `serve`, `check`, `discover_here`, `list_models`, `open_credentials`.
"""

from intellirouter.roles.credentials import open_credentials
from intellirouter.roles.listing import ProviderModels, list_models
from intellirouter.roles.startup import check, discover_here, serve

__all__ = ["ProviderModels", "check", "discover_here", "list_models", "open_credentials", "serve"]
