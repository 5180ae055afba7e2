"""The composition root: which rooms a process starts, and how they are handed to one another.

Door: `serve`, `check`, `discover_here`, `open_credentials`.
"""

from intellirouter.roles.credentials import open_credentials
from intellirouter.roles.startup import check, discover_here, serve

__all__ = ["check", "discover_here", "open_credentials", "serve"]
