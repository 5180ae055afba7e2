"""OpenAI's responses dialect (`POST /v1/responses`). Door: `CLIENT`, `UPSTREAM`, `history`, `ResponseWriter`.

`history` holds pure functions for who keeps conversations on the server's side (`previous_response_id`, `store`).
"""

from typing import Final

from intellirouter.dialects.lane import ChatClient, ChatUpstream
from intellirouter.dialects.openai_responses import history
from intellirouter.dialects.openai_responses.client import ResponsesClient
from intellirouter.dialects.openai_responses.count import InputTokensClient
from intellirouter.dialects.openai_responses.relay import ResponsesRelay
from intellirouter.dialects.openai_responses.stream_encoder import ResponseWriter
from intellirouter.dialects.openai_responses.upstream import ResponsesUpstream

CLIENT: Final[ChatClient] = ResponsesClient()
COUNT_CLIENT: Final = InputTokensClient()
UPSTREAM: Final[ChatUpstream] = ResponsesUpstream()

__all__ = [
    "CLIENT",
    "COUNT_CLIENT",
    "UPSTREAM",
    "ResponseWriter",
    "ResponsesClient",
    "ResponsesRelay",
    "ResponsesUpstream",
    "history",
]
