"""The HTTP server: connections, limits on request heads, WebSocket handshakes, signals, draining.

Door: `run`, `bind`, `CannotListen`, `Application`. It serves any ASGI application.
"""

from intellirouter.serving.server import Application, CannotListen, bind, run

__all__ = ["Application", "CannotListen", "bind", "run"]
