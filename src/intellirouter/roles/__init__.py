"""The composition root: which rooms a process starts, and how they are handed to one another.

Door: `serve`, `check`, `discover_here`.
"""

from intellirouter.roles.startup import check, discover_here, serve

__all__ = ["check", "discover_here", "serve"]
