"""OpenAI's chat completions (`POST /v1/chat/completions`), and whoever speaks them: most clients and most upstreams.

Door: `CLIENT`, `UPSTREAM`; `OpenAIChatLane` relays between equals, `CheckedChatLane` looks at the answers, too.
Client's side: `client_request`, `client_messages`, `media`, `client_answer`, `client_stream`. Upstream's side:
`upstream_request`, `upstream_messages`, `upstream_answer`, `upstream_pieces`, with `quirks` for what a vendor takes.
Both: `codec`, `thoughts`. Between equals: `fast_lane`, `fast_stream`, `checked_lane`.
"""

from intellirouter.dialects.openai_chat.checked_lane import CheckedChatLane
from intellirouter.dialects.openai_chat.codec import ChatClient, ChatUpstream
from intellirouter.dialects.openai_chat.fast_lane import OpenAIChatLane

CLIENT = ChatClient()
UPSTREAM = ChatUpstream()

__all__ = ["CLIENT", "UPSTREAM", "CheckedChatLane", "OpenAIChatLane"]
