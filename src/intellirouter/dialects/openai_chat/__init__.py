"""OpenAI's chat completions (`POST /v1/chat/completions`), and whoever speaks them: most clients and most upstreams.

Door: `CLIENT`, `UPSTREAM`; `OpenAIChatPassthrough`; `CheckedChatPassthrough` also checks the answers.
Client side: `client_request`, `client_messages`, `media`, `client_response`, `client_stream`. Upstream side:
`upstream_request`, `upstream_messages`, `upstream_response`, `upstream_deltas`, with `quirks` for what a vendor takes.
Both: `codec`, `reasoning`. Same dialect on both sides: `passthrough`, `passthrough_stream`, `checked_passthrough`.
"""

from intellirouter.dialects.openai_chat.checked_passthrough import CheckedChatPassthrough
from intellirouter.dialects.openai_chat.codec import ChatClient, ChatUpstream
from intellirouter.dialects.openai_chat.passthrough import OpenAIChatPassthrough

CLIENT = ChatClient()
UPSTREAM = ChatUpstream()

__all__ = ["CLIENT", "UPSTREAM", "CheckedChatPassthrough", "OpenAIChatPassthrough"]
