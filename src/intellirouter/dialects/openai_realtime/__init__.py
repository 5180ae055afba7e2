"""OpenAI's realtime dialect: WebSocket sessions (`GET /v1/realtime`), relayed to upstreams of the same dialect.

Door: `SPEC`; `REALTIME` (decodes the handshake, and is its own route), its `HEADERS`, `RealtimeSession`.
Same dialect on both sides: `passthrough`, `session`, `usage`.
"""

from typing import Final

from intellirouter.dialects.openai.client_errors import OpenAIErrors
from intellirouter.dialects.openai_realtime.passthrough import HEADERS, REALTIME
from intellirouter.dialects.openai_realtime.session import RealtimeSession
from intellirouter.dialects.spec import DialectSpec, SessionEndpoint

SPEC: Final = DialectSpec(
    name="openai_chat",
    title="OpenAI",
    errors=OpenAIErrors(),
    endpoints=(
        SessionEndpoint(
            name="openai_realtime",
            operation="realtime",
            paths=("/v1/realtime",),
            client=REALTIME,
            route=REALTIME,
            header_names=HEADERS,
        ),
    ),
)

__all__ = ["HEADERS", "REALTIME", "SPEC", "RealtimeSession"]
