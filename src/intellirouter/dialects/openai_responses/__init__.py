"""OpenAI's responses dialect: Codex and the `openai` SDKs as clients, OpenAI and its likes as upstreams.

Door: `CLIENT` (`POST /v1/responses`), `COUNT_CLIENT` (`POST /v1/responses/input_tokens`), `UPSTREAM`,
`ResponsesPassthrough`; `history`, `lifecycle` and `storage` are for whoever stores responses.
Client side: `client`, `count`, `client_*`, `response_envelope`. Upstream side: `upstream_*`.
Both: `encrypted_content`, `fields`.
"""

from typing import Final

from intellirouter.dialects.openai_responses import history, lifecycle
from intellirouter.dialects.openai_responses.client import ResponsesClient
from intellirouter.dialects.openai_responses.count import InputTokensClient
from intellirouter.dialects.openai_responses.passthrough import ResponsesPassthrough
from intellirouter.dialects.openai_responses.upstream_request import ResponsesUpstream
from intellirouter.dialects.protocols import ChatClient, ChatUpstream

CLIENT: Final[ChatClient] = ResponsesClient()
COUNT_CLIENT: Final = InputTokensClient()
UPSTREAM: Final[ChatUpstream] = ResponsesUpstream()

__all__ = [
    "CLIENT",
    "COUNT_CLIENT",
    "UPSTREAM",
    "ResponsesPassthrough",
    "history",
    "lifecycle",
]
