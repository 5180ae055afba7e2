"""The data plane: HTTP and WebSockets for clients. Errors are rendered in the client's dialect.

Door: `Gateway` for HTTP, `WebSocketGateway` for WebSockets, `OllamaPages` and `WebSocketHints` (resources),
`is_control`, `serve_checked`, and what a server must offer: `RequestHead`, `HttpRequest`, `ServerSocket`. This room
knows clients. It does not know the server, providers, prices or databases.
"""

from intellirouter.gateway.app import Gateway
from intellirouter.gateway.browser_requests import serve_checked
from intellirouter.gateway.http import HttpRequest, RequestHead, ServerSocket, header_lines
from intellirouter.gateway.ollama_pages import OllamaPages
from intellirouter.gateway.paths import is_control
from intellirouter.gateway.websockets.app import WebSocketGateway, WebSocketHints

__all__ = [
    "Gateway",
    "HttpRequest",
    "OllamaPages",
    "RequestHead",
    "ServerSocket",
    "WebSocketGateway",
    "WebSocketHints",
    "header_lines",
    "is_control",
    "serve_checked",
]
