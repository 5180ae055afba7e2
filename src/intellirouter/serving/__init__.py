"""The HTTP server: connections, limits on request heads, WebSocket handshakes, signals, draining.

Door: `run`, `bind`, `AddressInUse`, `Application`. It serves any ASGI application.
"""

from intellirouter.serving.server import AddressInUse, Application, bind, run

__all__ = ["AddressInUse", "Application", "bind", "run"]
