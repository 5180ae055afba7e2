"""The data plane's HTTP side: ASGI in, ASGI out; errors rendered in the caller's dialect.

Door: `Gateway`, `presented_key`, `RESPOND` and `HAS_BODY` (ASGI extensions, used where the server offers them).
`Files`, `Batches`, `StoredResponses` and `OllamaPages` are resources, handed to the gateway; `LineRunner` answers a
batch's lines. `SocketPaths` takes the WebSockets. It knows clients; it does not know providers, prices or databases.
"""

from intellirouter.gateway.app import Gateway
from intellirouter.gateway.asgi import HAS_BODY, RESPOND
from intellirouter.gateway.batch_lines import LineRunner
from intellirouter.gateway.batches import Batches
from intellirouter.gateway.credentials import presented_key
from intellirouter.gateway.files import Files
from intellirouter.gateway.ollama_pages import OllamaPages
from intellirouter.gateway.routes import is_control
from intellirouter.gateway.socket_paths import SocketHints, SocketPaths
from intellirouter.gateway.stored_responses import StoredResponses

__all__ = [
    "HAS_BODY",
    "RESPOND",
    "Batches",
    "Files",
    "Gateway",
    "LineRunner",
    "OllamaPages",
    "SocketHints",
    "SocketPaths",
    "StoredResponses",
    "is_control",
    "presented_key",
]
