"""The Python client: chat, stream, embeddings and the gateway's own account of what it did.

Door: `Client` and `AsyncClient`, what they return, and the errors they raise. Request building, answer parsing and
retries are pure and shared; only the two drivers do I/O, and only they load httpx, on first use. Knows no server room.
"""

from typing import TYPE_CHECKING, Any

from intellirouter.client.errors import (
    AnswerTimeoutError,
    AuthenticationError,
    GatewayUnreachableError,
    IntelliRouterError,
    InvalidRequestError,
    NotFoundError,
    RateLimitError,
    UpstreamError,
)
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
    "AnswerTimeoutError",
    "AsyncChatStream",
    "AsyncClient",
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
    "TokenUsage",
    "ToolCall",
    "ToolCallDelta",
    "UpstreamError",
]


def __getattr__(name: str) -> Any:
    if name in {"Client", "ChatStream"}:
        from intellirouter.client import sync_client  # noqa: PLC0415 - httpx costs 0.2 s; errors and replies need none

        return getattr(sync_client, name)
    if name in {"AsyncClient", "AsyncChatStream"}:
        from intellirouter.client import async_client  # noqa: PLC0415 - the same

        return getattr(async_client, name)
    raise AttributeError(f"module 'intellirouter.client' has no attribute {name!r}")
