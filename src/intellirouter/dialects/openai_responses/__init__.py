"""OpenAI's responses dialect: Codex and the `openai` SDKs as clients, OpenAI and its likes as upstreams.

Door: `CLIENT` (`POST /v1/responses`), `COUNT_CLIENT` (`POST /v1/responses/input_tokens`), `UPSTREAM`; `ResponsesRelay`
is the lane between equals; `history` and `lifecycle` are for who keeps responses (`previous_response_id`, `store`).
Client's side: `client`, `count`, `request`, `settings`, `items`, `content`, `frame`, `output_items`, `stream_encoder`.
Upstream's side: `upstream`, `upstream_input`, `output`, `stream_decoder`. Both: `tools`, `carried`, `fields`.
Between equals: `relay`.
"""

from typing import Final

from intellirouter.dialects.lane import ChatClient, ChatUpstream
from intellirouter.dialects.openai_responses import history, lifecycle
from intellirouter.dialects.openai_responses.client import ResponsesClient
from intellirouter.dialects.openai_responses.count import InputTokensClient
from intellirouter.dialects.openai_responses.relay import ResponsesRelay
from intellirouter.dialects.openai_responses.upstream import ResponsesUpstream

CLIENT: Final[ChatClient] = ResponsesClient()
COUNT_CLIENT: Final = InputTokensClient()
UPSTREAM: Final[ChatUpstream] = ResponsesUpstream()

__all__ = [
    "CLIENT",
    "COUNT_CLIENT",
    "UPSTREAM",
    "ResponsesRelay",
    "history",
    "lifecycle",
]
