"""The data plane's ASGI applications for HTTP and WebSockets. Errors are rendered in the client's dialect.

Door: `Gateway` for HTTP, `WebSocketGateway` for WebSockets, `OllamaPages` and `WebSocketHints` (resources),
`request_key`, `is_control`, and `RESPOND` and `HAS_BODY` (names of ASGI extensions, which the server may offer). This
room knows clients. It does not know providers, prices or databases.
"""

from intellirouter.gateway.app import Gateway
from intellirouter.gateway.asgi import HAS_BODY, RESPOND
from intellirouter.gateway.credentials import request_key
from intellirouter.gateway.ollama_pages import OllamaPages
from intellirouter.gateway.paths import is_control
from intellirouter.gateway.websockets.app import WebSocketGateway, WebSocketHints

__all__ = [
    "HAS_BODY",
    "RESPOND",
    "Gateway",
    "OllamaPages",
    "WebSocketGateway",
    "WebSocketHints",
    "is_control",
    "request_key",
]
