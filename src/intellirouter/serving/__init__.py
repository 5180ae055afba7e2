"""The HTTP server: HTTP/1.1 and WebSockets over TCP, TLS and unix sockets.

Door: `open_listener`, then `run` with an `Application`; `serve_asgi` for an ASGI application behind it. This room
knows bytes, connections and deadlines. It does not know dialects, models or keys, except to render its own errors.
"""

from intellirouter.serving.asgi import serve_asgi
from intellirouter.serving.listening_socket import CannotListen, open_listener, remove_socket_file
from intellirouter.serving.server import Application, run
from intellirouter.serving.signals import Signals, StoppedEarly
from intellirouter.serving.tls import TlsProblem, tls_context

__all__ = [
    "Application",
    "CannotListen",
    "Signals",
    "StoppedEarly",
    "TlsProblem",
    "open_listener",
    "remove_socket_file",
    "run",
    "serve_asgi",
    "tls_context",
]
