"""The Python client: chat, streaming, embeddings, and the gateway's own API for health, models and finished requests.

Door: `Client` and `AsyncClient`, the values they return, and the errors they raise. Building requests, parsing
responses and retrying are shared code without I/O. Only the two clients do I/O, and only they import httpx, on first
use. This room imports no server room.
"""

from typing import TYPE_CHECKING, Any

from intellirouter.client.attempt_limits import AttemptLimits
from intellirouter.client.errors import (
    AuthenticationError,
    GatewayUnreachableError,
    IntelliRouterError,
    InvalidRequestError,
    NotFoundError,
    RateLimitError,
    ResponseTimeoutError,
    UpstreamError,
)
from intellirouter.client.local_gateway import local_gateway_url, url_at
from intellirouter.client.replies import (
    ChatReply,
    Delta,
    EmbeddingsReply,
    Explanation,
    Health,
    ModelInfo,
    RequestPage,
    RequestSummary,
    TokenUsage,
    ToolCall,
    ToolCallDelta,
)
from intellirouter.client.settings import DEFAULT_BASE_URL

if TYPE_CHECKING:
    from intellirouter.client.async_client import AsyncChatStream, AsyncClient
    from intellirouter.client.sync_client import ChatStream, Client

__all__ = [
    "DEFAULT_BASE_URL",
    "AsyncChatStream",
    "AsyncClient",
    "AttemptLimits",
    "AuthenticationError",
    "ChatReply",
    "ChatStream",
    "Client",
    "Delta",
    "EmbeddingsReply",
    "Explanation",
    "GatewayUnreachableError",
    "Health",
    "IntelliRouterError",
    "InvalidRequestError",
    "ModelInfo",
    "NotFoundError",
    "RateLimitError",
    "RequestPage",
    "RequestSummary",
    "ResponseTimeoutError",
    "TokenUsage",
    "ToolCall",
    "ToolCallDelta",
    "UpstreamError",
    "local_gateway_url",
    "url_at",
]


def __getattr__(name: str) -> Any:
    if name in {"Client", "ChatStream"}:
        from intellirouter.client.sync_client import ChatStream, Client  # noqa: PLC0415 - importing httpx takes 0.2 s

        return Client if name == "Client" else ChatStream
    if name in {"AsyncClient", "AsyncChatStream"}:
        from intellirouter.client.async_client import AsyncChatStream, AsyncClient  # noqa: PLC0415 - the same

        return AsyncClient if name == "AsyncClient" else AsyncChatStream
    raise AttributeError(f"module 'intellirouter.client' has no attribute {name!r}")
