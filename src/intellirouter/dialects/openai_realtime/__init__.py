"""OpenAI's realtime dialect: sessions over a WebSocket (`GET /v1/realtime`), relayed between equals.

Door: `REALTIME` (decodes the handshake, and is its own route), `HEADERS` that mean something to it, `RealtimeSession`.
Between equals: `codec`, `session`, `usage`.
"""

from intellirouter.dialects.openai_realtime.codec import HEADERS, REALTIME
from intellirouter.dialects.openai_realtime.session import RealtimeSession

__all__ = ["HEADERS", "REALTIME", "RealtimeSession"]
