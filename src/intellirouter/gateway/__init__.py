"""The data plane's HTTP side: ASGI in, ASGI out; errors rendered in the caller's dialect.

Door: `Gateway` for HTTP, `SocketPaths` for WebSockets, `OllamaPages` and `SocketHints` (resources), `presented_key`,
`is_control`, and `RESPOND` and `HAS_BODY` (ASGI extensions, used where the server offers them). The room knows clients;
it does not know providers, prices or databases.
"""

from intellirouter.gateway.app import Gateway
from intellirouter.gateway.asgi import HAS_BODY, RESPOND
from intellirouter.gateway.credentials import presented_key
from intellirouter.gateway.ollama_pages import OllamaPages
from intellirouter.gateway.paths import is_control
from intellirouter.gateway.websockets.app import SocketHints, SocketPaths

__all__ = [
    "HAS_BODY",
    "RESPOND",
    "Gateway",
    "OllamaPages",
    "SocketHints",
    "SocketPaths",
    "is_control",
    "presented_key",
]
